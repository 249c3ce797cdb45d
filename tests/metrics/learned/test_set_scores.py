"""FID and KID as they are reported: their notes, their spread, the extrapolation."""

import numpy as np
import pytest

from restain.metrics.learned.frechet import fid_score, fit_gaussian, frechet_distance
from restain.metrics.learned.kernel import kernel_distance, kid_score
from restain.metrics.protocols import find_protocol

ASP = find_protocol("asp2023").kid
CLEAN_FID, PAIRED = find_protocol("clean").kid, find_protocol("clean").kid_paired


def rows(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 16)) + shift


def test_fid_says_what_n_means() -> None:
    few, some, many = (fid_score(rows(n, 0), rows(n, 1, 0.3), seed=0) for n in (20, 200, 2048))
    assert few.details == {} and "20 images are fewer than 2048" in few.note and "at least 128" in few.note
    assert some.details["subset_sizes"][0] == 50 and some.details["subset_sizes"][-1] == 200
    assert some.note.endswith("fid_infinity is a rough guess below that") and some.details["fid_infinity"] < some.value
    assert some.value == frechet_distance(fit_gaussian(rows(200, 0)), fit_gaussian(rows(200, 1, 0.3)))
    assert many.note == "" and many.details["fid_infinity"] == pytest.approx(16 * 0.3**2, rel=0.2)


def test_kid_is_printed_in_thousandths() -> None:
    x, y = rows(50, 0), rows(50, 1, 0.3)
    assert kid_score(x, y, PAIRED, 0).value == pytest.approx(1000 * kernel_distance(x, y, paired=True))
    assert kid_score(x, y[:40], PAIRED, 0).value == pytest.approx(1000 * kernel_distance(x, y[:40]))
    whole = kid_score(x, y, ASP, 0)
    assert whole.value == pytest.approx(1000 * kernel_distance(x, y)) and whole.std is None
    assert whole.note == "50 images: every subset is the whole set"
    spread = kid_score(rows(300, 0), rows(300, 1, 0.3), ASP, 0)
    assert spread.std is not None and spread.std > 0 and spread.note == "std over 100 subsets"


def kid_of_clean_fid(x, y, generator):
    """clean-fid's estimator written from its formula: 100 subsets of min(n, 1000), kernel (x·y / d + 1)³."""
    m, width = min(len(x), len(y), 1000), x.shape[1]
    total = 0.0
    for _ in range(100):
        a, b = (rows[generator.choice(len(rows), m, replace=False)] for rows in (y, x))
        within = (a @ a.T / width + 1) ** 3 + (b @ b.T / width + 1) ** 3
        across = (a @ b.T / width + 1) ** 3
        total += (within.sum() - np.trace(within)) / (m - 1) - 2 * across.sum() / m
    return total / 100 / m


def test_clean_is_the_estimator_of_clean_fid() -> None:
    x, y = rows(300, 0), rows(280, 1, 0.3)
    few = kid_score(x[:40], y[:40], CLEAN_FID, 0)  # every subset is the whole set, so draws do not matter
    assert few.value == pytest.approx(1000 * kid_of_clean_fid(x[:40], y[:40], np.random.default_rng(0)))
    many = kid_score(rows(1100, 0), rows(1100, 1, 0.3), CLEAN_FID, 0)
    expected = kid_of_clean_fid(rows(1100, 0), rows(1100, 1, 0.3), np.random.default_rng(0))
    assert many.value == pytest.approx(1000 * expected, abs=5 * many.std / 10) and many.note == "std over 100 subsets"
