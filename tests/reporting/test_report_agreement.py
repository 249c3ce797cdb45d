"""The verdict box, the readings and the plots of agreement, against numbers computed another way."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_files import score

from restain.reporting.evaluation_files import EvaluationFiles, read_evaluation
from restain.reporting.plots import agreement_plots, her2_confusions
from restain.reporting.readings import DAB_AREA, H_SCORE, HER2, POSITIVE_NUCLEI, readings, relevant_metrics
from restain.reporting.usability import Usability, limits_of_agreement, usability

TRUE = [0.1, 0.2, 0.35, 0.4, 0.55, 0.6, 0.75, 0.9]


def evaluated(folder: Path, columns: dict[str, list[float]], **fields: Any) -> EvaluationFiles:
    """The evaluation of the fixture with these columns, and with fields of its summary replaced."""
    rows = [
        {"id": f"slide/f{row}", "system": "virtual", **{name: values[row] for name, values in columns.items()}}
        for row in range(len(TRUE))
    ]
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return read_evaluation(folder)


def box(folder: Path, virtual: list[float], r: float = 0.95, place: float = 0.6, **fields: Any) -> Usability:
    """The box of a nuclear stain whose share of positive nuclei is ``virtual``."""
    systems = {
        "virtual": {
            "dab_pearson_r": score(r, r - 0.02, r + 0.02, "", "higher"),
            "dab_grid_r": score(place, None, None, "", "higher"),
        },
        "H&E unchanged": {
            "dab_pearson_r": score(0.0, None, None, "", "higher"),
            "dab_grid_r": score(0.0, None, None, "", "higher"),
        },
    }
    plain = {
        name: {metric: one.model_dump(mode="json") for metric, one in scores.items()}
        for name, scores in systems.items()
    }
    votes = {
        "systems": ["virtual", "H&E unchanged"],
        "mean_rank": {},
        "by_family": {},
        "metrics": ["dab_pearson_r", "dab_grid_r"],
        "displaced": [],
        "without_value": {},
    }
    fields = {
        "systems": {"virtual": plain["virtual"]},
        "baselines": {"H&E unchanged": plain["H&E unchanged"]},
        "ranking": votes,
        "n": 120,
        "groups": {"rule": "given", "count": 24},
    } | fields
    return usability(
        evaluated(folder, {"positive_index": virtual, "positive_index_real": TRUE}, **fields), "virtual stain"
    )


def test_a_good_stain_is_green_in_all_five(evaluation: Path) -> None:
    found = box(evaluation, [value + 0.01 * (-1) ** row for row, value in enumerate(TRUE)])
    assert [one.colour for one in found.findings] == ["green"] * 5 and found.colour == "green"
    text = [one.sentence for one in found.findings]
    assert text[0].startswith(
        "The amount of stain follows the truth from field to field (r 0.95, 95 % interval 0.93 to 0.97)"
    )
    assert (
        text[1]
        == "Positive nuclei: 0 points off on average; 95 % of fields differ from the truth by −2 points to +2 points."
    )
    assert "is excellent (intraclass correlation 1.00)" in text[2]
    assert text[3] == "It is better than what learns nothing (H&E unchanged) in 2 of 2 scores."
    assert text[4].startswith("This rests on 120 fields of 24 slides; the worst field, slide/f")


def test_a_bias_that_rounds_to_nothing_has_no_side(evaluation: Path) -> None:
    shifted = [value + 0.01 * (-1) ** row - 0.001 for row, value in enumerate(TRUE)]
    assert box(evaluation, shifted).findings[1].sentence.startswith("Positive nuclei: 0 points off on average")


@pytest.mark.parametrize(
    ("change", "colours"),
    [
        ({"r": 0.8}, ["amber", "green", "green", "green", "green"]),
        ({"place": 0.1}, ["red", "green", "green", "green", "green"]),
        ({"r": -0.1}, ["red", "green", "green", "amber", "green"]),
        ({"n": 19}, ["green", "green", "green", "green", "red"]),
        ({"groups": {"rule": "none", "count": None}}, ["green", "green", "green", "green", "amber"]),
        ({"baselines": {}}, ["green", "green", "green", "grey", "green"]),
        ({"virtual": [value + 0.07 for value in TRUE]}, ["green", "amber", "green", "green", "green"]),
        ({"virtual": [value + 0.16 for value in TRUE]}, ["green", "red", "green", "green", "green"]),
        ({"virtual": TRUE[::-1]}, ["green", "red", "red", "green", "green"]),
    ],
)
def test_each_sentence_has_its_own_threshold(evaluation: Path, change: dict[str, Any], colours: list[str]) -> None:
    found = box(evaluation, **({"virtual": TRUE} | change))
    assert [one.colour for one in found.findings] == colours
    assert found.colour == ("red" if "red" in colours else "amber")


def test_the_limits_are_1_96_standard_deviations_around_the_bias() -> None:
    virtual, true = [3.0, 5.0, 9.0, 2.0], [1.0, 6.0, 4.0, 2.0]
    differences = [one - other for one, other in zip(virtual, true, strict=True)]
    middle, spread = statistics.mean(differences), 1.96 * statistics.stdev(differences)
    expected = (middle, middle - spread, middle + spread)
    assert limits_of_agreement(np.array(virtual), np.array(true)) == pytest.approx(expected)


def test_the_marker_chooses_what_is_read(evaluation: Path) -> None:
    names = ("positive_index", "h_score", "dab_positive_area", "her2_band", "dab_mean_od")
    columns = {f"{name}{side}": TRUE for name in names for side in ("", "_real")}
    found = {
        marker: [one.column for one in readings(evaluated(evaluation, columns, marker=marker))]
        for marker in ("nuclear", "membrane", "cytoplasm", None)
    }
    assert found["nuclear"] == ["positive_index", "h_score", "dab_positive_area"]
    assert found["membrane"] == ["her2_band", "dab_positive_area", "dab_mean_od"]
    assert found["cytoplasm"] == found[None] == ["dab_positive_area", "dab_mean_od"]
    relevant = relevant_metrics(evaluated(evaluation, columns, marker="membrane"))
    assert {"her2_band_kappa", "dab_pearson_r"} <= relevant and not {"h_score_icc", "ssim"} & relevant


def test_numbers_are_written_with_their_unit() -> None:
    assert POSITIVE_NUCLEI.text(76.6) == "77 %" and POSITIVE_NUCLEI.difference(-71.2) == "−71 points"
    assert POSITIVE_NUCLEI.difference(0.8) == "+1 point" and POSITIVE_NUCLEI.difference(11.0) == "+11 points"
    assert H_SCORE.text(8.3) == "8" and H_SCORE.difference(3.4) == "+3"
    assert [HER2.text(band) for band in (0, 2, float("nan"))] == ["0", "2+", "–"] and HER2.difference(-2) == "−2"
    assert DAB_AREA.difference(-0.04) == "0.0 points" and DAB_AREA.text(float("nan")) == "–"


def test_plots_place_every_field_and_name_the_worst(evaluation: Path) -> None:
    virtual = [0.12, 0.18, 0.35, 0.9, 0.5, 0.61, 0.2, 0.88]
    files = evaluated(evaluation, {"positive_index": virtual, "positive_index_real": TRUE})
    [(scatter, bland)] = agreement_plots(files, {0: "A", 7: "B"})
    assert len(scatter.points) == len(bland.points) == 8
    assert {point.name for point in scatter.points} == {"f6", "f3", "f4", ""}
    assert [point.letter for point in scatter.points] == ["A", "", "", "", "", "", "", "B"]
    assert scatter.points[3].title == "slide/f3: virtual 90 %, true 40 %"
    assert f"r = {np.corrcoef(virtual, TRUE)[0, 1]:.2f} (n = 8)" in scatter.title
    # pixels are linear in the values, upwards in y, and the point without an error lies on the line of identity
    xs, ys = (np.array([getattr(point, axis) for point in scatter.points]) for axis in "xy")
    assert np.corrcoef(xs, TRUE)[0, 1] == pytest.approx(1, abs=1e-5)
    assert np.corrcoef(ys, virtual)[0, 1] == pytest.approx(-1, abs=1e-5)
    x1, y1, x2, y2 = scatter.lines[0].ends
    assert ys[2] == pytest.approx(y1 + (xs[2] - x1) / (x2 - x1) * (y2 - y1), abs=0.2)
    levels = {line.kind: line.ends[1] for line in bland.lines[:3]}
    heights = np.array([point.y for point in bland.points])
    assert levels["bias"] == pytest.approx(heights.mean(), abs=0.1)
    assert levels["limit"] - levels["bias"] == pytest.approx(1.96 * heights.std(ddof=1), abs=0.1)
    assert heights[2] == pytest.approx(levels["zero"], abs=0.1)


def test_the_her2_table_counts_every_field_once(evaluation: Path) -> None:
    columns = {"her2_band": [0, 1, 2, 3, 3, 0, 1, float("nan")], "her2_band_real": [0, 1, 2, 3, 2, 1, 3, 0]}
    [found] = her2_confusions(evaluated(evaluation, columns, marker="membrane"))
    assert found.counts == ((1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1))
    assert (found.total, found.equal) == (7, 4)
    assert her2_confusions(evaluated(evaluation, columns, marker="nuclear")) == []
