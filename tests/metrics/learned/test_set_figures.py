"""FID and KID as they are reported: their notes, their spread, the extrapolation."""

import numpy as np
import pytest

from restain.metrics.learned.frechet import fit_gaussian, frechet_distance
from restain.metrics.learned.kernel import kernel_distance
from restain.metrics.learned.set_scores import fid_figure, kid_figure, kid_of_subsets_figure


def rows(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 16)) + shift


def test_fid_says_what_n_means() -> None:
    few, some, many = (fid_figure(rows(n, 0), rows(n, 1, 0.3), seed=0) for n in (20, 200, 2048))
    assert few.details == {} and "20 images are fewer than 2048" in few.note and "at least 128" in few.note
    assert some.details["subset_sizes"][0] == 50 and some.details["subset_sizes"][-1] == 200
    assert some.note.endswith("fid_infinity is a rough guess below that") and some.details["fid_infinity"] < some.value
    assert some.value == frechet_distance(fit_gaussian(rows(200, 0)), fit_gaussian(rows(200, 1, 0.3)))
    assert many.note == "" and many.details["fid_infinity"] == pytest.approx(16 * 0.3**2, rel=0.2)


def test_kid_is_printed_in_thousandths() -> None:
    x, y = rows(50, 0), rows(50, 1, 0.3)
    assert kid_figure(x, y).value == pytest.approx(1000 * kernel_distance(x, y, paired=True))
    assert kid_figure(x, y[:40]).value == pytest.approx(1000 * kernel_distance(x, y[:40]))
    whole = kid_of_subsets_figure(x, y, seed=0)
    assert whole.value == pytest.approx(1000 * kernel_distance(x, y)) and whole.std is None
    assert whole.note == "50 images: every subset is the whole set"
    spread = kid_of_subsets_figure(rows(300, 0), rows(300, 1, 0.3), seed=0)
    assert spread.std is not None and spread.std > 0 and spread.note == "std over 100 subsets"
