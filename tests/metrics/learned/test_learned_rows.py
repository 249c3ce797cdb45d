"""LPIPS and PHV on responses, and the rows of the catalogue."""

import numpy as np
import pytest
import torch

from restain.metrics import CATALOGUE
from restain.metrics.learned.lpips import lpips_distance
from restain.metrics.learned.phv import phv

LEARNED = [one for one in CATALOGUE if one.family == "learned" and not one.name.startswith("features_")]


def test_lpips_is_a_weighted_distance_of_directions() -> None:
    real = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 1)
    fake = torch.tensor([[10.0, 0.0], [0.0, 0.0]]).T.reshape(1, 2, 2, 1)  # one pixel along x, one that is silent
    weights = torch.tensor([0.5, 2.0])
    # pixel 1: (.6 - 1)² .5 + (.8)² 2; pixel 2: .36 .5 + .64 2; the mean of both
    expected = ((0.16 * 0.5 + 0.64 * 2) + (0.36 * 0.5 + 0.64 * 2)) / 2
    assert lpips_distance([real], [fake], [weights]).item() == pytest.approx(expected, rel=1e-6)
    assert lpips_distance([real, real], [fake, real], [weights, weights]).item() == pytest.approx(expected, rel=1e-6)
    assert lpips_distance([real], [7 * real], [weights]).item() == pytest.approx(0.0, abs=1e-12)


def test_lpips_of_a_batch_is_that_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(3, 5, 4, 6, generator=generator) for _ in range(2))
    weights = torch.rand(5, generator=generator)
    together = lpips_distance([real], [fake], [weights])
    alone = [lpips_distance([real[k : k + 1]], [fake[k : k + 1]], [weights]).item() for k in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_phv_counts_channels_beyond_the_threshold() -> None:
    real = np.array([0.0, 1.0, 2.0, 3.0])
    assert phv(real, real + np.array([0.009, -0.011, 0.5, 0.0])) == 0.5
    assert phv(real, real) == 0.0
    assert phv(real, real + 1, threshold=2.0) == 0.0


def test_every_row_says_how_to_read_it() -> None:
    assert [metric.name for metric in LEARNED] == [
        *("lpips_alex", "lpips_vgg", "st_lpips_alex", "st_lpips_vgg"),
        *("phv_layer1", "phv_layer2", "phv_layer3", "phv_layer4", "phv_avg"),
        *("fid", "fid_tf", "kid", "kid_paired"),
    ]
    for metric in LEARNED:
        assert metric.direction == "lower"
        assert metric.source and metric.weakness and metric.range and metric.definition
        assert bool(metric.columns) == (metric.level == "image")
    average = next(metric for metric in LEARNED if metric.name == "phv_avg")
    np.testing.assert_allclose(average.combine(*np.arange(8.0).reshape(4, 2)), [3.0, 4.0])
