import subprocess
import sys

import pytest

from restain.errors import RestainError
from restain.metrics import PROTOCOLS, find_protocol
from restain.metrics.catalogue import CATALOGUE, explain, select_metrics
from restain.metrics.learned.networks import LearnedMetrics


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
    assert "better" in text or "neither is better" in text


def test_all_and_unknown():
    listed = explain("all").splitlines()
    assert [line.split()[0] for line in listed] == [metric.name for metric in CATALOGUE]
    with pytest.raises(RestainError, match="'sim' is not known"):
        explain("sim")


def test_metrics_are_listed_and_explained_without_torch():
    code = "import sys; from restain.metrics import explain; explain('all'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_protocol_holds_all_settings_and_an_unknown_one_is_refused():
    for protocol in PROTOCOLS.values():
        assert protocol.section("ssim") is protocol.ssim
    with pytest.raises(RestainError, match="protocol: 'asp' is not known; expected one of clean, asp2023"):
        find_protocol("asp")
    for name in ("bci2022", "skimage018"):  # published without them, so nothing stands in from another protocol
        learned = LearnedMetrics(find_protocol(name), select_metrics(["fid", "kid", "phv_avg"]), seed=0, device="cpu")
        assert set(learned.missing.values()) == {f"the protocol {name} does not define it"}
        assert learned.weights == {}
