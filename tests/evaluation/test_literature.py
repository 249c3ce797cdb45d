import pytest

from restain.errors import RestainError
from restain.evaluation.literature import PublishedScore, place_beside, published

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


def test_only_one_protocol_is_comparable():
    score = PublishedScore("bci", "P", "ssim", 0.477, None, "bci2022", "there")
    assert score.comparable("bci2022") and score.comparable("asp2023")  # one and the same SSIM
    assert not score.comparable("clean")
    fid = PublishedScore("bci", "P", "fid", 92.6, None, "asp2023", "there")
    assert fid.comparable("asp2023") and not fid.comparable("bci2022")
    assert not PublishedScore("bci", "P", "fid", 55.0, None, "unknown", "there").comparable("clean")
    assert place_beside([score], "clean").rows[0].comparable is False


def test_unknown_data_set_is_one_sentence():
    with pytest.raises(RestainError, match="'mist' is not known; expected one of mist-her2, mist-er, mist-pr"):
        published("mist")
