"""What must not win: constructed images, ranked beside a true stain that is a little blurred.

Every amount of the turned truth is right, a blank image has the best similarity of pixels, the H&E has every nucleus
in its place, half a set of blank fields has no nuclei to be wrong about, DAB in coarse tiles is in the right place in
the right amount and on no cell, and DAB on every nucleus is what a network does that knows no marker.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.comparison import rank_all
from restain.images import read_rgb, write_png
from restain.metrics.cells.nuclei import find_nuclei
from restain.phantoms import PhantomOptions, phantom
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose, separate

DATA = Path(__file__).parents[3] / "shared" / "data" / "hemit_ck"
FIELDS = 8
WRONG_PLACE = ("turned", "next field", "blank")
HOSTILE = (
    *WRONG_PLACE,
    *("mean colour", "next field, right amounts", "shifted by 20 µm", "other marker", "copied H&E"),
    *("tiles", "shuffled in tiles", "smeared", "no counterstain"),
    *("half blanked", "paled", "paled by 30 %", "every nucleus brown", "every nucleus brown, right amounts"),
)
MPP, SIZE = 0.5, 256  # µm per pixel, pixels


def amounts(rgb):
    """Haematoxylin and DAB, (H, W, 2)."""
    return np.maximum(separate(rgb, HEMATOXYLIN, DAB)[..., :2], 0)


def stained(haematoxylin, dab):
    """An image of these amounts."""
    return np.round(255 * compose(np.stack([haematoxylin, dab], -1), [HEMATOXYLIN, DAB])).astype(np.uint8)


def paled(rgb, share):
    """A share of the DAB."""
    blue, brown = np.moveaxis(amounts(rgb), -1, 0)
    return stained(blue, share * brown)


def in_order_of(pattern, values):
    """``values`` laid out in the order of a pattern: its place, their distribution."""
    laid = np.empty(pattern.size)
    laid[np.argsort(pattern.ravel(), kind="stable")] = np.sort(values.ravel())
    return laid.reshape(pattern.shape)


def in_tiles(dab, side):
    """Means of square tiles."""
    rows, columns = (np.arange(0, length, side) for length in dab.shape)
    sums = np.add.reduceat(np.add.reduceat(dab, rows, axis=0), columns, axis=1)
    counts = np.outer(*(np.diff([*edges, length]) for edges, length in zip((rows, columns), dab.shape, strict=True)))
    return np.repeat(np.repeat(sums / counts, side, axis=0), side, axis=1)[: dab.shape[0], : dab.shape[1]]


def shuffled(dab, side):
    """Pixels at random within square tiles: amounts, histogram and place at 32 µm are those of the truth."""
    generator, mixed = np.random.default_rng(0), dab.copy()
    for top in range(0, dab.shape[0], side):
        for left in range(0, dab.shape[1], side):
            tile = mixed[top : top + side, left : left + side]
            tile[...] = generator.permutation(tile.ravel()).reshape(tile.shape)
    return mixed


def brown_nuclei(he, dab):
    """DAB on every nucleus of an H&E: always as much, or with the mean of ``dab``."""
    nuclei = gaussian_filter((find_nuclei(he, MPP).labels > 0).astype(float), 0.7)
    blue = np.maximum(separate(he, HEMATOXYLIN, DAB, EOSIN)[..., 0], 0)
    return [stained(0.6 * blue, nuclei * each) for each in (0.4, dab.mean() / max(nuclei.mean(), 1e-6))]


def constructed(real, source):
    """Images that are right in something and no stain."""
    parts = [np.moveaxis(amounts(rgb), -1, 0) for rgb in real]
    following = [*parts[1:], parts[0]]
    flat, dosed = zip(*(brown_nuclei(he, brown) for he, (_, brown) in zip(source, parts, strict=True)), strict=True)
    return {
        "mean colour": [np.full_like(rgb, rgb.mean(axis=(0, 1)).round()) for rgb in real],
        "next field, right amounts": [
            stained(blue, in_order_of(other, brown)) for (blue, brown), (_, other) in zip(parts, following, strict=True)
        ],
        "tiles": [stained(blue, in_tiles(brown, round(32 / MPP))) for blue, brown in parts],
        "shuffled in tiles": [stained(blue, shuffled(brown, round(32 / MPP))) for blue, brown in parts],
        "smeared": [stained(blue, gaussian_filter(brown, 8 / MPP)) for blue, brown in parts],
        "no counterstain": [stained(0 * blue, brown) for blue, brown in parts],
        "paled": [paled(rgb, 0.5) for rgb in real],
        "paled by 30 %": [paled(rgb, 0.7) for rgb in real],
        "every nucleus brown": flat,
        "every nucleus brown, right amounts": dosed,
        "shifted by 20 µm": [np.roll(rgb, round(20 / MPP), axis=0) for rgb in real],
    }


def fields_of(data_set, root):
    """Real IHC, H&E and IHC of another marker of the same fields, and the marker."""
    if data_set == "phantom":
        options = PhantomOptions(val_fraction=1.0)
        for marker in ("er", "her2"):
            phantom(marker, root / marker, pairs=FIELDS, size=SIZE, seed=3, options=options)
        names = sorted(path.name for path in (root / "er" / "valB").iterdir())
        return [
            [read_rgb(root / folder / name) for name in names] for folder in ("er/valB", "er/valA", "her2/valB")
        ], "er"
    return [[rgb[:SIZE, :SIZE] for rgb in folder] for folder in real_fields(FIELDS)], "panck"


def real_fields(count, *folders):
    """Fields of the derived panCK set, spread over it, folder by folder."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: real tissue is kept outside the repository")
    names = sorted(path.name for path in (DATA / "valB").iterdir())[:: 63 // count][:count]
    return [[read_rgb(DATA / one / name) for name in names] for one in folders or ("valB", "valA", "valB_cd3")]


@pytest.fixture(scope="module", params=["phantom", "real tissue"])
def evaluation(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    (real, source, other), marker = fields_of(request.param, root)
    systems = {
        "blurred": [gaussian_filter(rgb, (1, 1, 0)) for rgb in real],
        "turned": [np.ascontiguousarray(rgb[::-1, ::-1]) for rgb in real],
        "next field": [*real[1:], real[0]],
        "blank": [np.full_like(rgb, 255) for rgb in real],
        "other marker": other,
        "copied H&E": source,
        "half blanked": [np.full_like(rgb, 255) if index % 2 else rgb for index, rgb in enumerate(real)],
        "a little noise": [
            np.clip(rgb + np.random.default_rng(index).normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
            for index, rgb in enumerate(real)
        ],
        **constructed(real, source),
    }
    for name, images in {"real": real, "source": source, **systems}.items():
        for index, rgb in enumerate(images):
            write_png(root / name / f"{index}.png", np.asarray(rgb))
    return evaluate(
        root / "real",
        {name: root / name for name in systems},
        out=root / "out",
        source=root / "source",
        options=EvaluationOptions(
            metrics=["stain", "place", "cells"], groups="none", mpp=MPP, marker=marker, test="blurred"
        ),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ranks_below_the_blurred_truth(evaluation, name):
    order = evaluation.summary.ranking.systems
    assert order.index(name) > order.index("blurred") and name in evaluation.summary.verdict


def test_the_truth_with_a_little_noise_is_beside_the_blurred_one(evaluation):
    assert set(evaluation.summary.ranking.systems[:2]) == {"blurred", "a little noise"}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ranks_below_the_blurred_truth_with_no_other_beside(evaluation, name):
    """Ranks depend on who else is there; this must not."""
    kept = [one for one in evaluation.systems if one.name in ("blurred", name)] + list(evaluation.baselines)
    assert rank_all(evaluation.metrics, kept, evaluation.summary.marker).systems[0] == "blurred"


@pytest.mark.parametrize("name", WRONG_PLACE)
def test_what_stains_the_wrong_places_is_told(evaluation, name):
    assert name in evaluation.summary.ranking.displaced
    assert "stains the wrong places" in evaluation.summary.verdict[name]
    assert "wrong places" not in evaluation.summary.verdict["blurred"]


def test_the_right_dab_on_no_cells_is_behind_what_is_better_than_the_h_and_e(evaluation):
    failed, verdict = evaluation.summary.ranking.failed, evaluation.summary.verdict
    assert "cells" in failed["no counterstain"]
    assert "is no better than the H&E unchanged in cells" in verdict["no counterstain"]
    assert set(failed["copied H&E"]) == {"stain", "place", "cells"}
    assert not {"blurred", "a little noise", "paled by 30 %"} & set(failed)


def test_places_on_real_tissue_of_eighteen_fields(tmp_path):
    """What the scores of place must tell apart: a consecutive section from everything else."""
    real, source, other = real_fields(18)
    consecutive = real_fields(18, "valB_weak")[0]
    systems = {
        "consecutive section": consecutive,
        "copied H&E": source,
        "next field": [*real[1:], real[0]],
        "turned": [np.ascontiguousarray(rgb[::-1, ::-1]) for rgb in real],
        "other marker": other,
    }
    for name, images in {"real": real, **systems}.items():
        for index, rgb in enumerate(images):
            write_png(tmp_path / name / f"{index}.png", rgb)
    summary = evaluate(
        tmp_path / "real",
        {name: tmp_path / name for name in systems},
        out=tmp_path / "out",
        options=EvaluationOptions(metrics=["place"], groups="none", mpp=0.5),
    ).summary
    found = {name: (scores["dab_grid_r"].mean, scores["dab_near_f"].mean) for name, scores in summary.systems.items()}
    grid, near = found.pop("consecutive section")
    assert grid >= 0.95 and near >= 0.98
    for name in ("turned", "next field", "other marker"):
        assert found[name][0] <= 0.15 and found[name][1] <= 0.40, name
    assert grid > found["copied H&E"][0] + 0.1 and near > found["copied H&E"][1] + 0.1


def test_the_truth_but_for_noise_or_blur_is_a_warning(evaluation):
    flagged = [one for one in evaluation.summary.warnings if "to the pixel" in one]
    assert {one.split(" agrees")[0] for one in flagged} >= {"a little noise", "blurred", "no counterstain"}
    assert not any(one.startswith(("turned", "next field", "copied", "paled", "shifted")) for one in flagged)


def test_a_verdict_names_what_is_wrong(evaluation):
    verdict = evaluation.summary.verdict
    assert verdict["copied H&E"] == "equals the H&E in all scores: nothing was stained"
    for name in ("paled", "paled by 30 %", "blank"):
        assert "stains too little" in verdict[name], name
    assert "is not better than a baseline in" in verdict["blank"]


def test_blanking_half_the_fields_does_not_improve_the_cells(evaluation):
    """A virtual field without nuclei where the truth has some counts as 0 and does not drop out."""
    half, whole = evaluation.summary.systems["half blanked"], evaluation.summary.systems["blurred"]
    truth = np.array(evaluation.systems[0].columns["h_score_real"])
    assert half["h_score_error"].n == whole["h_score_error"].n == FIELDS
    assert half["h_score_error"].mean == pytest.approx(truth[1::2].sum() / FIELDS)
