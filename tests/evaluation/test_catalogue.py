import pytest

from restain.errors import RestainError
from restain.evaluation.catalogue import CATALOGUE, explain, select_metrics


def test_names_and_families_select_in_the_order_of_the_catalogue():
    assert select_metrics([]) == CATALOGUE
    assert [metric.name for metric in select_metrics(["psnr", " ssim"])] == ["ssim", "psnr"]
    assert {metric.family for metric in select_metrics(["cells", "ssim"])} == {"cells", "pixels"}


@pytest.mark.parametrize("word", ["r_content", "r_avg", "content"])
def test_content_never_stands_without_pathology(word):
    assert [metric.name for metric in select_metrics([word])] == ["r_content", "r_pathology", "r_avg"]
    assert "r_content" not in {metric.name for metric in select_metrics(["r_pathology"])}
    assert explain("r_avg").startswith("r_avg\n") and "r_pathology\n" not in explain("r_avg")


def test_names_are_unique_and_no_family():
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    assert not set(names) & {metric.family for metric in CATALOGUE}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_explains_itself(metric):
    text = explain(metric.name)
    for part in (metric.definition, metric.range, metric.source, metric.weakness):
        assert part and part in text
    assert "better" in text or "does not judge" in text


def test_all_and_unknown():
    listed = explain("all").splitlines()
    assert [line.split()[0] for line in listed] == [metric.name for metric in CATALOGUE]
    with pytest.raises(RestainError, match="'sim' is not known"):
        explain("sim")
