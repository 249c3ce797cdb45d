"""What is known of each slide of a batch: its tissue from a file, its resolution from a table."""

import json
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
        ("name,mpp\na,0.5\n", ": has the columns name, mpp; missing slide"),
        ("", ": has the columns none; missing slide, mpp"),
        ("slide,mpp,mpp\na,0.5,0.5\n", ": repeats the column 'mpp'"),
        ("slide,mpp\na,0.5\nb\n", ", line 3: has 1 cells; expected 2"),
        ("slide,mpp\na,0.5\nb,\n", ", line 3: mpp is ''; expected microns per pixel from 0.05 to 20"),
        ("slide,mpp\n,0.5\n", ", line 2: names no slide"),
        ("slide,mpp\na,half\n", ", line 2: mpp is 'half'; expected"),
        ("slide,mpp\na,50\n", ", line 2: mpp is '50'; expected"),
        ("slide,mpp\na,0.5\na,0.25\n", ", line 3: names 'a' again, with another mpp"),
        ('slide,mpp\n"a,0.5\n', ", line 2: is not CSV"),
        ("slide,mpp\nc.svs,0.5\n", ": names none of the 2 slides; expected file names such as a.tif"),
    ],
)
def test_a_table_that_is_none_is_refused(folder: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RestainError, match=rf"t\.csv{words}"):
        list_jobs(folder, tmp_path / "out", mpp_table=tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RestainError, match=r"t\.csv: is not UTF-8 text"):
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
    with pytest.raises(RestainError, match="nowhere: no such file"):
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


@pytest.mark.parametrize("glass", [False, True])
def test_only_the_region_of_interest_is_stained_and_as_the_whole_slide_is(
    stainer_folder: Path, tmp_path: Path, glass: bool
) -> None:
    """Statistics and background are those of the slide, so that a region shows what the whole slide would."""
    slide = write_slide(tmp_path / "he.tif", draw_tissue(480, 640))
    write_json(tmp_path / "rois" / "he.roi.geojson", square(96, 96, 160))
    options = SlideOptions(tile=128, lossless=True, norm="slide", stain_background=glass)
    (whole,) = restain.slide(stainer_folder, slide, tmp_path / "whole", options=options).records
    (record,) = restain.slide(stainer_folder, slide, tmp_path / "out", options=options, roi=tmp_path / "rois").records
    assert record.tiles and whole.tiles and record.tiles < whole.tiles
    assert record.tissue_mm2 and whole.tissue_mm2 and 0 < record.tissue_mm2 <= (160 * 0.5e-3) ** 2
    pixels, expected = (np.asarray(tifffile.imread(tmp_path / out / "he.ome.tif")) for out in ("out", "whole"))
    edge = 16  # pixels: one of the mask
    inside = (slice(96 + edge, 256 - edge),) * 2
    assert (pixels[inside] == expected[inside]).all() and (pixels[inside] != record.background).any()
    outside = np.ones(pixels.shape[:2], dtype=bool)
    outside[96 - edge : 256 + edge, 96 - edge : 256 + edge] = False
    assert (pixels[outside] == record.background).all()
    contours = json.loads((tmp_path / "out" / "he.tissue.geojson").read_text())["features"]
    corners = np.concatenate([np.array(ring) for piece in contours for ring in piece["geometry"]["coordinates"]])
    assert corners.min() >= 96 and corners.max() <= 256
    (again,) = restain.slide(stainer_folder, slide, tmp_path / "out", options=options, roi=tmp_path / "rois").records
    assert again.status == "skipped"
    (other,) = restain.slide(stainer_folder, slide, tmp_path / "out", options=options).records
    assert other.status == "stained" and other.warnings[0].endswith("made with another region of interest")


def test_a_region_without_tissue_is_noted(stainer_folder: Path, tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "he.tif", draw_tissue(700, 1000))
    write_json(tmp_path / "roi.geojson", square(0, 600, 80))
    (record,) = restain.slide(stainer_folder, slide, tmp_path / "out", roi=tmp_path / "roi.geojson").records
    assert record.status == "stained" and "the region of interest holds no tissue" in record.warnings[0]


def test_a_folder_of_dicom_files_is_one_slide_beside_those_below_it(tmp_path: Path) -> None:
    for name in ("case/1.dcm", "case/other/b.svs", "case/series/1.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    jobs = list_jobs(tmp_path / "case", tmp_path / "out").jobs
    targets = {job.target.relative_to(tmp_path / "out").as_posix() for job in jobs}
    assert targets == {"case.ome.tif", "case/other/b.ome.tif", "case/series.ome.tif"}
    with pytest.raises(RestainError, match="case: is the folder of the slides"):
        list_jobs(tmp_path / "case", tmp_path / "case")
