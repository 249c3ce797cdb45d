"""What must not win: hostile images, ranked beside a true stain that is a little blurred.

Every amount of the turned truth is right, a blank image has the best similarity of pixels, the H&E has every nucleus
in its place, half a set of blank fields has no nuclei to be wrong about.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.comparison import rank_all
from restain.images import read_rgb, write_png
from restain.phantoms import PhantomOptions, phantom
from restain.stains import DAB, HEMATOXYLIN, compose, separate

DATA = Path(__file__).parents[3] / "shared" / "data" / "hemit_ck"
FIELDS = 8
WRONG_PLACE = ("turned", "next field", "blank")
HOSTILE = (*WRONG_PLACE, "other marker", "copied H&E", "paled", "half blanked")


def paled(rgb):
    """Half the DAB."""
    amounts = np.maximum(separate(rgb, HEMATOXYLIN, DAB)[..., :2], 0) * [1.0, 0.5]
    return np.round(255 * compose(amounts, [HEMATOXYLIN, DAB])).astype(np.uint8)


def fields_of(data_set, root):
    """Real IHC, H&E and IHC of another marker of the same fields, and the marker."""
    if data_set == "phantom":
        options = PhantomOptions(val_fraction=1.0)
        for marker in ("er", "her2"):
            phantom(marker, root / marker, pairs=FIELDS, size=320, seed=3, options=options)
        names = sorted(path.name for path in (root / "er" / "valB").iterdir())
        return [
            [read_rgb(root / folder / name) for name in names] for folder in ("er/valB", "er/valA", "her2/valB")
        ], "er"
    return real_fields(FIELDS), "panck"


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
        "paled": [paled(rgb) for rgb in real],
        "half blanked": [np.full_like(rgb, 255) if index % 2 else rgb for index, rgb in enumerate(real)],
    }
    for name, images in {"real": real, "source": source, **systems}.items():
        for index, rgb in enumerate(images):
            write_png(root / name / f"{index}.png", np.asarray(rgb))
    return evaluate(
        root / "real",
        {name: root / name for name in systems},
        out=root / "out",
        source=root / "source",
        options=EvaluationOptions(groups="none", mpp=0.5, marker=marker, test="blurred"),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ranks_below_the_blurred_truth(evaluation, name):
    order = evaluation.summary.ranking.systems
    assert order[0] == "blurred"
    assert order.index(name) > 0 and name in evaluation.summary.verdict


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ranks_below_the_blurred_truth_with_no_other_beside(evaluation, name):
    """Ranks depend on who else is there; this must not."""
    kept = [one for one in evaluation.systems if one.name in ("blurred", name)]
    assert rank_all(evaluation.metrics, kept, evaluation.summary.marker).systems[0] == "blurred"


@pytest.mark.parametrize("name", WRONG_PLACE)
def test_what_stains_the_wrong_places_is_told(evaluation, name):
    assert name in evaluation.summary.ranking.displaced
    assert "stains the wrong places" in evaluation.summary.verdict[name]
    assert "wrong places" not in evaluation.summary.verdict["blurred"]


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


def test_a_verdict_names_what_is_wrong(evaluation):
    verdict = evaluation.summary.verdict
    assert verdict["copied H&E"] == "equals the H&E in all scores: nothing was stained"
    assert "stains too little" in verdict["paled"] and "stains too little" in verdict["blank"]
    assert "is not better than a baseline in" in verdict["blank"]


def test_blanking_half_the_fields_does_not_improve_the_cells(evaluation):
    """A virtual field without nuclei where the truth has some counts as 0 and does not drop out."""
    half, whole = evaluation.summary.systems["half blanked"], evaluation.summary.systems["blurred"]
    truth = np.array(evaluation.systems[0].columns["h_score_real"])
    assert half["h_score_error"].n == whole["h_score_error"].n == FIELDS
    assert half["h_score_error"].mean == pytest.approx(truth[1::2].sum() / FIELDS)
