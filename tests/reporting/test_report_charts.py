import re

import numpy as np

from restain.reporting.charts import curves, running_mean
from restain.reporting.tables import Table


def words(svg: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", text) for text in re.findall(r"<text.*?</text>", svg, re.DOTALL)]


def test_running_mean_equals_a_plain_loop_that_skips_what_is_not_finite() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    values[[3, 4, 20]] = np.nan, np.inf, -np.inf
    window, half = 7, 3
    expected = []
    for centre in range(40):
        near = values[max(0, centre - half) : centre + half + 1]
        expected.append(np.mean([value for value in near if np.isfinite(value)]))
    np.testing.assert_allclose(running_mean(values, window), expected, atol=1e-12)


def test_running_mean_of_nothing_finite_is_nan_and_of_a_constant_is_the_constant() -> None:
    assert np.isnan(running_mean(np.array([np.nan, np.inf]), 5)).all()
    np.testing.assert_allclose(running_mean(np.full(3, 2.0), 99), 2.0)


def test_curves_have_a_panel_for_each_column_with_numbers_and_none_for_the_counters() -> None:
    steps = tuple(str(step) for step in range(1, 21))
    log = Table(
        {
            "step": steps,
            "epoch": ("0",) * 20,
            "progress": ("0.1",) * 20,
            "lr": ("0.0002",) * 20,
            "D": (*("0.5",) * 10, "nan", "inf", *("0.4",) * 8),
            "note": ("words",) * 20,
            "horizon": steps,
        }
    )
    found = words(curves(log) or "")
    assert [text for text in found if text in ("D", "horizon T (diffusion steps)", "learning rate")] == [
        "D",
        "horizon T (diffusion steps)",
        "learning rate",
    ]
    assert not {"epoch", "progress", "note"} & set(found)
    assert curves(Table({"step": steps})) is None


def test_charts_are_the_same_each_time() -> None:
    log = Table({"step": ("1", "2", "3"), "G": ("3", "2", "1")})
    assert curves(log) == curves(log)
