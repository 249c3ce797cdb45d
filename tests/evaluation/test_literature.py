import pytest

from restain.errors import RestainError
from restain.evaluation.datasets import find_marker, find_mpp, recognise
from restain.evaluation.literature import PublishedScore, Setting, place_beside, published
from restain.metrics import PROTOCOLS, find_protocol

DATA_SETS = ("mist-her2", "mist-er", "mist-pr", "mist-ki67", "bci")


def test_every_score_says_where_it_comes_from_and_is_possible():
    ranges = {"ssim": (-1, 1), "psnr": (5, 40), "fid": (0, 1000), "kid": (-10, 1000), "lpips": (0, 1)}
    for data_set in DATA_SETS:
        for score in published(data_set):
            assert score.source and score.protocol, score
            low, high = ranges.get(score.metric, (0, 1))
            assert low <= score.value <= high, score


def test_no_score_stands_twice():
    for data_set in DATA_SETS:
        keys = [(one.method, one.metric, one.source) for one in published(data_set)]
        assert len(set(keys)) == len(keys)


def test_a_few_scores_as_printed():
    er = {(one.method, one.metric, one.protocol): one.value for one in published("mist-er")}
    assert er["ASP", "fid", "asp2023"] == 41.4
    assert er["ASP-DGRank (paired)", "r_avg", "unknown"] == 0.7961
    bci = {(one.method, one.metric, one.source[-9:]): (one.value, one.std) for one in published("BCI")}
    assert bci["RegGAN", "psnr", " TMI 2024"] == (18.22, 5.51)


def published_bci(metric="ssim", protocol="bci2022", **changed):
    common = {"data_set": "bci", "split": "test", "n": 977, "size": "1024x1024", "method": "P", "std": None}
    return PublishedScore(
        **common | {"metric": metric, "value": 0.5, "protocol": protocol, "source": "there"} | changed
    )


def setting(protocol="bci2022", **changed):
    common = {"data_set": "bci", "split": "test", "n": 977, "size": "1024x1024"}
    return Setting(protocol=find_protocol(protocol), **common | changed)


def test_a_score_is_comparable_where_all_that_decides_it_agrees():
    assert published_bci().differs(setting()) == []
    assert published_bci().differs(setting("asp2023")) == []  # one and the same SSIM under two names
    assert published_bci().differs(setting("clean")) == ["protocol"]
    assert published_bci("fid", "asp2023").differs(setting("asp2023")) == []
    assert published_bci("fid", "asp2023").differs(setting("bci2022")) == ["protocol"]  # which has no FID
    assert published_bci("fid", "unknown", n=None, size="", split="").differs(setting("clean")) == [
        "protocol",
        "split",
        "n",
        "size",
    ]


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"n": 976}, "n"), ({"size": "512x512"}, "size"), ({"split": "train"}, "split"), ({"data_set": None}, "data set")],
)
def test_one_difference_is_enough(changed, word):
    assert published_bci().differs(setting(**changed)) == [word]
    row = place_beside([published_bci()], setting(**changed)).rows[0]
    assert (row.comparable, row.differs) == (False, [word])


def test_published_protocols_are_known_or_unknown():
    for data_set in DATA_SETS:
        for score in published(data_set):
            assert score.protocol == "unknown" or score.protocol in PROTOCOLS
            assert score.protocol == "unknown" or (score.n and score.size and score.split)


def test_data_sets_are_recognised_by_their_names(tmp_path):
    mist = recognise(["100M2004069_10_9", "100M2004069_10_10"], tmp_path / "MIST" / "HER2" / "TrainValAB" / "valB")
    assert (mist.name, mist.split, mist.stain, mist.mpp) == ("mist-her2", "val", "her2", 0.4661)
    bci = recognise(["00820_test_2+", "00821_test_0"], tmp_path)
    assert (bci.name, bci.split, bci.stain, bci.mpp) == ("bci", "test", "her2", None)
    (tmp_path / "phantom.json").write_text('{"marker": "er", "mpp": 0.25}')
    drawn = recognise(["1_1"], tmp_path / "valB")
    assert (drawn.name, drawn.split, drawn.stain, drawn.mpp) == (None, "val", "er", 0.25)
    assert find_mpp(None, drawn, None, None).value == 0.25 and find_mpp(0.5, drawn, None, None).value == 0.5
    assert (
        find_marker(None, drawn, None, None).value == "nuclear"
        and find_marker("HER-2", drawn, None, None).value == "membrane"
    )
    unknown = recognise(["a"], tmp_path / "other" / "B")
    assert find_mpp(None, unknown, None, None).value is None and find_marker(None, unknown, None, None).value is None
    (tmp_path / "stainer").mkdir()
    (tmp_path / "stainer" / "config.json").write_text('{"mpp": 0.5, "stain": "Ki67"}')
    assert find_mpp(None, unknown, tmp_path, None).value == 0.5  # a run folder with its stainer in it
    assert find_marker(None, unknown, tmp_path / "stainer", None).value == "nuclear"
    with pytest.raises(RestainError, match="marker: 'blue' is not known; expected nuclear, membrane, cytoplasm"):
        find_marker("blue", unknown, None, None)
    with pytest.raises(RestainError, match="is neither a stainer nor a run folder"):
        find_mpp(None, unknown, tmp_path / "nowhere", None)


def test_unknown_data_set_is_one_sentence():
    with pytest.raises(RestainError, match="'mist' is not known; expected one of mist-her2, mist-er, mist-pr"):
        published("mist")
