"""What is known of each slide of a batch: its tissue from a file, its resolution from a table."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_slides import draw_tissue, write_slide

import restain
from restain.errors import RestainError
from restain.files import write_json
from restain.slides.options import SlideOptions
from restain.slides.run.job import list_jobs
from restain.wsi.geometry import Region


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slides, in two folders; one states no resolution."""
    write_slide(tmp_path / "slides" / "a.tif", draw_tissue(300, 420))
    write_slide(tmp_path / "slides" / "case" / "b.tif", draw_tissue(200, 200), mpp=None)
    return tmp_path / "slides"


def square(left: int, top: int, side: int) -> dict[str, object]:
    right, bottom = left + side, top + side
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_table_gives_each_slide_its_resolution(folder: Path, stainer_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "mpp.csv"
    for name in ("b.tif", "b", str(folder / "case" / "b.tif")):
        table.write_text(f"slide,mpp,note\n{name},0.25,x\nother.svs,0.5,\n", encoding="utf-8-sig")
        jobs = list_jobs(folder, tmp_path / "out", mpp_table=table).jobs
        assert {job.source.name: job.mpp for job in jobs} == {"a.tif": None, "b.tif": 0.25}
    run = restain.slide(stainer_folder, folder, tmp_path / "out", mpp_table=table)
    assert [record.status for record in run.records] == ["stained", "stained"]
    assert run.records[1].width == 100  # 200 pixels of 0.25 µm at 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,mpp\na,0.5\n", "line 2 has no slide or no mpp; expected the columns slide and mpp"),
        ("slide,mpp\na,0.5\nb,\n", "line 3 has no slide or no mpp"),
        ("slide,mpp\na,half\n", "line 2 has mpp 'half'; expected microns per pixel from 0.05 to 20"),
        ("slide,mpp\na,50\n", "line 2 has mpp '50'; expected"),
        ("slide,mpp\na,0.5\na,0.25\n", "line 3 names a again, with another mpp"),
    ],
)
def test_a_table_that_is_none_is_refused(folder: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RestainError, match=rf"t\.csv: {words}"):
        list_jobs(folder, tmp_path / "out", mpp_table=tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RestainError, match=r"t\.csv: cannot be read as a CSV file"):
        list_jobs(folder, tmp_path / "out", mpp_table=tmp_path / "t.csv")


def test_tissue_comes_from_a_folder_or_a_file(folder: Path, tmp_path: Path) -> None:
    tissue = tmp_path / "tissue"
    for name in ("a.geojson", "case/b.tissue.geojson"):
        write_json(tissue / name, square(0, 0, 10))
    found = {job.source.name: job.tissue for job in list_jobs(folder, tmp_path / "out", tissue=tissue).jobs}
    assert found == {"a.tif": tissue / "a.geojson", "b.tif": tissue / "case" / "b.tissue.geojson"}
    (job,) = list_jobs(folder / "a.tif", tmp_path / "out", tissue=tissue / "a.geojson").jobs
    assert job.tissue == tissue / "a.geojson"
    with pytest.raises(RestainError, match=r"a\.geojson: is the tissue of one slide, and there are 2"):
        list_jobs(folder, tmp_path / "out", tissue=tissue / "a.geojson")
    (tissue / "a.geojson").unlink()
    with pytest.raises(RestainError, match=r"tissue: holds no a\.tissue\.geojson for .*a\.tif"):
        list_jobs(folder, tmp_path / "out", tissue=tissue)
    with pytest.raises(RestainError, match="nowhere: no such file or folder"):
        list_jobs(folder, tmp_path / "out", tissue=tmp_path / "nowhere")


def test_only_the_tissue_that_was_drawn_is_stained(stainer_folder: Path, tmp_path: Path) -> None:
    he = np.random.default_rng(0).integers(90, 200, (1000, 1200, 3), dtype=np.uint8)  # all of it looks like tissue
    slide = write_slide(tmp_path / "he.tif", he)
    write_json(tmp_path / "he.geojson", square(160, 320, 128))
    options = SlideOptions(tile=64, lossless=True)
    run = restain.slide(stainer_folder, slide, tmp_path / "out", options=options, tissue=tmp_path / "he.geojson")
    (record,) = run.records
    assert record.tissue_mm2 == pytest.approx((128 * 0.5e-3) ** 2, rel=1e-6)
    pixels = np.asarray(tifffile.imread(tmp_path / "out" / "he.ome.tif"))
    stained = (pixels != record.background).any(axis=2)
    inside = Region(160, 320, 128, 128).within(Region(0, 0, 1200, 1000))
    assert stained[inside].mean() > 0.99
    assert not stained[:, 160 + 128 + 220 :].any()  # 100 µm from it there is background
    write_json(tmp_path / "he.geojson", square(160, 320, 64))  # edited
    (record,) = restain.slide(
        stainer_folder, slide, tmp_path / "out", options=options, tissue=tmp_path / "he.geojson"
    ).records
    assert record.status == "stained" and record.warnings[0].endswith("made with other tissue")
