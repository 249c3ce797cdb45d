"""An evaluation that was stopped goes on, and a repeated one reads no image."""

import numpy as np
import pytest

from restain.evaluation import EvaluationOptions, evaluate, measure
from restain.evaluation.kept_measures import KeptMeasures
from restain.images import read_rgb, write_png
from restain.metrics import find_protocol, select_metrics
from restain.weights import cache_folder

OPTIONS = EvaluationOptions(metrics=["ssim", "psnr", "dab_mean_od_error"], groups="none", mpp=0.5)


def rows_on_disk():
    return sorted((cache_folder() / "measures").rglob("*.json"))


def test_a_stopped_evaluation_goes_on_and_ends_the_same(folders, tmp_path, monkeypatch):
    seen = []

    def killed(path):
        seen.append(path)
        if len(seen) > 8:
            raise KeyboardInterrupt
        return read_rgb(path)

    monkeypatch.setattr(measure, "read_rgb", killed)
    monkeypatch.setattr("restain.evaluation.workers.count_workers", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        evaluate(folders["real"], folders["fake"], out=tmp_path / "first", options=OPTIONS)
    kept = len(rows_on_disk())
    assert 0 < kept < 9
    seen.clear()
    monkeypatch.setattr(measure, "read_rgb", lambda path: seen.append(path) or read_rgb(path))
    evaluate(folders["real"], folders["fake"], out=tmp_path / "first", options=OPTIONS)
    assert len(seen) == 2 * (9 - kept)
    monkeypatch.setattr(measure, "read_rgb", lambda path: pytest.fail(f"{path} was read again"))
    again = evaluate(folders["real"], folders["fake"], out=tmp_path / "second", options=OPTIONS)
    for name in ("per_image.csv",):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert again.summary.systems["virtual"]["ssim"].n == 9


def test_another_pixel_protocol_or_scale_is_measured_anew(folders, tmp_path):
    evaluate(folders["real"], folders["fake"], out=tmp_path, options=OPTIONS)
    before = len(rows_on_disk())
    for path in folders["fake"].rglob("*.png"):
        image = read_rgb(path).copy()
        image[0, 0, 0] ^= path.stem == "field3"
        write_png(tmp_path / "fake" / path.relative_to(folders["fake"]), image)
    evaluate(folders["real"], tmp_path / "fake", out=tmp_path / "out", options=OPTIONS)
    assert len(rows_on_disk()) == before + 1
    evaluate(folders["real"], folders["fake"], out=tmp_path / "out", protocol="asp2023", options=OPTIONS)
    assert len(rows_on_disk()) == before + 1 + 9


def test_numbers_come_back_to_the_last_bit_and_a_damaged_row_is_measured_again():
    measures = [one for metric in select_metrics(["ssim"]) for one in metric.measures]
    kept = KeptMeasures(measures, find_protocol("clean"), 0.5)
    row = {"ssim": float(np.nextafter(0.1, 1)), "psnr": float("inf"), "h_score": float("nan")}
    path = kept.path("real", "fake", "source")
    kept.write(path, row)
    assert kept.read(path) == pytest.approx(row, abs=0, rel=0, nan_ok=True)
    path.write_text(path.read_text()[:12])
    assert kept.read(path) is None and kept.read(path.with_name("absent.json")) is None
