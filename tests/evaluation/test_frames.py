"""The scores as tables of pandas."""

import sys
from pathlib import Path

import numpy as np
import pytest

import restain
from restain.errors import RestainError


def test_scores_and_measures_as_tables(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    options = restain.EvaluationOptions(metrics=["ssim", "dab_mean_od"])
    made = restain.evaluate(folders["real"], folders["fake"], out=tmp_path, source=folders["source"], options=options)
    scores = made.to_frame().set_index(["system", "metric"])
    for system, found in (made.summary.systems | made.summary.baselines).items():
        for metric, score in found.items():
            row = scores.loc[(system, metric)]
            assert row["mean"] == score.mean and row["direction"] == score.direction and row["n"] == 9
            assert score.ci95 is None or (row["low"], row["high"]) == score.ci95
    images = made.to_frame(images=True)
    assert len(images) == 9 * 2 and list(images["id"][:9]) == list(made.ids)
    ours = images[images["system"] == "virtual"]
    assert np.mean(ours["ssim"]) == pytest.approx(made.summary.systems["virtual"]["ssim"].mean)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RestainError, match=r"pandas is not installed.*pip install pandas"):
        made.to_frame()
