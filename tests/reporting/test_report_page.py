import base64
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_files import write_image

from restain.errors import RestainError
from restain.files import write_json
from restain.reporting import report
from restain.slides.record import PREVIEW_GAP, BatchSummary, SlideRecord

VOID = {"meta", "img", "line", "circle", "br", "link", "input"}


class Page(HTMLParser):
    """A strict reader: every tag must be closed in order; keeps text, images, links and the table's cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.cells: dict[str, list[float]] = {}
        self.scripts: list[str] = []
        self.metric = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(values)
        if tag == "tr":
            self.metric = values.get("data-metric") or ""
        if tag == "data" and self.metric:
            self.cells.setdefault(self.metric, []).append(float(values["value"] or "nan"))
        self.links += [value for key, value in values.items() if key in ("href", "src") and value]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag
        self.metric = "" if tag == "tr" else self.metric

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def test_every_score_of_the_summary_stands_in_the_table_with_its_interval(tmp_path: Path, evaluation: Path) -> None:
    page = Page(report(tmp_path / "page.html", evaluation=evaluation))
    summary = json.loads((evaluation / "summary.json").read_text())
    for system in (summary["systems"]["virtual"], summary["baselines"]["H&E unchanged"]):
        for name, entry in system.items():
            expected = [float(entry["mean"]), *(entry["ci95"] or [])]
            assert set(expected) <= set(page.cells[name]), name
    for written in ("0.346", "0.312 to 0.379", "∞", "15\u2009456", "12\u2009369 to 19\u2009002", "0.411"):
        assert " ".join(written.split()) in page.text, written
    assert "H&E unchanged" in page.text
    assert "needs reference images" in page.text
    assert "PSNR, 95 % interval" in page.text and "is infinite <somewhere>" in page.text


def test_a_baseline_that_does_at_least_as_well_is_marked(tmp_path: Path, evaluation: Path) -> None:
    source = report(tmp_path / "page.html", evaluation=evaluation).read_text()
    marked = re.findall(r'data-metric="(\w+)"|class="score (beats)', source)
    by_metric = [name or beats for name, beats in marked]
    # the virtual stain's SSIM is lower than the baseline's; its DAB error is lower too, which is better
    assert by_metric.index("beats") == by_metric.index("ssim") + 1
    assert by_metric.count("beats") == 1


def test_the_page_is_whole_in_itself(tmp_path: Path, run: Path, evaluation: Path) -> None:
    page = Page(report(tmp_path / "page.html", run=run, evaluation=evaluation))
    sources = [image["src"] for image in page.images if image.get("src")]
    assert all(source.startswith(("data:image/jpeg;base64,", "data:image/svg+xml;base64,")) for source in sources)
    # 6 fields of 3, distributions, an IHC and 2 layers, the colour scale, curves, 4 of 6 sample grids
    assert len(sources) == 18 + 1 + 3 + 1 + 1 + 4
    assert all(image["alt"] for image in page.images if image.get("src"))
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert not re.findall(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page.source)
    targets = {link[1:] for link in page.links if link.startswith("#")}
    assert targets == set(re.findall(r'<section id="(\w+)"', page.source))


def test_run_and_evaluation_are_described(tmp_path: Path, run: Path, evaluation: Path) -> None:
    page = Page(report(tmp_path / "page.html", run=run, evaluation=evaluation))
    for words in (
        "Virtual HER2 stain",
        "Virtual stain, not a real IHC.",
        "not for clinical use",
        "42 train, 8 val",
        "0.5 µm",
        "restain train --recipe tiny",
        "0123abc with uncommitted changes",
        "f00d" * 16,
        "cafe" * 16,
        "beef" * 16,
        "restain evaluate --real 'my IHC'",
        "2025-05-13T08:00:00+00:00",
        "clean: at full size",
        "feed" * 16,
        "lr: 2.0e-4 # <b>",
        "6 of 8 fields, chosen by rule and not by eye: by the error of mean DAB from largest to smallest",
        "largest DAB error",
        "smallest DAB error",
        "stains too <little>",
        "Warning: the pixel size may be <wrong>.",
        "layer 16, 8 × 8",
        "step 500",
    ):
        assert words in page.text, words
    # 64 pixels are 32 um across: the longest round bar within 30 % of it is 5 um, 15.625 % long
    assert page.source.count('style="width:15.62%">5 µm<') == 18


def test_the_page_shows_no_absolute_path(tmp_path: Path, run: Path, evaluation: Path) -> None:
    """It is passed on, and tells nobody how its maker's disk is arranged."""
    (run / "recipe.yaml").write_text(f"name: tiny\ndensity:\n  nuclei: {tmp_path / 'labels'}\n")
    summary = json.loads((evaluation / "summary.json").read_text())
    summary["command"] = f"restain evaluate --real '{tmp_path}/my IHC' --out={tmp_path}/evaluation"
    summary["not_computed"]["ssim"] = f"{tmp_path}/a.png: cannot be read"
    (evaluation / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "IHC" / "slide1" / "field_1.tif").write_bytes(b"no image")
    page = Page(report(tmp_path / "page.html", run=run, evaluation=evaluation, images=8))
    assert str(tmp_path) not in page.source and "/data/ck" not in page.source
    for words in ("--real '…/my IHC' --out=…/evaluation", "nuclei: …/labels", f"{tmp_path.name}/virtual", "data/ck"):
        assert words in page.text, words


def test_under_each_field_stand_true_virtual_and_difference(tmp_path: Path, evaluation: Path) -> None:
    page = Page(report(tmp_path / "page.html", evaluation=evaluation, images=8))
    assert "true virtual difference DAB area 10.0 % 10.0 % 0.0 points" in page.text  # field 0, nothing is off
    several = (evaluation / "per_image.csv").read_text().replace(",0.1,0.1\n", ",0.1,0.35\n")
    assert several != (evaluation / "per_image.csv").read_text()
    (evaluation / "per_image.csv").write_text(several)
    page = Page(report(tmp_path / "page.html", evaluation=evaluation, images=8))
    assert "DAB area 35.0 % 10.0 % −25.0 points" in page.text


def test_the_slides_of_a_folder_stand_on_the_page(tmp_path: Path, evaluation: Path) -> None:
    slides = tmp_path / "slides"
    write_image(slides / "case.preview.png", (100, 2 * 200 + PREVIEW_GAP), 5)
    record = SlideRecord(
        slide="in/case.svs", output="out/case.ome.tif", status="stained", mpp=0.5, width=4000, height=2000
    )
    write_json(slides / "summary.json", BatchSummary(slides=(record,)).model_dump(mode="json"))
    page = Page(report(tmp_path / "page.html", evaluation=evaluation, slides=slides))
    shown = [image for image in page.images if "slide case.svs" in str(image.get("alt"))]
    assert [image["data-name"] for image in shown] == ["H&E", "virtual stain"]
    assert [image["data-mpp"] for image in shown] == ["10", "10"]  # 4000 px of 0.5 um on 200
    pixels = [decoded(str(image["src"])) for image in shown]
    both = np.asarray(Image.open(slides / "case.preview.png")).astype(float)
    for half, expected in zip(pixels, (both[:, :200], both[:, -200:]), strict=True):
        assert half.shape == expected.shape and np.abs(half - expected).mean() < 20  # noise as JPEG
        assert np.corrcoef(half.ravel(), expected.ravel())[0, 1] > 0.9
    (slides / "case.preview.png").unlink()
    with pytest.raises(RestainError, match="slides: holds no finished slide with its preview"):
        report(tmp_path / "page.html", evaluation=evaluation, slides=slides)
    with pytest.raises(RestainError, match=r"summary\.json: no such file"):
        report(tmp_path / "page.html", evaluation=evaluation, slides=tmp_path)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))).astype(float)


def test_words_from_files_are_escaped(tmp_path: Path, run: Path, evaluation: Path) -> None:
    attack = "<script>alert(1)</script>"
    card = run / "stainer" / "config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"stain": attack}))
    table = evaluation / "per_image.csv"
    table.write_text(table.read_text().replace("slide1/field_0", attack))
    page = Page(report(tmp_path / "page.html", run=run, evaluation=evaluation, images=8))
    assert attack not in page.source
    assert f"Virtual {attack} stain" in page.text


@pytest.mark.parametrize("part", ["run", "evaluation"])
def test_one_part_alone_says_that_the_other_is_missing(tmp_path: Path, run: Path, evaluation: Path, part: str) -> None:
    folder = {"run": run, "evaluation": evaluation}[part]
    page = Page(report(tmp_path / "page.html", **{part: folder}))
    missing = {"run": "No evaluation was given", "evaluation": "No run was given"}[part]
    assert missing in page.text


def test_what_a_run_lacks_is_named(tmp_path: Path, run: Path) -> None:
    for name in ("logs", "samples", "attention", "stainer"):
        shutil.rmtree(run / name)
    text = Page(report(tmp_path / "page.html", run=run)).text
    assert "The run has no training log" in text
    assert "The run kept no attention maps" in text
    assert "The run kept no sample grids" in text
    assert "stainer/config.json, logs/train.csv, samples/step-*.png, attention/*-ihc.png" in text
    assert "Virtual IHC stain" in text and "tiny" in text


def test_image_folders_that_are_gone_are_named(tmp_path: Path, evaluation: Path) -> None:
    shutil.rmtree(tmp_path / "HE")
    (tmp_path / "virtual" / "slide1" / "field_0.png").unlink()
    (tmp_path / "IHC" / "slide1" / "field_1.tif").write_bytes(b"no image")
    page = Page(report(tmp_path / "page.html", evaluation=evaluation, images=8))
    assert f"The folder of H&E images, {tmp_path.name}/HE, is gone." in page.text
    assert "virtual stain: not in its folder" in page.text
    assert "field_1.tif: cannot be read as an image" in page.text
    assert len([image for image in page.images if image.get("src")]) == 8 + 8 - 2 + 1


def test_one_image_and_few_columns_are_enough(tmp_path: Path, run: Path, evaluation: Path) -> None:
    (evaluation / "per_image.csv").write_text("id,system,ssim\nslide1/field_3,virtual,0.5\n")
    (run / "logs" / "train.csv").write_text("step,G\n10,1.5\n")
    summary = json.loads((evaluation / "summary.json").read_text())
    (evaluation / "summary.json").write_text(json.dumps(summary | {"systems": {"virtual": {}}, "baselines": {}}))
    page = Page(report(tmp_path / "page.html", run=run, evaluation=evaluation))
    assert "1 of 1 fields, chosen by rule and not by eye: at even distances in the order of their names." in page.text
    assert "The evaluation holds no metrics" in page.text
    assert "The evaluation has no measures of three fields or more to compare." in page.text
    assert "The evaluation does not show it." in page.text


def test_without_the_table_of_images_the_scores_remain(tmp_path: Path, evaluation: Path) -> None:
    (evaluation / "per_image.csv").unlink()
    page = Page(report(tmp_path / "page.html", evaluation=evaluation))
    assert "per_image.csv is not there" in page.text
    assert "0.346" in page.text


def test_refusals_are_one_clear_sentence(tmp_path: Path, run: Path, evaluation: Path) -> None:
    out = tmp_path / "page.html"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RestainError, match="neither a run nor an evaluation was given"):
        report(out)
    with pytest.raises(RestainError, match="images is 0; expected at least 1"):
        report(out, run=run, images=0)
    with pytest.raises(RestainError, match=r"page\.png: is no name for a page"):
        report(tmp_path / "page.png", run=run)
    with pytest.raises(RestainError, match="nowhere: no such run folder"):
        report(out, run=tmp_path / "nowhere")
    with pytest.raises(RestainError, match=r"empty: is not a run folder; expected at least one of recipe\.yaml"):
        report(out, run=empty)
    with pytest.raises(RestainError, match=r"empty: is not an evaluation folder; expected summary\.json"):
        report(out, evaluation=empty)
    (evaluation / "summary.json").write_text("[1]")
    with pytest.raises(RestainError, match=r"summary\.json: holds a JSON list; expected an object"):
        report(out, evaluation=evaluation)
    (evaluation / "summary.json").write_text('{"metrics": {"ssim": 0.5}}')
    with pytest.raises(RestainError, match=r"summary\.json: field 'format' is None; expected 2: evaluate again"):
        report(out, evaluation=evaluation)
    (run / "data.json").write_text("{")
    with pytest.raises(RestainError, match=r"data\.json: is not valid JSON"):
        report(out, run=run)
    assert not out.exists()


def test_an_attention_map_in_colour_is_refused(tmp_path: Path, run: Path) -> None:
    Image.new("RGB", (8, 8)).save(run / "attention" / "field_[1]-layer16.png")
    with pytest.raises(RestainError, match=r"layer16\.png: has mode RGB; expected an 8-bit grey"):
        report(tmp_path / "page.html", run=run)


def test_reading_a_report_loads_no_torch() -> None:
    code = "import sys, restain.reporting; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def several(tmp_path: Path, evaluation: Path) -> Path:
    """The same evaluation of two stains, "ours" and "<theirs>"."""
    summary = json.loads((evaluation / "summary.json").read_text())
    ours = summary["systems"]["virtual"]
    ours["psnr"]["note"] = "so it is <here>"
    summary["systems"] = {"ours": ours, "<theirs>": ours | {"ssim": ours["ssim"] | {"mean": 0.29}}}
    summary["folders"] |= {"ours": summary["folders"].pop("fake"), "<theirs>": str(tmp_path / "IHC")}
    pair = {"family": "systems", "first": "ours", "second": "<theirs>", "p": None, "n": 8}
    summary["comparisons"] = [
        {"metric": "ssim", "difference": 0.0557, "ci95": [0.03, 0.08], "p_holm": 0.0312, "better": "ours"}
        | pair
        | {"test": "paired permutation, exact"},
        {"metric": "dab_mean_od_error", "difference": -0.01, "ci95": [-0.02, 0.01], "p_holm": None, "better": None}
        | pair
        | {"test": "no test: needs at least 6 images, there are 5"},
    ]
    ranking = {
        "systems": ["ours", "<theirs>"],
        "mean_rank": {"ours": 1.0, "<theirs>": 2.0},
        "by_family": {"stain": {}},
        "metrics": ["dab_mean_od_error"],
        "displaced": ["<theirs>"],
        "without_value": {},
    }
    published = {
        "data_set": "mist-er",
        "split": "val",
        "n": 1000,
        "size": "1024x1024",
        "method": "ASP",
        "metric": "ssim",
        "value": 0.2061,
        "std": None,
        "protocol": "asp2023",
        "source": "Table 4",
    }
    summary |= {
        "ranking": ranking,
        "literature": {"data_set": "mist-er", "rows": [published | {"comparable": False, "differs": ["protocol"]}]},
    }
    (evaluation / "summary.json").write_text(json.dumps(summary))
    header, *rows = (evaluation / "per_image.csv").read_text().splitlines()
    both = [row.replace(",virtual,", f",{name},") for name in ("ours", "<theirs>") for row in rows]
    (evaluation / "per_image.csv").write_text("\n".join([header, *both]) + "\n")
    return evaluation


def test_several_stains_stand_side_by_side(tmp_path: Path, several: Path) -> None:
    page = Page(report(tmp_path / "page.html", evaluation=several, images=2))
    captions = [str(image["alt"]) for image in page.images if " of field " in str(image.get("alt"))]
    assert [caption.split(" of field")[0] for caption in captions] == ["H&E", "ours", "<theirs>", "true IHC"] * 2
    for words in (
        "Measure ours <theirs> true IHC",
        "ours − <theirs>",
        "+0.056 0.030 to 0.080, p = 0.031, ours better",
        "−0.010 −0.020 to 0.010",
        "1 is best): ours 1.00, <theirs> 2.00",
        "Published scores for mist-er",
        "0.2061* asp2023 Table 4",
        "ours 0.3457 clean this evaluation",
        "<theirs> 0.2900 clean this evaluation",
        "paired permutation, exact; no test: needs at least 6 images, there are 5.",
        "so it is <here>",
    ):
        assert words in page.text, words
    assert "<theirs>" not in page.source


def test_comparisons_of_another_shape_are_refused(tmp_path: Path, several: Path) -> None:
    summary = json.loads((several / "summary.json").read_text()) | {"comparisons": "none"}
    (several / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(
        RestainError, match=r"summary\.json: field 'comparisons' does not fit: input should be a valid list"
    ):
        report(tmp_path / "page.html", evaluation=several)
