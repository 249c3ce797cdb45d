"""A lab's own nuclei and features, masks, a second section of the truth, and pictures of what was counted."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from restain.console.evaluation import print_evaluation
from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.overlays import COLOURS
from restain.images import read_rgb, write_png
from restain.metrics.cells.given_nuclei import compare_cells, density_under_labels
from restain.phantoms import Consecutive, PhantomOptions, phantom

COUNT = 9


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    """Nine consecutive pairs of virtual tissue: H&E, the next section's IHC, and the IHC of the H&E's own section."""
    root = tmp_path_factory.mktemp("tissue") / "er"
    options = PhantomOptions(val_fraction=1.0, consecutive=Consecutive(warp=2, shift=4, rotation=0.5, turnover=0.1))
    phantom("er", root, pairs=COUNT, size=128, seed=5, options=options)
    return {
        "he": root / "valA",
        "next": root / "valB",
        "truth": root / "truth" / "val" / "aligned",
        "cells": root / "truth" / "val" / "cells",
    }


def ids(folder):
    return sorted(path.stem for path in folder.glob("*.png"))


def measured(tissue, out, **options):
    return evaluate(
        tissue["truth"],
        {"ours": tissue["next"]},
        out=out,
        source=tissue["he"],
        options=EvaluationOptions(**{"marker": "er", "mpp": 0.5, "groups": "none", "metrics": ["cells"]} | options),
    )


@pytest.fixture(scope="module")
def labels(tissue, tmp_path_factory):
    """A disc of 3 µm at every true nucleus, as a detector of the user's own would give."""
    folder = tmp_path_factory.mktemp("labels")
    y, x = np.mgrid[:128, :128]
    for path in tissue["cells"].glob("*.csv"):
        image = np.zeros((128, 128), np.uint16)
        with path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                image[np.hypot(y - float(row["y"]), x - float(row["x"])) <= 6] = 1000 + number
        np.save(folder / f"{path.stem}.npy", image)
    return folder


def test_cells_under_given_nuclei_are_compared_one_by_one(tissue, labels, tmp_path):
    metrics = ["cell_auroc", "cell_f1"]
    evaluation = measured(tissue, tmp_path, nuclei=labels, repeat=tissue["truth"], metrics=metrics)
    found = evaluation.systems[0].estimates
    assert 0.5 < found["cell_auroc"].value < 1 and found["cell_auroc"].ci95 is not None
    assert evaluation.ceiling[0].estimates["cell_auroc"].value == 1
    assert evaluation.baselines[0].estimates["cell_auroc"].value < found["cell_auroc"].value
    densities = [
        [
            density_under_labels(
                read_rgb(tissue[side] / f"{name}.png"),
                np.unique(np.load(labels / f"{name}.npy"), return_inverse=True)[1].reshape(128, 128).astype(np.int32),
                0.5,
                "nuclear",
            )
            for name in evaluation.ids
        ]
        for side in ("truth", "next")
    ]
    expected = compare_cells(*densities)
    assert all(np.array_equal(evaluation.systems[0].columns[name], column) for name, column in expected.items())
    assert "cell_auroc" in evaluation.summary.ranking.metrics


def test_without_nuclei_or_features_the_reason_says_which_option_helps(tissue, tmp_path):
    reasons = measured(tissue, tmp_path, metrics=["cells", "features_frechet"]).summary.not_computed
    assert reasons["cell_f1"] == "needs label images of nuclei; give their folder as nuclei"
    assert reasons["features_frechet"] == "needs feature vectors of the images; give their file as features"
    assert reasons["her2_band"] == "is for membrane markers" and reasons["ki67_kappa"] == "is for KI67"


def test_wrong_nuclei_are_refused_and_nothing_is_written(tissue, labels, tmp_path):
    (tmp_path / "few").mkdir()
    np.save(tmp_path / "few" / f"{ids(tissue['truth'])[0]}.npy", np.zeros((128, 128), np.int32))
    with pytest.raises(RestainError, match=r"nuclei: .*few has no label image .*of 0"):
        measured(tissue, tmp_path / "out", nuclei=tmp_path / "few")
    with pytest.raises(RestainError, match=r"nuclei: .*absent: no such folder"):
        measured(tissue, tmp_path / "out", nuclei=tmp_path / "absent")
    for path in labels.iterdir():
        np.save(tmp_path / "few" / path.name, np.load(path)[:64])
    with pytest.raises(RestainError, match=r"is uint16 of shape \(64, 128\); expected whole numbers"):
        measured(tissue, tmp_path / "out", nuclei=tmp_path / "few")
    assert not (tmp_path / "out").exists()


def test_a_second_section_is_scored_and_takes_no_part_in_the_ranks(tissue, tmp_path):
    alone = measured(tissue, tmp_path / "alone", metrics=["stain", "place"])
    beside = measured(tissue, tmp_path / "beside", metrics=["stain", "place"], repeat=tissue["truth"])
    assert beside.summary.ceiling["second section"]["dab_mean_od_error"].mean == 0
    assert beside.summary.ranking == alone.summary.ranking and beside.summary.verdict == alone.summary.verdict
    assert beside.summary.comparisons == alone.summary.comparisons
    text = (tmp_path / "beside" / "per_image_baselines.csv").read_text()
    assert text.count("second section") == COUNT
    console = Console(record=True, width=160, file=io.StringIO())
    print_evaluation(beside, console)
    (line,) = [one for one in console.export_text().splitlines() if one.startswith("│ dab_mean_od_error ↓")][:1]
    assert [cell.split()[0] for cell in line.strip("│").split("│")][3] == "0"
    assert any("second section" in warning and "byte for byte" in warning for warning in beside.summary.warnings)
    assert beside.summary.files_sha256 != alone.summary.files_sha256


def test_virtual_tissue_of_consecutive_sections_brings_its_second_section(tissue, tmp_path):
    options = EvaluationOptions(metrics=["dab_mean_od_error", "dab_dice"], groups="none")
    summary = evaluate(tissue["next"], tissue["next"], out=tmp_path, source=tissue["he"], options=options).summary
    assert summary.folders["repeat"] == str(tissue["truth"].resolve())
    assert 0 < summary.ceiling["second section"]["dab_dice"].mean < 1
    moved = tmp_path / "valB"
    for name in ids(tissue["next"]):
        write_png(moved / f"{name}.png", read_rgb(tissue["next"] / f"{name}.png"))
    assert evaluate(moved, moved, out=tmp_path / "out", options=options).summary.ceiling == {}


def test_only_cells_inside_the_mask_are_counted(tissue, tmp_path):
    for side, column in (("left", np.s_[:, :64]), ("right", np.s_[:, 64:])):
        mask = np.zeros((128, 128), np.uint8)
        mask[column] = 255
        for name in ids(tissue["truth"]):
            write_png(tmp_path / side / f"{name}.png", mask)
    whole = measured(tissue, tmp_path / "out")
    halves = [measured(tissue, tmp_path / "out", mask=tmp_path / side) for side in ("left", "right")]
    for column in ("nuclei_count", "nuclei_count_real"):
        assert np.array_equal(sum(one.systems[0].columns[column] for one in halves), whole.systems[0].columns[column])
    (tmp_path / "left" / f"{ids(tissue['truth'])[0]}.png").unlink()
    with pytest.raises(RestainError, match="mask has no 0"):
        measured(tissue, tmp_path / "out", mask=tmp_path / "left")


def test_overlays_show_the_real_and_the_virtual_stain_with_graded_outlines(tissue, tmp_path):
    evaluation = measured(tissue, tmp_path, overlays=True)
    folder = tmp_path / "overlays" / "ours"
    assert sorted(path.stem for path in folder.iterdir()) == list(evaluation.ids)
    picture = read_rgb(folder / f"{evaluation.ids[0]}.jpg")
    assert picture.shape == (256, 2 * 256 + 8, 3)  # enlarged twice
    negative = np.abs(picture.astype(int) - COLOURS[0].astype(int)).sum(axis=-1)
    assert negative[:, :256].min() < 60 and negative[:, 264:].min() < 60  # negative nuclei are on both sides
    (folder / "of_an_image_that_is_gone.jpg").touch()
    (folder.parent / "notes.txt").touch()
    measured(tissue, tmp_path, overlays=True)
    assert sorted(path.stem for path in folder.iterdir()) == list(evaluation.ids)
    (tmp_path / ".overlays" / "of_a_stopped_one").mkdir(parents=True)
    measured(tissue, tmp_path)
    assert [path.name for path in folder.parent.iterdir()] == ["notes.txt"] and not list(tmp_path.glob(".*"))
    with pytest.raises(RestainError, match="overlays: the pixel size is not known"):
        write_png(tmp_path / "real" / "a.png", picture[:64, :64])
        evaluate(tmp_path / "real", tmp_path / "real", out=tmp_path / "none", options=EvaluationOptions(overlays=True))


def write_features(path, rows):
    """Features and their index, from (system, id, class, vector)."""
    np.save(path, np.array([row[3] for row in rows], dtype=np.float32))
    lines = ["system,id,class", *(",".join(row[:3]) for row in rows)]
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n")
    return path


def some_features(tissue, systems):
    generator = np.random.default_rng(0)
    rows = []
    for number, name in enumerate(ids(tissue["truth"])):
        base = 5 * np.eye(8)[number % 2] + generator.normal(0, 0.3, 8)
        rows += [(system, name, str(number % 2), base + shift) for system, shift in systems.items()]
    return rows


def test_features_of_any_encoder_are_compared(tissue, tmp_path):
    path = write_features(tmp_path / "f.npy", some_features(tissue, {"real": 0, "ours": 0.1, "source": 2, "repeat": 0}))
    metrics = ["features_frechet", "features_kid", "features_probe"]
    evaluation = measured(tissue, tmp_path / "out", features=path, metrics=metrics, repeat=tissue["truth"])
    ours, he, repeat = evaluation.systems[0], evaluation.baselines[0], evaluation.ceiling[0]
    assert ours.estimates["features_frechet"].value == pytest.approx(8 * 0.1**2, rel=1e-4)
    assert he.estimates["features_frechet"].value == pytest.approx(8 * 2**2, rel=1e-4)
    assert repeat.estimates["features_frechet"].value == pytest.approx(0, abs=1e-5)
    assert ours.estimates["features_probe"].value >= 8 / 9 and ours.estimates["features_probe"].n == COUNT
    assert evaluation.summary.ranking.systems[0] == "ours"


def test_wrong_features_are_refused(tissue, tmp_path):
    rows = some_features(tissue, {"real": 0, "ours": 0.1})
    for wrong, sentence in (
        (rows[:-1], "has no row of 'ours' for"),
        ([*rows, rows[0]], "names .* of 'real' twice"),
    ):
        path = write_features(tmp_path / "f.npy", wrong)
        with pytest.raises(RestainError, match=sentence):
            measured(tissue, tmp_path / "out", features=path, metrics=["features_kid"])
    path = write_features(tmp_path / "f.npy", rows)
    path.with_suffix(".csv").write_text("name\na\n")
    with pytest.raises(RestainError, match="has the columns name; expected system and id"):
        measured(tissue, tmp_path / "out", features=path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(RestainError, match="cannot be read as NPY"):
        measured(tissue, tmp_path / "out", features=path)
    assert not (tmp_path / "out").exists()
