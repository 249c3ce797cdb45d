import pytest

from restain.metrics import CATALOGUE, NotComputed
from restain.metrics.statistics.ranking import rank_systems

MARKERS = ("nuclear", "membrane", "cytoplasm", None)
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


def test_content_does_not_vote_and_who_has_no_value_is_worst():
    copied = {"r_content": 1.0, "dab_pearson_r": 0.2}
    found = rank_systems(CATALOGUE, {"copy": copied, "stain": STAIN | {"r_content": 0.4}})
    assert found.metrics == ("dab_mean_od_error", "dab_pearson_r", "fid")
    assert found.systems[0] == "stain"
    assert found.without_value == {"dab_mean_od_error": ("copy",), "fid": ("copy",)}


def test_a_blank_system_does_not_silence_the_scores_that_it_fails():
    """Beside a blank image, which has no correlation, the order of the others stays as it was."""
    poor = {"dab_pearson_r": -0.1, "dab_mean_od_error": 0.09}
    good = {"dab_pearson_r": 1.0, "dab_mean_od_error": 0.1}
    two = rank_systems(CATALOGUE, {"poor": poor, "good": good})
    three = rank_systems(CATALOGUE, {"poor": poor, "good": good, "blank": {"dab_mean_od_error": 0.3}})
    assert three.metrics == two.metrics
    assert three.mean_rank["blank"] == 3 and {three.mean_rank[name] for name in two.mean_rank} == {1.5}


def test_near_duplicates_share_a_vote():
    one = {"dab_mean_od_error": 0.1, "dab_positive_area_error": 0.1, "dab_iod_error": 1.0, "dab_pearson_r": 0.8}
    other = {"dab_mean_od_error": 0.2, "dab_positive_area_error": 0.2, "dab_iod_error": 2.0, "dab_pearson_r": 0.9}
    assert rank_systems(CATALOGUE, {"one": one, "other": other}).mean_rank == {"one": 1.5, "other": 1.5}


def test_only_the_cells_of_the_marker_vote():
    one = {"h_score_error": 10.0, "her2_band_error": 2.0, "dab_mean_od_error": 0.1}
    other = {"h_score_error": 20.0, "her2_band_error": 1.0, "dab_mean_od_error": 0.1}
    order = {marker: rank_systems(CATALOGUE, {"one": one, "other": other}, marker) for marker in MARKERS}
    assert order["nuclear"].systems[0] == order["cytoplasm"].systems[0] == "one"
    assert order["nuclear"].metrics == order["cytoplasm"].metrics == ("dab_mean_od_error", "h_score_error")
    assert order["membrane"].metrics == ("dab_mean_od_error", "h_score_error", "her2_band_error")
    assert order[None].metrics == ("dab_mean_od_error",)


def test_only_the_classes_of_the_stain_vote():
    scores = {
        "one": {"ki67_kappa": 0.9, "dab_mean_od_error": 0.1},
        "other": {"ki67_kappa": 0.1, "dab_mean_od_error": 0.1},
    }
    voted = {stain: rank_systems(CATALOGUE, scores, "nuclear", stain).metrics for stain in ("ki67", "er", None)}
    assert "ki67_kappa" in voted["ki67"] and "ki67_kappa" in voted[None] and "ki67_kappa" not in voted["er"]


def test_a_stain_in_the_wrong_places_ranks_behind_all_others():
    turned = {"dab_mean_od_error": 0.0, "h_score_error": 0.0, "dab_pearson_r": 1.0, "dab_grid_r": -0.1}
    poor = {"dab_mean_od_error": 0.2, "h_score_error": 50.0, "dab_pearson_r": 0.5, "dab_grid_r": 0.5}
    blank = {"dab_mean_od_error": 0.4, "h_score_error": 80.0}
    found = rank_systems(CATALOGUE, {"turned": turned, "blank": blank, "poor": poor}, "nuclear")
    assert found.systems == ("poor", "turned", "blank")
    assert found.displaced == ("turned", "blank") and found.mean_rank["turned"] < found.mean_rank["poor"]


def test_ties_share_their_mean_rank():
    found = rank_systems(CATALOGUE, {"a": STAIN, "b": STAIN, "c": BLANK})
    assert found.by_family["stain"] == {"a": 1.5, "b": 1.5, "c": 3}


def test_a_family_weighs_the_same_however_many_metrics_it_has():
    one = {"dab_pearson_r": 0.9, "dab_mean_od_error": 0.1, "dab_iod_error": 1.0, "fid": 60.0}
    other = {"dab_pearson_r": 0.8, "dab_mean_od_error": 0.2, "dab_iod_error": 2.0, "fid": 50.0}
    assert rank_systems(CATALOGUE, {"one": one, "other": other}).mean_rank == {"one": 1.5, "other": 1.5}


def test_differences_within_the_error_of_measuring_tie():
    one = {"dab_mean_od_error": 0.001, "dab_mean_od_real": 0.1, "dab_pearson_r": 0.99, "dab_dice": 0.5}
    other = {"dab_mean_od_error": 0.004, "dab_mean_od_real": 0.1, "dab_pearson_r": 0.975, "dab_dice": 0.53}
    found = rank_systems(CATALOGUE, {"one": one, "other": other})
    assert found.by_family["stain"] == {"one": 1.5, "other": 1.5}
    assert found.by_family["place"] == {"one": 2, "other": 1}
    three = {str(number): {"dab_dice": value} for number, value in enumerate((0.5, 0.515, 0.53, 0.9))}
    assert rank_systems(CATALOGUE, three).by_family["place"] == {"0": 4, "1": 2.5, "2": 2.5, "3": 1}


def test_who_is_worse_than_the_h_and_e_in_a_family_ranks_behind():
    he = {"dab_mean_od_error": 0.1, "dab_dice": 0.1, "h_score_error": 90.0, "nuclei_count_error": 1.0}
    honest = {"dab_mean_od_error": 0.05, "dab_dice": 0.4, "h_score_error": 30.0, "nuclei_count_error": 60.0}
    no_cells = {"dab_mean_od_error": 0.0, "dab_dice": 1.0, "h_score_error": 120.0, "nuclei_count_error": 300.0}
    systems = {"no cells": no_cells, "honest": honest, "copy": he, "H&E": he}
    found = rank_systems(CATALOGUE, systems, "nuclear", nothing="H&E")
    assert found.systems == ("honest", "no cells", "copy", "H&E")
    assert found.failed == {
        "no cells": ("cells",),
        "copy": ("stain", "place", "cells"),
        "H&E": ("stain", "place", "cells"),
    }
    assert rank_systems(CATALOGUE, systems, "nuclear").systems[0] == "no cells"  # nothing to compare with
    unknown = rank_systems(CATALOGUE, systems, None, nothing="H&E")  # the number of nuclei alone decides nothing
    assert unknown.failed.get("no cells") is None and unknown.failed.get("honest") is None
