import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console
from scipy import stats
from skimage.metrics import structural_similarity

from restain.console.evaluation import print_evaluation
from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation import workers as module
from restain.evaluation.schema import read_summary, to_json
from restain.images import read_rgb, write_png
from restain.metrics import CATALOGUE

COUNT = 9
ONLY_SSIM = EvaluationOptions(metrics=["ssim"])


@pytest.fixture(scope="module")
def outcome(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return evaluate(**folders, out=out, options=EvaluationOptions(mpp=0.5)), out


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_those_of_the_images(folders, outcome):
    evaluation, out = outcome
    rows = read_csv(out / "per_image.csv")
    assert [row["id"] for row in rows] == sorted(f"slide{i % 2}/field{i}" for i in range(COUNT))
    expected = [
        structural_similarity(
            *(read_rgb(folders[role] / f"{row['id']}.png") for role in ("real", "fake")),
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for row in rows
    ]
    assert [float(row["ssim"]) for row in rows] == pytest.approx(expected, abs=1e-6)
    score = evaluation.summary.systems["virtual"]["ssim"]
    assert score.mean == pytest.approx(np.mean(expected))
    assert score.std == pytest.approx(np.std(expected, ddof=1))
    assert score.ci95[0] < score.mean < score.ci95[1]
    assert (score.n, score.protocol, score.direction) == (COUNT, "clean", "higher")


def test_set_scores_follow_from_the_per_image_file(outcome):
    _, out = outcome
    rows = read_csv(out / "per_image.csv")
    metrics = json.loads((out / "summary.json").read_text(encoding="utf-8"))["systems"]["virtual"]
    column = {name: np.array([float(row[name] or "nan") for row in rows]) for name in list(rows[0])[2:]}
    by_scipy = {
        name: stats.pearsonr(column[measure], column[f"{measure}_real"]).statistic
        for name, measure in (
            ("dab_pearson_r", "dab_mean_od"),
            ("dab_positive_area_pearson_r", "dab_positive_area"),
            ("r_pathology", "dab_iod"),
        )
    }
    assert {name: metrics[name]["mean"] for name in by_scipy} == pytest.approx(by_scipy, abs=1e-6)
    assert metrics["dab_iod_error"]["mean"] == pytest.approx(
        np.abs(column["dab_iod"] - column["dab_iod_real"]).mean(), rel=1e-6
    )
    assert metrics["r_avg"]["mean"] == pytest.approx(
        (metrics["r_content"]["mean"] + metrics["r_pathology"]["mean"]) / 2
    )


def test_summary_says_what_it_is_about(folders, outcome):
    evaluation, out = outcome
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary == to_json(evaluation.summary) and read_summary(out / "summary.json") == evaluation.summary
    assert (summary["n"], summary["resolution"], summary["protocol"], summary["seed"]) == (COUNT, "48x40", "clean", 0)
    assert summary["folders"] == {role: str(path.resolve()) for role, path in folders.items()}
    assert summary["versions"]["numpy"] == np.__version__
    too_small = {"ms_ssim", "dab_grid_r"}
    needs_more = {one.name for one in CATALOGUE if one.name.startswith(("cell_", "her2_"))}
    expected = {one.name for one in CATALOGUE if one.family != "learned"} - too_small - needs_more
    kappas = {"ki67_kappa", "hormone_receptor_kappa"}  # of classes that such small fields are hardly ever in
    assert set(summary["systems"]["virtual"]) - kappas == expected - kappas
    assert "at least 176 pixels" in summary["not_computed"]["ms_ssim"]


def test_baselines_are_evaluated_like_the_stain(outcome):
    evaluation, out = outcome
    unchanged, transfer = evaluation.baselines
    assert (unchanged.name, transfer.name) == ("H&E unchanged", "colour transfer")
    assert unchanged.estimates["r_content"].value == pytest.approx(1)  # a copied H&E
    assert transfer.estimates["r_content"].value > 0.8
    assert evaluation.virtual.estimates["ssim"].value > unchanged.estimates["ssim"].value
    rows = read_csv(out / "per_image_baselines.csv")
    assert [row["system"] for row in rows] == ["H&E unchanged"] * COUNT + ["colour transfer"] * COUNT
    assert evaluation.summary.baselines["colour transfer"]["psnr"].unit == "dB"


def test_identical_folders(folders, tmp_path):
    evaluation = evaluate(folders["real"], folders["real"], out=tmp_path)
    metrics = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["systems"]["virtual"]
    assert metrics["ssim"]["mean"] == pytest.approx(1)
    assert metrics["psnr"] == metrics["psnr"] | {"mean": "inf", "std": None, "ci95": None}
    assert all(metrics[name]["mean"] == 0 for name in metrics if name.endswith("_error"))
    assert metrics["r_pathology"]["mean"] == pytest.approx(1)
    reasons = evaluation.summary.not_computed
    assert "infinite" in reasons["psnr ci95"]
    assert all("H&E images" in reasons[name] for name in ("r_content", "r_avg", "H&E unchanged", "colour transfer"))
    assert {row["psnr"] for row in read_csv(tmp_path / "per_image.csv")} == {"inf"}


def test_workers_and_place_do_not_change_a_score(folders, outcome, tmp_path, monkeypatch):
    for role, folder in folders.items():
        copy = tmp_path / "elsewhere" / role
        for path in sorted(folder.rglob("*.png"), reverse=True):  # another order of creation
            (copy / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    monkeypatch.setattr(module, "count_workers", lambda: 5)
    moved = {role: tmp_path / "elsewhere" / role for role in folders}
    again = evaluate(**moved, out=tmp_path / "out", options=EvaluationOptions(mpp=0.5))
    first, out = outcome
    neither = {"folders": {}, "created": ""}
    assert again.summary.model_copy(update=neither) == first.summary.model_copy(update=neither)
    for name in ("per_image.csv", "per_image_baselines.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()


def test_one_changed_pixel_changes_the_fingerprint(folders, outcome, tmp_path):
    for path in folders["fake"].rglob("*.png"):
        image = read_rgb(path).copy()
        if path.stem == "field3":
            image[0, 0, 0] ^= 1
        write_png(tmp_path / "fake" / path.relative_to(folders["fake"]), image)
    changed = evaluate(**folders | {"fake": tmp_path / "fake"}, out=tmp_path / "out", options=ONLY_SSIM)
    assert changed.summary.files_sha256 != outcome[0].summary.files_sha256


def test_protocol_moves_ssim_and_not_psnr(folders, outcome, tmp_path):
    other = evaluate(folders["real"], folders["fake"], out=tmp_path, protocol="asp2023").summary.systems["virtual"]
    clean = outcome[0].summary.systems["virtual"]
    assert other["ssim"].mean != pytest.approx(clean["ssim"].mean, abs=1e-4)
    assert other["psnr"] == clean["psnr"].model_copy(update={"protocol": "asp2023"})


def test_a_rerun_without_source_leaves_no_stale_baselines(folders, tmp_path):
    evaluate(folders["real"], folders["fake"], out=tmp_path, source=folders["source"], options=ONLY_SSIM)
    assert (tmp_path / "per_image_baselines.csv").exists()
    without_reference = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert set(without_reference["baselines"]) == {"H&E unchanged"}
    assert "training IHC" in without_reference["not_computed"]["colour transfer"]
    evaluate(folders["real"], folders["fake"], out=tmp_path, options=ONLY_SSIM)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["per_image.csv", "summary.json"]


def test_a_blank_stain_has_no_correlations_and_says_so(folders, tmp_path):
    for path in folders["fake"].rglob("*.png"):
        write_png(tmp_path / "blank" / path.relative_to(folders["fake"]), np.full_like(read_rgb(path), 255))
    evaluation = evaluate(folders["real"], tmp_path / "blank", out=tmp_path / "out", source=folders["source"])
    reasons = evaluation.summary.not_computed
    assert {"r_content", "r_pathology", "r_avg", "dab_pearson_r"} <= set(reasons)
    assert read_csv(tmp_path / "out" / "per_image.csv")[0]["r_content"] == ""


def test_few_images_have_scores_without_intervals(folders, tmp_path):
    for role in ("real", "fake"):
        write_png(tmp_path / role / "a.png", read_rgb(folders[role] / "slide1" / "field1.png"))
    summary = evaluate(tmp_path / "real", tmp_path / "fake", out=tmp_path / "out").summary
    assert summary.systems["virtual"]["ssim"].ci95 is None
    assert "at least 8 images" in summary.not_computed["ssim ci95"]
    assert "at least 3 images" in summary.not_computed["r_pathology"]


def test_mixed_sizes_are_named(folders, tmp_path):
    for role in ("real", "fake"):
        image = read_rgb(folders[role] / "slide1" / "field3.png")
        write_png(tmp_path / role / "small.png", image[:16, :24])
        write_png(tmp_path / role / "large.png", image[:32, :24])
    assert evaluate(tmp_path / "real", tmp_path / "fake", out=tmp_path / "out").summary.resolution == (
        "mixed (24x16 to 24x32)"
    )


def break_truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


def break_grey(path):
    Image.new("L", (48, 40), 128).save(path)


def break_translucent(path):
    Image.new("RGBA", (48, 40), (200, 150, 150, 128)).save(path)


def break_deep_grey(path):
    Image.new("I;16", (48, 40), 128).save(path)


def break_deep_colour(path):
    tifffile.imwrite(path, np.zeros((40, 48, 3), np.uint16), photometric="rgb")  # the content decides, not the suffix


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (break_truncated, r"field3\.png: cannot be read as an image \(.*\); is it truncated\?"),
        (break_grey, r"field3\.png: has shape \(40, 48\); expected an RGB image"),
        (break_translucent, r"field3\.png: has a translucent alpha channel; expected an opaque RGB image"),
        (break_deep_colour, r"field3\.png: has uint16 pixels; expected 8 bits per channel"),
        (break_deep_grey, r"field3\.png: has 16 bits per channel; expected 8 bits per channel"),
    ],
)
def test_bad_images_are_refused_and_nothing_is_written(folders, tmp_path, spoil, sentence):
    for path in folders["fake"].rglob("*.png"):
        copy = tmp_path / "fake" / path.relative_to(folders["fake"])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    spoil(tmp_path / "fake" / "slide1" / "field3.png")
    with pytest.raises(RestainError, match=sentence):
        evaluate(folders["real"], tmp_path / "fake", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_arguments_are_refused(folders, tmp_path):
    real, fake = folders["real"], folders["fake"]
    with pytest.raises(RestainError, match="protocol: 'best' is not known"):
        evaluate(real, fake, out=tmp_path, protocol="best")
    with pytest.raises(RestainError, match="seed: is -1; expected a whole number, 0 or more"):
        evaluate(real, fake, out=tmp_path, seed=-1)
    with pytest.raises(RestainError, match=r"seed: is 1\.5; expected a whole number"):
        evaluate(real, fake, out=tmp_path, seed=1.5)
    with pytest.raises(RestainError, match=r"mpp: is '0\.5'; expected microns per pixel"):
        evaluate(real, fake, out=tmp_path, options=EvaluationOptions(mpp="0.5"))
    with pytest.raises(RestainError, match="metrics: is the text 'stain'; expected a list"):
        evaluate(real, fake, out=tmp_path, options=EvaluationOptions(metrics="stain"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RestainError, match="is a file; expected a folder"):
        evaluate(real, fake, out=tmp_path / "file")
    with pytest.raises(RestainError, match="file: is a file; expected a folder"):
        evaluate(real, fake, out=tmp_path / "file" / "below")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestainError, match=r"reference folder .*empty: holds no image"):
        evaluate(real, fake, out=tmp_path, source=folders["source"], reference=tmp_path / "empty")
    with pytest.raises(RestainError, match="source has no slide0/field0"):
        evaluate(real, fake, out=tmp_path, source=folders["reference"])


def test_a_scale_that_no_cell_can_be_seen_at_is_refused_only_where_cells_are_wanted(folders, tmp_path):
    for mpp in (0.0, float("nan"), float("inf")):
        with pytest.raises(RestainError, match="expected microns per pixel above 0"):
            evaluate(
                folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(metrics=["ssim"], mpp=mpp)
            )
    with pytest.raises(RestainError, match=r"mpp: is 2; cells can be counted at 0\.1 to 1 .*without the family cells"):
        evaluate(folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(mpp=2))
    coarse = evaluate(
        folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(metrics=["ssim"], mpp=2)
    )
    assert coarse.summary.mpp == 2


def test_the_table_shows_every_score_with_a_direction_and_what_is_missing(folders, outcome, tmp_path):
    console = Console(record=True, width=120, file=io.StringIO())
    print_evaluation(outcome[0], console)
    print_evaluation(evaluate(folders["real"], folders["real"], out=tmp_path), console)
    text = console.export_text()
    assert all(metric.name in text for metric in CATALOGUE if metric.direction != "none")
    assert "dab_iod_real" not in text  # describes, and stands in summary.json
    assert f"{outcome[0].virtual.estimates['ssim'].value:.3f} (" in text
    assert "H&E unchanged" in text
    assert "not computed: r_content, r_avg, H&E unchanged, colour transfer: needs the H&E images" in text
    assert "without interval: 1 scores: an image has an infinite value" in text
    assert math.isinf(evaluate(folders["real"], folders["real"], out=tmp_path).virtual.estimates["psnr"].value)
    assert " inf " in text


def test_shifted_truth_scores_below_the_unchanged_source_on_real_tissue(tmp_path):
    """Why no table ranks on SSIM alone: the true stain, shifted as consecutive sections are, loses to the H&E."""
    data = Path(__file__).parents[3] / "shared" / "data" / "hemit_ck"
    if not data.is_dir():
        pytest.skip(f"{data} is not there: real tissue is kept outside the repository")
    for role, folder in (("real", "valB"), ("fake", "valB_weak"), ("source", "valA")):
        for path in sorted((data / folder).glob("*.jpg"))[:6]:
            (tmp_path / role).mkdir(exist_ok=True)
            (tmp_path / role / path.name).symlink_to(path.resolve())
    only = EvaluationOptions(metrics=["ssim", "dab_pearson_r"])
    folders = {name: tmp_path / name for name in ("real", "fake", "out", "source")}
    evaluation = evaluate(**folders, options=only)
    shifted, unchanged = evaluation.virtual.estimates, evaluation.baselines[0].estimates
    assert shifted["ssim"].value < unchanged["ssim"].value
    assert shifted["dab_pearson_r"].value > 0.98 > unchanged["dab_pearson_r"].value
