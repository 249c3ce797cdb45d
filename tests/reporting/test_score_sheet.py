"""Score sheets in their three forms."""

import csv
import io
import re

from restain.metrics.catalogue import CATALOGUE
from restain.reporting.labels import label
from restain.reporting.score_sheet import (
    ScoreSheet,
    SheetCell,
    SheetColumn,
    SheetRow,
    cell_text,
    latex_text,
    to_csv,
    to_latex,
    to_markdown,
)

SHEET = ScoreSheet(
    title="HER2 & Ki67",
    columns=(
        SheetColumn(name="ssim", title="SSIM", direction="higher"),
        SheetColumn(name="fid", title="FID", direction="lower"),
        SheetColumn(name="steps", title="steps"),
    ),
    rows=(
        SheetRow(
            name="asp_dgrank",
            cells={
                "ssim": SheetCell(value=0.51234, spread=0.0123, interval=(0.4901, 0.5312), p=0.03, mark="†"),
                "fid": SheetCell(value=41.0),
                "steps": SheetCell(value=1600, whole=True),
            },
        ),
        SheetRow(name="cut", cells={"ssim": SheetCell(value=0.4, spread=0.01), "fid": SheetCell(value=38.0)}),
        SheetRow(name="unit", note="1 training failed: a|b_c"),
        SheetRow(name="asp", cells={"ssim": SheetCell(value=0.3), "fid": SheetCell(value=50.0)}),
        SheetRow(name="truth", cells={"ssim": SheetCell(value=0.9)}, ranked=False, section="published"),
    ),
    notes=("100 % of the fields.",),
)


def test_markdown_marks_the_best_and_the_second_best_of_what_competes() -> None:
    lines = to_markdown(SHEET).splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert cells[""] == ["SSIM ↑", "FID ↓", "steps"]
    assert cells["asp_dgrank"] == ["**0.512 ± 0.012 [0.490, 0.531]†**", "<u>41.00</u>", "1\u2009600"]
    assert cells["cut"] == ["<u>0.400 ± 0.010</u>", "**38.00**", "–"]
    assert cells["asp"][:2] == ["0.3000", "50.00"]
    assert cells["truth"][0] == "0.9000"  # higher than the best, but it does not compete
    assert r"1 training failed: a\|b_c" in to_markdown(SHEET)
    assert lines[-1].rstrip() == "100 % of the fields."


def test_csv_has_a_column_for_each_part_that_any_row_has() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(SHEET))))
    assert list(rows[0]) == [
        "system", "section", "ssim", "ssim_sd", "ssim_low", "ssim_high", "ssim_p", "fid", "steps", "note",
    ]  # fmt: skip
    assert [float(rows[0][name]) for name in ("ssim", "ssim_sd", "ssim_low", "ssim_p")] == [
        0.51234,
        0.0123,
        0.4901,
        0.03,
    ]
    assert rows[1]["ssim_low"] == "" and rows[2]["note"] == "1 training failed: a|b_c"


def test_latex_is_balanced_and_escapes_what_latex_would_read() -> None:
    text = to_latex(SHEET)
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert r"\textbf{0.512 $\pm$ 0.012 [0.490, 0.531]\dag{}}" in text and r"\underline{41.00}" in text
    assert r"asp\_dgrank" in text and r"HER2 \& Ki67" in text and r"100 \% of" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert all(line.count(" & ") == 3 for line in rows if "multicolumn" not in line)
    assert r"\multicolumn{4}{l}{\emph{published}}" in text
    assert latex_text("p < 0.05") == "p $<$ 0.05"
    assert all(latex_text(f"{label(metric.name)}, {metric.unit}").isascii() for metric in CATALOGUE)
    assert latex_text("a_b^2 {x} ~ \\") == r"a\_b\textasciicircum{}2 \{x\} \textasciitilde{} \textbackslash{}"


def test_an_empty_cell_is_a_dash_and_infinity_is_no_best() -> None:
    assert cell_text(None) == "–"
    column = SheetColumn(name="psnr", title="PSNR", direction="higher")
    values = {"a": float("inf"), "b": 20.0, "c": 20.0, "d": 10.0}
    rows = [SheetRow(name=name, cells={"psnr": SheetCell(value=value)}) for name, value in values.items()]
    assert ScoreSheet(title="", columns=[column], rows=rows).places(column) == {"b": 1, "c": 1, "d": 2}


def test_a_sheet_without_scores_still_says_why() -> None:
    sheet = ScoreSheet(title="t", columns=(), rows=(SheetRow(name="a", note="1 training not done yet"),))
    table = [line for line in to_markdown(sheet).splitlines() if line.startswith("|")]
    assert [line.count("|") for line in table] == [3, 3, 3] and "not done yet" in table[-1]
    assert r"\begin{tabular}{lr}" in to_latex(sheet)
