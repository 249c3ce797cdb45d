"""What is written about a batch is read by people and by QuPath: names are escaped, links lead somewhere."""

from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from restain.images import write_png
from restain.slides.record import SlideRecord, read_summary
from restain.slides.run.qupath import qupath_script
from restain.slides.run.summary import update_summary

NAME = "a's <b>$x & Größe\\🔬"


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.sources, self.tags = "", list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name == "src" and value]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def records(tmp_path: Path) -> list[SlideRecord]:
    out = tmp_path / "out"
    write_png(out / "case 1" / f"{NAME}.preview.png", np.zeros((8, 8, 3), dtype=np.uint8))
    done = SlideRecord(
        slide=str(tmp_path / f"{NAME}.svs"), output=str(out / "case 1" / f"{NAME}.ome.tif"), status="stained",
        mpp=0.5, slide_mpp=0.25, tissue_mm2=12.5, width=10, height=20, warnings=("<i>odd</i>",),
        stain="ER", weights_sha256="f" * 64,
    )  # fmt: skip
    return [done, SlideRecord(slide="b.svs", output=str(out / "b.ome.tif"), status="failed", error="cannot <be> read")]


def test_the_page_shows_every_slide_and_links_its_preview(records: list[SlideRecord], tmp_path: Path) -> None:
    out = tmp_path / "out"
    update_summary(out, records)
    assert read_summary(out / "summary.json").slides == tuple(records)
    page = Page()
    page.feed((out / "summary.html").read_text(encoding="utf-8"))
    for words in (
        f"case 1/{NAME}.svs",
        "<i>odd</i>",
        "cannot <be> read",
        "12.5 mm²",
        "Virtual stain, not a real IHC",
        "ffff",
    ):
        assert words in page.text
    assert "i" not in page.tags and "b" not in page.tags  # nothing of a name is markup
    (source,) = page.sources
    assert (out / unquote(source)).is_file()


def test_the_script_names_each_pair_once_with_both_scales(records: list[SlideRecord]) -> None:
    script = qupath_script(records)
    assert script.isascii()
    (row,) = [line for line in script.splitlines() if ".svs" in line]
    assert row.endswith(", 0.25, 0.5]") and "b.svs" not in script
    assert "a\\'s <b>$x & Gr\\u00f6\\u00dfe\\\\\\ud83d\\udd2c.tissue.geojson'" in row
    assert '"Values 2": "0.268 0.570 0.776"' in script
    assert "setSynchronizeViewers(true)" in script
    pairs = {"(": ")", "[": "]", "{": "}"}
    body = script[script.index("import") :].replace(row, "").replace(">", "")
    assert all(body.count(opened) == body.count(closed) for opened, closed in pairs.items())


def test_two_processes_keep_each_other_s_rows(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def row(name: str, status: str = "stained") -> SlideRecord:
        slide, output = tmp_path / f"{name}.svs", out / f"{name}.ome.tif"
        slide.touch()
        if status == "stained":
            output.parent.mkdir(exist_ok=True)
            output.touch()
        return SlideRecord(slide=str(slide), output=str(output), status=status)  # type: ignore[arg-type]

    def statuses() -> dict[str, str]:
        return {Path(one.slide).stem: one.status for one in read_summary(out / "summary.json").slides}

    update_summary(out, [row("a"), row("c", "busy")])
    update_summary(out, [row("a", "busy"), row("b", "failed")])  # another process, which finds a in work
    assert statuses() == {"a": "stained", "b": "failed", "c": "busy"}
    assert (out / "summary.csv").read_text().count("\n") == 4 and not (out / ".summary.lock").exists()
    update_summary(out, [row("c")])
    assert statuses() == {"a": "stained", "b": "failed", "c": "stained"}
    (out / "a.ome.tif").unlink()
    (tmp_path / "b.svs").unlink()
    update_summary(out, [])
    assert statuses() == {"c": "stained"}


def test_many_processes_at_once_lose_no_row(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def write(number: int) -> None:
        (out / f"{number}.ome.tif").touch()
        record = SlideRecord(slide=f"{number}.svs", output=str(out / f"{number}.ome.tif"), status="stained")
        update_summary(out, [record])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert len(read_summary(out / "summary.json").slides) == 24


def test_a_row_keeps_its_place_when_the_folder_is_named_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "case").mkdir(parents=True)
    (tmp_path / "out" / "case" / "a.ome.tif").touch()
    monkeypatch.chdir(tmp_path)
    update_summary(Path("out"), [SlideRecord(slide="a.svs", output="out/case/a.ome.tif", status="stained")])
    monkeypatch.chdir(tmp_path / "out")
    again = SlideRecord(slide="a.svs", output=str(tmp_path / "out" / "case" / "a.ome.tif"), status="skipped")
    update_summary(tmp_path / "out", [again])
    assert read_summary(tmp_path / "out" / "summary.json").slides == (again,)
