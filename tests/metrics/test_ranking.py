import pytest

from restain.metrics import CATALOGUE, NotComputed
from restain.metrics.statistics.ranking import rank_systems

BLANK = {"ssim": 0.39, "psnr": 15.0, "dab_pearson_r": 0.0, "dab_mean_od_error": 0.3, "fid": 344.0}
STAIN = {"ssim": 0.24, "psnr": 14.0, "dab_pearson_r": 0.9, "dab_mean_od_error": 0.1, "fid": 51.0}


def test_a_blank_image_that_wins_ssim_does_not_win_the_table():
    found = rank_systems(CATALOGUE, {"blank": BLANK, "stain": STAIN})
    assert found.systems == ("stain", "blank")
    assert found.by_family == {
        "stain": {"blank": 2, "stain": 1},
        "learned": {"blank": 2, "stain": 1},
    }
    assert found.mean_rank == pytest.approx({"blank": 2, "stain": 1})
    assert found.metrics == ("dab_mean_od_error", "dab_pearson_r", "fid")


def test_never_on_similarity_of_pixels():
    values = {name: {"ssim": row["ssim"], "psnr": row["psnr"]} for name, row in (("blank", BLANK), ("stain", STAIN))}
    with pytest.raises(NotComputed, match="never ranked on similarity of pixels"):
        rank_systems(CATALOGUE, values)
    with pytest.raises(NotComputed, match="at least two systems"):
        rank_systems(CATALOGUE, {"stain": STAIN})


def test_content_has_no_say_and_a_metric_needs_a_value_in_every_system():
    copied = {"r_content": 1.0, "dab_pearson_r": 0.2}
    found = rank_systems(CATALOGUE, {"copy": copied, "stain": STAIN | {"r_content": 0.4}})
    assert found.metrics == ("dab_pearson_r",)
    assert found.systems[0] == "stain"


def test_ties_share_their_mean_rank():
    found = rank_systems(CATALOGUE, {"a": STAIN, "b": STAIN, "c": BLANK})
    assert found.by_family["stain"] == {"a": 1.5, "b": 1.5, "c": 3}


def test_a_family_weighs_the_same_however_many_metrics_it_has():
    one = {"dab_pearson_r": 0.9, "dab_mean_od_error": 0.1, "dab_iod_error": 1.0, "fid": 60.0}
    other = {"dab_pearson_r": 0.8, "dab_mean_od_error": 0.2, "dab_iod_error": 2.0, "fid": 50.0}
    assert rank_systems(CATALOGUE, {"one": one, "other": other}).mean_rank == {"one": 1.5, "other": 1.5}
