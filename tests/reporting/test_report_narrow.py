"""The score tables of six systems at the widths of a telephone, a tablet and a desk."""

import csv
import json

import pytest

from restain.reporting import report

SYSTEMS = ("virtual", "asp", "cut", "pix2pix", "pyramid-pix2pix", "cyclegan")


@pytest.fixture
def six(evaluation):
    """The small evaluation with six systems, their differences and a second section of the truth."""
    path = evaluation / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    scores = summary["systems"]["virtual"]
    summary["systems"] = dict.fromkeys(SYSTEMS, scores)
    summary["ceiling"] = {"second section": scores}
    pairs = [(one, other) for index, one in enumerate(SYSTEMS) for other in SYSTEMS[index + 1 :]]
    summary["comparisons"] = [
        {"metric": "ssim", "family": "systems", "first": one, "second": other, "difference": 0.01}
        | {"ci95": [0.0, 0.02], "p": 0.01, "p_holm": 0.2, "better": None, "test": "paired permutation", "n": 8}
        for one, other in pairs
    ]
    summary["folders"] |= dict.fromkeys(SYSTEMS[1:], summary["folders"]["fake"])
    path.write_text(json.dumps(summary), encoding="utf-8")
    table = evaluation / "per_image.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"system": system} for system in SYSTEMS for row in rows)
    return evaluation


@pytest.mark.parametrize("width", [420, 700, 1400])
def test_no_score_is_clipped_and_each_names_its_system(six, tmp_path, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(report(tmp_path / "page.html", evaluation=six).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cells = page.evaluate(
        """[...document.querySelectorAll("table.scores td.score, table.differences td")].map((cell) => ({
            right: cell.getBoundingClientRect().right, wide: cell.scrollWidth - cell.clientWidth,
            name: getComputedStyle(cell, "::before").content, column: cell.dataset.column}))"""
    )
    assert len(cells) > 6 * 3 + 15
    for cell in cells:
        assert cell["right"] <= width and cell["wide"] <= 1
        if width < 1000:
            assert cell["name"].strip('"') == cell["column"]
    names = {cell["column"] for cell in cells}
    assert {"virtual stain", "cyclegan", "H&E unchanged", "second section", "asp − cut"} <= names
