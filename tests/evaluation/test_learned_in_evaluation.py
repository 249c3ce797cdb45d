"""How an evaluation asks the networks: which files, for which system, and what it makes of the answers."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from restain.cli import app
from restain.evaluation import EvaluationOptions, evaluate
from restain.images import read_rgb
from restain.metrics import NotComputed
from restain.metrics.measures import SetScore


class Networks:
    """In place of LearnedMetrics: LPIPS is the distance of two mean greys, FID that of the sets; KID lacks weights."""

    def __init__(self, protocol, metrics, *, seed, batch, device):
        wanted = {metric.name for metric in metrics}
        lacking = "no weights; get it: restain weights fetch inception-fid"
        learned = {metric.name for metric in metrics if metric.family == "learned"}
        self.missing = dict.fromkeys(learned - {"lpips_alex", "fid"}, lacking)
        self.weights = {name: {"name": name, "sha256": "0"} for name in ("lpips_alex", "fid") if name in wanted}

    @property
    def of_sets(self):
        return ["fid"] if "fid" in self.weights else []

    def columns(self, real_paths, fake_paths):
        pairs = zip(real_paths, fake_paths, strict=True)
        gaps = [abs(read_rgb(real).mean() - read_rgb(fake).mean()) for real, fake in pairs]
        return {"lpips_alex": np.array(gaps)} if "lpips_alex" in self.weights else {}

    def sets(self, real_paths, fake_paths):
        real, fake = (np.mean([read_rgb(path).mean() for path in paths]) for paths in (real_paths, fake_paths))
        return {"fid": SetScore(abs(real - fake), None, "few images", {"fid_infinity": 1.5})}


class Speechless(Networks):
    def sets(self, real_paths, fake_paths):
        raise NotComputed("a set has fewer than 2 images")


@pytest.fixture
def evaluated(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("restain.metrics.learned.networks.LearnedMetrics", Networks)
    return evaluate(
        **folders, out=tmp_path / "out", options=EvaluationOptions(metrics=["learned", "dab_mean_od_error"])
    )


def test_a_command_that_could_compute_nothing_ends_with_status_1(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("restain.metrics.learned.networks.LearnedMetrics", Networks)
    words = ["evaluate", "--real", str(folders["real"]), "--fake", str(folders["fake"]), "--out", str(tmp_path / "out")]
    done = {metric: CliRunner().invoke(app, [*words, "--metrics", metric]) for metric in ("kid", "fid")}
    assert {metric: one.exit_code for metric, one in done.items()} == {"kid": 1, "fid": 0}
    assert "no weights" in done["kid"].output


def test_columns_are_per_image_scores_like_any_other(folders, evaluated):
    greys = {
        role: np.array([read_rgb(folders[role] / f"{name}.png").mean() for name in evaluated.ids])
        for role in ("real", "fake", "source")
    }
    expected = np.abs(greys["real"] - greys["fake"])
    assert evaluated.virtual.columns["lpips_alex"] == pytest.approx(expected)
    score = evaluated.summary.systems["virtual"]["lpips_alex"]
    assert score.mean == pytest.approx(expected.mean()) and score.ci95
    unchanged, transfer = evaluated.baselines
    assert unchanged.columns["lpips_alex"] == pytest.approx(np.abs(greys["real"] - greys["source"]))
    assert np.isfinite(transfer.columns["lpips_alex"]).all()  # its images are files, for as long as they are needed
    assert "lpips_alex" in (evaluated.out / "per_image.csv").read_text(encoding="utf-8").splitlines()[0]


def test_scores_of_sets_keep_their_note_and_have_no_interval(evaluated):
    summary = json.loads((evaluated.out / "summary.json").read_text(encoding="utf-8"))
    score = summary["systems"]["virtual"]["fid"]
    assert (score["note"], score["details"], score["ci95"]) == ("few images", {"fid_infinity": 1.5}, None)
    assert "no value for each image" in summary["not_computed"]["fid ci95"]
    of_fid = [entry for entry in summary["comparisons"] if entry["metric"] == "fid"]
    assert {entry["test"] for entry in of_fid} == {"no test: a distance between sets has no value for each image"}
    assert of_fid[0]["difference"] == pytest.approx(
        score["mean"] - summary["baselines"]["H&E unchanged"]["fid"]["mean"]
    )
    assert summary["weights"]["fid"] == {"name": "fid", "sha256": "0", "heads_sha256": None}
    assert "learned" in summary["ranking"]["by_family"]


def test_missing_weights_are_one_reason_with_its_command_and_the_rest_still_runs(evaluated):
    reasons = evaluated.summary.not_computed
    assert reasons["kid"].endswith("restain weights fetch inception-fid")
    assert not [name for name in reasons if name.endswith(": kid")]
    assert "dab_mean_od_error" in evaluated.summary.systems["virtual"]


def test_sets_too_small_for_a_distance_are_a_reason(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("restain.metrics.learned.networks.LearnedMetrics", Speechless)
    options = EvaluationOptions(metrics=["fid", "lpips_alex"])
    summary = evaluate(folders["real"], folders["fake"], out=tmp_path, options=options).summary
    assert summary.not_computed["fid"] == "a set has fewer than 2 images"
    assert "lpips_alex" in summary.systems["virtual"]


def test_without_weights_every_learned_metric_names_its_command(folders, tmp_path):
    options = EvaluationOptions(metrics=["learned", "ssim"])
    summary = evaluate(folders["real"], folders["fake"], out=tmp_path, options=options).summary
    assert list(summary.systems["virtual"]) == ["ssim"] and summary.weights == {}
    for name in ("fid", "kid", "lpips_alex", "lpips_vgg", "phv_avg"):
        assert "restain weights fetch " in summary.not_computed[name]


def test_transfers_are_lossless_files(folders, tmp_path, monkeypatch):
    seen = []

    class Watching(Networks):
        def columns(self, real_paths, fake_paths):
            seen.extend(fake_paths)
            with Image.open(fake_paths[0]) as image:
                assert image.mode == "RGB"
            return super().columns(real_paths, fake_paths)

    monkeypatch.setattr("restain.metrics.learned.networks.LearnedMetrics", Watching)
    evaluate(**folders, out=tmp_path, options=EvaluationOptions(metrics=["lpips_alex"]))
    assert {path.suffix for path in seen[-9:]} == {".png"}
    assert not any(path.exists() for path in seen[-9:])
