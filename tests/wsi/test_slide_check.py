"""``restain check`` tells which reader sees what, and where they part."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from dicom_files import write_dicom
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.console.check import print_check
from restain.errors import RestainError
from restain.images import RGB
from restain.types import Mpp
from restain.wsi.check.checking import CheckResult
from restain.wsi.check.tiff_info import chroma_subsampling
from restain.wsi.geometry import Size
from restain.wsi.write.pyramid import Encoding, PyramidWriter, SlideMetadata

READERS = ["tifffile", "openslide", "libvips"]
pytest.importorskip("pyvips", reason="pyvips is not installed")


def texture(height: int = 1100, width: int = 1304) -> RGB:
    """Blobs of a few pixels: a shift shows, and halving does not erase them."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(60, 240, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write(path: Path, pixels: RGB, lossless: bool = False) -> Path:
    height, width, side = *pixels.shape[:2], 256
    metadata = SlideMetadata(Mpp(0.5), "slide", {"note": "virtual stain, not a real IHC"})
    encoding = Encoding(tile=side, lossless=lossless)
    with PyramidWriter(path, Size(width, height), metadata, background=(243, 243, 243), encoding=encoding) as writer:
        for y in range(0, height, side):
            writer.write_row([pixels[y : y + side, x : x + side] for x in range(0, width, side)])
    return path


def printed(result: CheckResult) -> str:
    console = Console(width=140, file=io.StringIO(), record=True)
    print_check(result, console)
    return console.export_text()


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("size", [(1100, 1304), (1301, 2051), (300, 77), (1, 1)], ids=str)
def test_readers_agree_on_what_restain_writes(tmp_path: Path, size: tuple[int, int], lossless: bool) -> None:
    result = restain.check(write(tmp_path / "a.ome.tif", texture(*size), lossless))
    assert result.ok and not result.notes
    assert [view.reader for view in result.views] == READERS
    for view in result.views:
        assert view.levels == result.views[0].levels and view.levels[0] == Size.of(texture(*size))
        assert view.mpp == pytest.approx((0.5, 0.5))
    assert all(difference.largest == 0 for difference in result.differences if difference.size == Size(*size[::-1]))
    assert all(difference.largest == 0 for difference in result.differences if difference.readers[1] == "libvips")
    assert result.tiff_info["tiles"] == f"256 x 256 pixels, {'ADOBE_DEFLATE' if lossless else 'JPEG 4:4:4'}"
    assert result.tiff_info["note"] == "virtual stain, not a real IHC"
    assert all(step < (0.3 if lossless else 6) for step in result.steps.values())  # rounding: 0, 1/4, 1/2, 1/4
    text = printed(result)
    assert "3 readers agree" in text and "0.5 µm" in text and "problem" not in text


def test_levels_that_are_only_subifds_are_told(tmp_path: Path) -> None:
    """What tifffile writes as a pyramidal OME-TIFF."""
    pixels = texture()
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True) as file:
        options = {"photometric": "rgb", "tile": (256, 256), "resolutionunit": "CENTIMETER"}
        file.write(
            pixels,
            subifds=1,
            resolution=(2e4, 2e4),
            metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
            **options,
        )
        file.write(pixels[::2, ::2], subfiletype=1, resolution=(1e4, 1e4), **options)
    result = restain.check(tmp_path / "a.ome.tif")
    assert "openslide sees 1 of 2 levels; it misses 652 x 550" in result.problems
    assert "missing" in printed(result)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "a.ome.tif")])
    assert done.exit_code == 1 and "openslide sees 1 of 2 levels" in done.output


def test_levels_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    """A coarser level that is another image, as a shift by some pixels makes it."""
    pixels = texture()
    shifted = np.roll(pixels, (12, 12), axis=(0, 1))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "rgb", "tile": (256, 256), "resolutionunit": "CENTIMETER", "metadata": None}
        file.write(pixels, resolution=(2e4, 2e4), **options)
        file.write(shifted[::2, ::2], subfiletype=1, resolution=(1e4, 1e4), **options)
    (problem,) = restain.check(tmp_path / "a.tif").problems
    assert problem.startswith("the level of 652 x 550 is ") and "from the area average" in problem


def test_a_missing_and_an_absurd_scale_are_told(tmp_path: Path) -> None:
    options = {"photometric": "rgb", "tile": (256, 256), "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", texture(), **options)
    assert restain.check(tmp_path / "a.tif").problems == ("no reader finds a pixel size",)
    tifffile.imwrite(tmp_path / "b.tif", texture(), resolution=(20, 20), resolutionunit="CENTIMETER", **options)
    problems = restain.check(tmp_path / "b.tif").problems
    assert problems == tuple(f"{reader} finds a pixel size of 500 µm, which no microscope has" for reader in READERS)


def test_a_scale_that_only_one_reader_knows_is_no_problem(tmp_path: Path) -> None:
    """Aperio's, in the description: libvips reads the file as a plain TIFF."""
    description = "Aperio Image Library v12\n1304x1100 (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.5"
    tifffile.imwrite(
        tmp_path / "a.svs", texture(), tile=(256, 256), photometric="rgb", compression="jpeg", metadata=None,
        description=description,
    )  # fmt: skip
    result = restain.check(tmp_path / "a.svs")
    assert {view.reader: view.mpp for view in result.views}["libvips"] is None
    assert result.ok and "libvips finds no pixel size; tifffile finds 0.5 µm" in result.notes


def test_dicom_is_opened_as_a_folder_and_as_a_file(tmp_path: Path) -> None:
    pytest.importorskip("wsidicom", reason="wsidicom is not installed")
    pixels = texture(200, 300)
    folder = write_dicom(tmp_path / "slide", [pixels, np.ascontiguousarray(pixels[::2, ::2])])
    result = restain.check(folder)
    assert [view.reader for view in result.views] == ["dicom"]
    assert result.views[0].levels == (Size(300, 200), Size(150, 100)) and result.views[0].scale == "0.25 µm"
    assert "dicom" in [view.reader for view in restain.check(folder / "0.dcm").views]
    (tmp_path / "other").mkdir()
    with pytest.raises(RestainError, match="other: is a folder without DICOM files"):
        restain.check(tmp_path / "other")


def test_a_damaged_tile_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", texture())
    with tifffile.TiffFile(path) as file:
        spans = list(zip(file.pages[0].dataoffsets, file.pages[0].databytecounts, strict=True))
    with path.open("r+b") as opened:
        for offset, count in spans:
            opened.seek(offset)
            opened.write(b"\0" * count)
    assert any(problem.startswith("tifffile cannot read its pixels") for problem in restain.check(path).problems)


def test_a_format_of_one_reader_is_no_problem_of_the_others(tmp_path: Path) -> None:
    Image.fromarray(texture()).save(tmp_path / "a.png", dpi=(25400, 25400))  # 1 µm
    result = restain.check(tmp_path / "a.png")
    assert result.ok and [view.reader for view in result.views] == ["libvips"]
    assert result.notes == ("tifffile does not read this format", "openslide does not read this format")
    assert "one reader, no problem" in printed(result)


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    for size in ((1100, 1304), (1301, 2051)):
        result = restain.check(write(tmp_path / "a.ome.tif", texture(*size)))
        assert result.ok and {view.levels[0] for view in result.views} == {Size(*size[::-1])}
        assert {difference.readers[1] for difference in result.differences} == {"openslide", "libvips"}


def test_what_no_reader_opens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"absent\.svs: no such file"):
        restain.check(tmp_path / "absent.svs")
    (tmp_path / "a.svs").write_text("not a slide")
    with pytest.raises(RestainError, match=r"a\.svs: no reader opens it"):
        restain.check(tmp_path / "a.svs")
    path = write(tmp_path / "b.ome.tif", texture())
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(RestainError, match=r"b\.ome\.tif: no reader opens it"):
        restain.check(path)


def test_a_reader_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyvips", None)
    result = restain.check(write(tmp_path / "a.ome.tif", texture()))
    assert result.ok and result.notes == ("libvips was not used: it is not installed (pip install pyvips)",)


@pytest.mark.parametrize(("subsampling", "name"), [("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")])
def test_chroma_subsampling_is_read_from_the_stream(subsampling: str, name: str) -> None:
    colours = {"colorspace": "RGB", "outcolorspace": "YCBCR"}
    assert chroma_subsampling(imagecodecs.jpeg8_encode(texture(64, 64), subsampling=subsampling, **colours)) == name
    assert chroma_subsampling(imagecodecs.jpeg8_encode(texture(64, 64)[..., 0].copy())) == "sampled 1x1"
    assert chroma_subsampling(b"\xff\xd8") == "without a frame header"
