"""Cell by cell on masks that a user gave."""

import numpy as np
import pytest

from restain.metrics.cells.given_nuclei import COLUMNS, GIVEN_NUCLEI, compare_cells, density_under_labels
from restain.metrics.metric import estimate
from restain.stains import DAB, HEMATOXYLIN, compose


def cells_of(images=12, seed=0):
    """Densities of cells, image by image, real and virtual."""
    generator = np.random.default_rng(seed)
    real = [generator.gamma(1.0, 0.25, generator.integers(5, 40)) for _ in range(images)]
    return real, [np.maximum(one * 0.8 + generator.normal(0, 0.1, len(one)), 0) for one in real]


def area_by_hand(truth, score):
    """Share of pairs of a positive and a negative cell that are in the right order."""
    pairs = np.sign(score[truth][:, None] - score[~truth][None])
    return ((pairs + 1) / 2).mean()


def test_scores_are_those_of_all_cells_together():
    real, fake = cells_of()
    columns = compare_cells(real, fake)
    truth, called = np.concatenate(real) >= 0.2, np.concatenate(fake) >= 0.2
    tp, fp, fn, tn = (
        (truth & called).sum(),
        (~truth & called).sum(),
        (truth & ~called).sum(),
        (~truth & ~called).sum(),
    )
    expected = {
        "cell_auroc": area_by_hand(truth, np.concatenate(fake)),
        "cell_balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "cell_f1": 2 * tp / (2 * tp + fp + fn),
    }
    found = {metric.name: estimate(metric, columns, seed=0) for metric in GIVEN_NUCLEI}
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)
    for one in found.values():
        assert one.ci95[0] < one.value < one.ci95[1] and one.n == len(real)


def test_the_interval_of_the_area_is_that_of_resampled_images():
    real, fake = cells_of(40, seed=1)
    found = estimate(GIVEN_NUCLEI[0], compare_cells(real, fake), seed=0)
    generator, areas = np.random.default_rng(1), []
    for _ in range(400):
        drawn = generator.integers(40, size=40)
        truth = np.concatenate([real[index] for index in drawn]) >= 0.2
        areas.append(area_by_hand(truth, np.concatenate([fake[index] for index in drawn])))
    assert found.ci95 == pytest.approx(np.percentile(areas, [2.5, 97.5]), abs=0.012)


def test_a_constant_stain_is_at_chance_and_the_truth_is_perfect():
    real, _ = cells_of()
    for fake, area, f1 in ((real, 1.0, 1.0), ([np.zeros_like(one) for one in real], 0.5, 0.0)):
        columns = compare_cells(real, fake)
        assert estimate(GIVEN_NUCLEI[0], columns, seed=0).value == pytest.approx(area)
        assert estimate(GIVEN_NUCLEI[2], columns, seed=0).value == pytest.approx(f1)
    assert set(columns) == set(COLUMNS)


def test_density_is_that_of_the_nucleus_or_of_what_surrounds_it():
    y, x = np.mgrid[:40, :40]
    distance = np.hypot(y - 20, x - 20)
    labels = (distance <= 7).astype(np.int32)
    for marker, place in (
        ("nuclear", distance <= 8),
        ("cytoplasm", (distance > 7) & (distance < 14)),
        (None, distance <= 8),
    ):
        light = compose(np.stack([np.full(place.shape, 0.2), 0.7 * place], -1), [HEMATOXYLIN, DAB])
        rgb = np.round(255 * light).astype(np.uint8)
        assert density_under_labels(rgb, labels, 0.5, marker) == pytest.approx([0.7], abs=0.02)
