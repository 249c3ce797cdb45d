"""LPIPS on real weights equals the stock package, where the weights are at hand."""

import runpy
from pathlib import Path

import pytest

from restain.metrics.learned.extractor import PerceptualDistance
from restain.weights import find_weights, list_weights

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "lpips_agreement.py"))


@pytest.mark.parametrize(
    ("column", "network", "heads"), [(0, "alexnet-imagenet", "lpips-alex"), (1, "vgg16-imagenet", "lpips-vgg")]
)
def test_lpips_equals_the_stock_package_on_real_weights(column: int, network: str, heads: str) -> None:
    if {one.file.name: one.state for one in list_weights()}[network] != "present":
        pytest.skip(f"the weights {network} are not here; restain weights list says where they are looked for")
    distance = PerceptualDistance(find_weights(network), find_weights(heads))
    for name, image, worse in BENCHMARK["pairs"]():
        assert distance(image, worse) == pytest.approx(BENCHMARK["STOCK"][name][column], abs=1e-5)
