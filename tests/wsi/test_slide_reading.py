"""Slides of every format: pixels, sizes, resolution, and one clear sentence for what cannot be read."""

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from small_slides import cut_tile_off, write_svs

from restain.errors import RestainError
from restain.images import RGB, read_rgb
from restain.wsi.discovery import find_slides
from restain.wsi.geometry import Region
from restain.wsi.reader import FileSlide, open_slide
from restain.wsi.resample import read_region

REAL = Path(__file__).parents[3] / "shared" / "data" / "wsi"
SVS = REAL / "tcga-cr-7395-01a-01-ts1.svs"
real_slides = pytest.mark.skipif(not SVS.exists(), reason="the folder shared/data with real slides is not there")


@pytest.fixture(scope="module")
def tissue() -> RGB:
    """Smooth colours with a little noise, 700 x 900."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:700, :900] / 40
    waves = np.stack([180 + 60 * np.sin(x + y), 140 + 60 * np.cos(x), 190 + 40 * np.sin(y)], axis=-1)
    return np.asarray((waves + random.normal(0, 3, waves.shape)).clip(0, 255).astype(np.uint8))


def halved(image: RGB) -> RGB:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[: height * 2, : width * 2].reshape(height, 2, width, 2, 3).astype(float)
    return np.asarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))


def write_ome(path: Path, image: RGB, **pixels: object) -> Path:
    """An OME-TIFF whose coarser level is a SubIFD."""
    metadata = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
    common = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(image, subifds=1, metadata={"axes": "YXS"} | metadata | pixels, **common)
        writer.write(halved(image), subfiletype=1, **common)
    return path


def write_flat(path: Path, image: RGB, *, mpp: float | None = 0.5, levels: int = 2, **options: object) -> Path:
    """A generic TIFF whose levels are pages in a chain."""
    resolution = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    common = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels):
            writer.write(image, subfiletype=int(level > 0), **common | resolution | options)
            image = halved(image)
    return path


def all_of(slide: FileSlide, level: int = 0) -> RGB:
    return slide.read_level(level, Region(0, 0, slide.levels[level].width, slide.levels[level].height))


def test_ome_tiff_gives_its_sub_levels_which_openslide_does_not_see(tmp_path: Path, tissue: RGB) -> None:
    path = write_ome(tmp_path / "slide.ome.tif", tissue)
    assert openslide.OpenSlide(path).level_count == 1
    with open_slide(path) as slide:
        assert slide.reader == "tifffile" and slide.mpp == 0.25
        assert [(level.height, level.width, level.downsample) for level in slide.levels] == [
            (700, 900, 1.0),
            (350, 450, 2.0),
        ]
        assert np.array_equal(all_of(slide), tissue)
        assert np.array_equal(all_of(slide, 1), halved(tissue))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": None, "rowsperstrip": 7},
        {"tile": None, "compression": None},
        {"planarconfig": "separate"},
        {"compression": "zstd", "predictor": True},
        {"compression": None},
    ],
    ids=["tiles", "strips", "one-strip", "planes", "predictor", "plain"],
)
def test_generic_tiff_in_all_its_layouts(tmp_path: Path, tissue: RGB, options: dict[str, object]) -> None:
    image = tissue
    if "planarconfig" in options:
        image = np.moveaxis(tissue, -1, 0)
        path = tmp_path / "slide.tif"
        tifffile.imwrite(path, image, photometric="rgb", tile=(128, 128), resolution=(2e4, 2e4), resolutionunit=3,
                         metadata=None, **options)  # fmt: skip
    else:
        path = write_flat(tmp_path / "slide.tif", tissue, **options)
    with open_slide(path) as slide:
        assert slide.reader == "tifffile" and slide.mpp == pytest.approx(0.5)
        assert np.array_equal(all_of(slide), tissue)
        for region in (Region(0, 0, 1, 1), Region(120, 250, 20, 13), Region(899, 699, 1, 1), Region(100, 3, 700, 600)):
            rows, columns = region.within(Region(0, 0, 900, 700))
            assert np.array_equal(slide.read_level(0, region), tissue[rows, columns])


def test_jpeg_tiles_decode_as_openslide_decodes_them(tmp_path: Path, tissue: RGB) -> None:
    path = write_flat(tmp_path / "slide.tif", tissue, compression="jpeg")
    reference = openslide.OpenSlide(path)
    with open_slide(path) as slide:
        for level in (0, 1):
            size = reference.level_dimensions[level]
            expected = np.asarray(reference.read_region((0, 0), level, size))[..., :3]
            assert np.abs(all_of(slide, level).astype(int) - expected).max() <= 1


def test_outside_is_white(tmp_path: Path, tissue: RGB) -> None:
    with open_slide(write_flat(tmp_path / "slide.tif", tissue)) as slide:
        read = slide.read_level(0, Region(-30, -20, 1000, 800))
        assert np.array_equal(read[20:720, 30:930], tissue)
        read[20:720, 30:930] = 255
        assert (read == 255).all()
        assert (slide.read_level(1, Region(5000, 5000, 10, 10)) == 255).all()


@pytest.mark.parametrize("extrasamples", ["unassalpha", "assocalpha"])
def test_transparent_pixels_are_laid_on_white(tmp_path: Path, tissue: RGB, extrasamples: str) -> None:
    alpha = np.linspace(0, 255, 900).round().astype(np.uint8)[None].repeat(700, axis=0)
    cover = alpha[..., None] / 255
    stored = tissue if extrasamples == "unassalpha" else (tissue * cover).round().astype(np.uint8)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.dstack([stored, alpha]), photometric="rgb", extrasamples=[extrasamples], metadata=None)
    with open_slide(path, mpp=0.5) as slide:
        expected = tissue * cover + 255 * (1 - cover)
        assert np.abs(all_of(slide) - expected).max() <= 1.01


def test_a_label_or_a_thumbnail_is_no_level(tmp_path: Path, tissue: RGB) -> None:
    path = tmp_path / "slide.tif"
    common = {"photometric": "rgb", "metadata": None, "resolution": (2e4, 2e4), "resolutionunit": 3}
    with tifffile.TiffWriter(path) as writer:
        for image in (tissue[:100, :300], tissue, tissue[:200, :300], halved(tissue), tissue[:350, :450, 0]):
            options = common if image.ndim == 3 else common | {"photometric": "minisblack"}
            writer.write(image, **options)
    with open_slide(path) as slide:
        assert [(level.height, level.width) for level in slide.levels] == [(700, 900), (350, 450)]


@pytest.mark.parametrize(
    ("size", "unit", "expected"), [(0.25, "µm", 0.25), (250, "nm", 0.25), (0.0005, "mm", 0.5), (0.5, None, 0.5)]
)
def test_ome_units(tmp_path: Path, tissue: RGB, size: float, unit: str | None, expected: float) -> None:
    units = {} if unit is None else {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    path = write_ome(tmp_path / "slide.ome.tif", tissue, PhysicalSizeX=size, PhysicalSizeY=size, **units)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(expected)


def test_resolution_from_tags_and_texts(tmp_path: Path, tissue: RGB) -> None:
    inches = write_flat(tmp_path / "inch.tif", tissue, mpp=None, resolution=(50800, 50800), resolutionunit="INCH")
    aperio = write_flat(tmp_path / "text.tif", tissue, mpp=None, description="Scan |AppMag = 40|MPP = 0.2528")
    imagej = tmp_path / "imagej.tif"
    tifffile.imwrite(imagej, tissue, imagej=True, resolution=(4.0, 4.0), metadata={"unit": "um"})
    for path, expected in ((inches, 0.5), (aperio, 0.2528), (imagej, 0.25)):
        with open_slide(path) as slide:
            assert slide.mpp == pytest.approx(expected), path.name


def test_colour_profiles_are_handed_on(tmp_path: Path, tissue: RGB) -> None:
    profile = bytes(range(128)) * 2
    path = write_flat(tmp_path / "slide.tif", tissue, iccprofile=profile)
    Image.fromarray(tissue).save(tmp_path / "slide.png", icc_profile=profile)
    for file in (path, tmp_path / "slide.png"):
        with open_slide(file, mpp=0.5) as slide:
            assert slide.icc == profile


def test_a_picture_is_a_slide_of_one_level_and_its_dpi_are_not_believed(tmp_path: Path, tissue: RGB) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(tissue).save(path, dpi=(50800, 50800))
    with pytest.raises(RestainError, match=r"field\.png: states no pixel size; give microns per pixel with --mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.reader == "image" and len(slide.levels) == 1
        assert np.array_equal(slide.read_level(0, Region(17, 30, 50, 60)), tissue[30:90, 17:67])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mpp": None}, "states no pixel size; give microns per pixel with --mpp"),
        ({"mpp": 1000.0}, "states 1000 x 1000 µm per pixel; expected 0.05 to 20; give microns per pixel with --mpp"),
        ({"mpp": None, "resolution": (72, 72), "resolutionunit": "INCH"}, "states 352.8 x 352.8 µm per pixel"),
        ({"mpp": None, "resolution": (2e4, 1e4), "resolutionunit": 3}, "states pixels of 0.5 x 1 µm; expected square"),
    ],
)
def test_pixel_sizes_that_cannot_be_used(
    tmp_path: Path, tissue: RGB, options: dict[str, object], sentence: str
) -> None:
    path = write_flat(tmp_path / "slide.tif", tissue, **options)
    with pytest.raises(RestainError) as refusal:
        open_slide(path)
    assert str(refusal.value).startswith(f"{path}: {sentence}")
    with open_slide(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25
    with pytest.raises(RestainError, match=r"mpp is 40 µm per pixel; expected 0.05 to 20"):
        open_slide(path, mpp=40)


def test_a_truncated_file_is_refused_before_any_work(tmp_path: Path, tissue: RGB) -> None:
    path = write_flat(tmp_path / "slide.tif", tissue, levels=1)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(RestainError, match=r"slide\.tif: cannot be opened as a slide \(.*\); is it damaged or trunc"):
        open_slide(path)


def test_files_that_are_no_slides(tmp_path: Path, tissue: RGB) -> None:
    (tmp_path / "text.svs").write_text("not a slide")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\x7f")
    tifffile.imwrite(tmp_path / "grey.tif", tissue[..., 0])
    tifffile.imwrite(tmp_path / "deep.tif", tissue.astype(np.uint16), photometric="rgb")
    tifffile.imwrite(tmp_path / "cmyk.tif", np.dstack([tissue, tissue[..., :1]]), photometric="separated")
    for name, words in (
        ("text.svs", "cannot be opened as a slide; its first bytes are those of no known format"),
        ("empty.tif", "cannot be opened as a slide; its first bytes are those of no known format"),
        ("broken.tif", r"cannot be opened as a slide \("),
        ("grey.tif", "has 1 samples of type uint8 per pixel; expected three of type uint8, RGB"),
        ("deep.tif", "has 3 samples of type uint16 per pixel; expected three of type uint8, RGB"),
        ("cmyk.tif", "has SEPARATED colours; expected RGB"),
    ):
        with pytest.raises(RestainError, match=f"{name}: {words}") as refusal:
            open_slide(tmp_path / name, mpp=0.5)
        assert "\n" not in str(refusal.value)
    with pytest.raises(RestainError, match=r"gone\.svs: no such file"):
        open_slide(tmp_path / "gone.svs")


def test_a_corrupt_tile_names_file_and_region_and_spares_the_others(tmp_path: Path, tissue: RGB) -> None:
    path = write_flat(tmp_path / "slide.tif", tissue, levels=1)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[10], file.pages.first.databytecounts[10]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = b"\x55" * count
    path.write_bytes(content)
    with open_slide(path) as slide:
        with pytest.raises(
            RestainError, match=r"slide\.tif: cannot be decoded at level 0, x 256, y 128, 128 x 128 pix"
        ):
            slide.read_level(0, Region(256, 128, 128, 128))
        assert np.array_equal(slide.read_level(0, Region(0, 256, 900, 400)), tissue[256:656])


@pytest.mark.parametrize("name", ["slide.svs", "slide.tif"])
def test_a_jpeg_tile_that_is_cut_off_is_not_filled_in_silence(tmp_path: Path, tissue: RGB, name: str) -> None:
    """OpenSlide and libjpeg fill it with grey; the tiles beside it are read."""
    if name.endswith(".svs"):
        path = write_svs(tmp_path / name, tissue)
    else:
        path = write_flat(tmp_path / name, tissue, levels=1, compression="jpeg", tile=(256, 256))
    with open_slide(path) as slide:
        assert slide.reader == ("openslide" if name.endswith(".svs") else "tifffile")
        whole = all_of(slide)
    cut_tile_off(path, 1)
    with open_slide(path) as slide:
        for _ in range(2):  # what was refused once is refused again
            with pytest.raises(RestainError, match=r"level 0, x 300, .* \(the JPEG stream of a tile is cut off\)"):
                slide.read_level(0, Region(300, 20, 100, 100))
        assert np.array_equal(slide.read_level(0, Region(0, 0, 256, 500)), whole[:500, :256])


def test_a_slide_goes_to_threads_and_to_other_processes(tmp_path: Path, tissue: RGB) -> None:
    with open_slide(write_flat(tmp_path / "slide.tif", tissue, levels=1)) as slide:
        regions = [Region(x, y, 200, 150) for x in range(0, 700, 50) for y in range(0, 550, 50)]
        expected = [tissue[r.y : r.y + 150, r.x : r.x + 200] for r in regions]
        with ThreadPoolExecutor(4) as pool:
            for read, wanted in zip(pool.map(lambda r: slide.read_level(0, r), regions), expected, strict=True):
                assert np.array_equal(read, wanted)
        copy = pickle.loads(pickle.dumps(slide))
        assert copy.mpp == slide.mpp and np.array_equal(all_of(copy), tissue)
        copy.close()
        # Its processes end by themselves: those of a Pool are ended by a signal, which one just forked can miss.
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as processes:
            parts = processes.map(slide.read_level, [0] * 8, regions[:8], timeout=60)
            assert all(np.array_equal(read, wanted) for read, wanted in zip(parts, expected[:8], strict=True))


def test_listing_takes_named_files_and_searches_folders(tmp_path: Path) -> None:
    for name in (
        "a.svs", "b.ome.tif", "notes.txt", ".hidden.svs", "c/d.NDPI", "c/table.csv",
        "m.mrxs", "m/Slidedat.ini", "m/Data0001.dat", "m/thumb.jpg",
        "h/s.vms", "h/s-0.jpg", "dicom/1.dcm", "dicom/2.dcm",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    searched = find_slides([tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in searched.slides] == [
        "a.svs",
        "b.ome.tif",
        "m.mrxs",
        "c/d.NDPI",
        "dicom",
        "h/s.vms",
    ]
    ignored = {path.name for path in searched.ignored}
    assert {"notes.txt", "table.csv"} <= ignored and not {name for name in ignored if "hidden" in name}
    assert not {name for name in ignored if "Slidedat" in name}
    named = tmp_path / "notes.txt"
    assert find_slides([named, tmp_path / "a.svs", tmp_path / "a.svs"]).slides == (named, tmp_path / "a.svs")
    (tmp_path / "empty").mkdir()
    for wrong, sentence in (([tmp_path / "empty"], "no slide found"), ([tmp_path / "gone"], "no such file")):
        with pytest.raises(RestainError, match=sentence):
            find_slides(wrong)


def test_a_stray_dicom_file_hides_no_slide(tmp_path: Path) -> None:
    for name in ("a.svs", "stray.dcm", "series/1.dcm", "series/thumbnail.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_slides([tmp_path])
    assert found.slides == (tmp_path / "a.svs", tmp_path / "series")
    assert {path.name for path in found.ignored} == {"stray.dcm", "thumbnail.png"}


def test_pipes_and_absurd_sizes_are_refused_at_once(tmp_path: Path, tissue: RGB) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    with pytest.raises(RestainError, match=r"pipe\.svs: is a named pipe; expected a file"):
        open_slide(tmp_path / "pipe.svs")
    with tifffile.TiffWriter(tmp_path / "wide.tif", bigtiff=True) as file:
        scale = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
        file.write(tissue[:256, :256], tile=(256, 256), photometric="rgb", metadata=None, **scale)
    with tifffile.TiffFile(tmp_path / "wide.tif", mode="r+b") as file:
        file.pages[0].tags["ImageWidth"].overwrite(2**31)
    with pytest.raises(RestainError, match="declares 2147483648 x 256 pixels and holds 1 of 8388608 tiles"):
        open_slide(tmp_path / "wide.tif")
    Image.new("RGB", (60_000, 1)).save(tmp_path / "long.png")
    with pytest.raises(RestainError, match=r"long\.png: has 60000 x 1 pixels of 20 µm, 1\.2 m on a side"):
        open_slide(tmp_path / "long.png", mpp=20)


def test_a_link_to_a_folder_above_is_not_followed_for_ever(tmp_path: Path) -> None:
    inner = tmp_path / "slides" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.svs").touch()
    (inner / "up").symlink_to(tmp_path / "slides", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.svs").touch()
    (inner / "beside").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert find_slides([tmp_path / "slides"]).slides == (inner / "a.svs", inner / "beside" / "b.svs")


@real_slides
def test_openslide_reads_a_scanner_slide_as_its_tiles_hold_it() -> None:
    with open_slide(SVS, mpp=0.5) as slide, tifffile.TiffFile(SVS) as file:
        assert slide.reader == "openslide" and slide.icc is not None and len(slide.icc) == 3144
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        stored = file.pages[0].asarray()
        assert (
            np.abs(slide.read_level(0, Region(1000, 900, 300, 200)).astype(int) - stored[900:1100, 1000:1300]).max()
            <= 1
        )
        coarse = file.pages[2].asarray()
        read = slide.read_level(1, Region(1000, 900, 300, 200))
        assert np.array_equal(read, coarse[900:1100, 1000:1300])  # through OpenSlide it would be a quarter pixel off
        other = slide.read_level(1, Region(1100, 950, 300, 200))
        assert np.array_equal(read[50:, 100:], other[:150, :200])


@real_slides
def test_a_truncated_scanner_slide_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.svs"
    path.write_bytes(SVS.read_bytes()[:2_000_000])
    with pytest.raises(RestainError, match=r"half\.svs: cannot be opened"):
        open_slide(path, mpp=0.5)


@real_slides
def test_one_bad_tile_of_a_scanner_slide_does_not_lose_the_others(tmp_path: Path) -> None:
    path = tmp_path / "bad.svs"
    content = bytearray(SVS.read_bytes())
    with tifffile.TiffFile(SVS) as file:
        page = file.pages.first
        offset, count = page.dataoffsets[20], page.databytecounts[20]
    content[offset : offset + count] = b"\x55" * count
    path.write_bytes(content)
    with open_slide(path, mpp=0.5) as slide, open_slide(SVS, mpp=0.5) as whole:
        with pytest.raises(
            RestainError, match=r"bad\.svs: cannot be decoded at level 0, x 512, y 256, 256 x 256 pixels"
        ):
            slide.read_level(0, Region(512, 256, 256, 256))
        elsewhere = Region(1024, 768, 300, 300)
        assert np.array_equal(slide.read_level(0, elsewhere), whole.read_level(0, elsewhere))


class Cropped:
    """OpenSlide's view of a scan of 200 x 100 pixels at (1000, 600) of an empty canvas, as MIRAX slides have them."""

    dimensions = (4000, 3000)
    level_dimensions = ((4000, 3000), (2000, 1500))
    level_downsamples = (1.0, 2.0)
    properties: ClassVar = {
        "openslide.vendor": "mirax", "openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5",
        "openslide.bounds-x": "1000", "openslide.bounds-y": "600",
        "openslide.bounds-width": "200", "openslide.bounds-height": "100",
        "openslide.background-color": "FAF0E6",
    }  # fmt: skip

    def __init__(self, path: Path) -> None: ...

    @staticmethod
    def detect_format(path: Path) -> str:
        return "mirax"

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        x, y = np.meshgrid(np.arange(size[0]) * 2**level + place[0], np.arange(size[1]) * 2**level + place[1])
        opaque = np.where(x < 1100, 255, 0)
        return Image.fromarray(np.stack([x % 251, y % 251, 0 * x, opaque], axis=-1).astype(np.uint8), "RGBA")

    def close(self) -> None: ...


def test_a_scan_on_an_empty_canvas_starts_where_the_scan_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openslide, "OpenSlide", Cropped)
    (tmp_path / "slide.mrxs").touch()
    with open_slide(tmp_path / "slide.mrxs") as slide:
        assert [(level.height, level.width, level.downsample) for level in slide.levels] == [
            (100, 200, 1.0),
            (50, 100, 2.0),
        ]
        for level in (0, 1):
            read = slide.read_level(level, Region(10, 20, 20, 10))
            assert read[0, 0].tolist() == [(1000 + 10 * 2**level) % 251, (600 + 20 * 2**level) % 251, 0]
        assert slide.read_level(0, Region(150, 0, 1, 1))[0, 0].tolist() == [0xFA, 0xF0, 0xE6]  # where it saw nothing


@real_slides
def test_the_slide_that_claims_a_millimetre_is_refused() -> None:
    with pytest.raises(RestainError, match=r"states 1000 x 1000 µm per pixel; expected 0.05 to 20; give microns"):
        open_slide(REAL / "CRC-AI-15 X40 IHC.tif")


@real_slides
def test_regions_of_a_scanner_slide_agree_at_any_mpp() -> None:
    with open_slide(SVS, mpp=0.25) as slide:
        for mpp in (0.4661, 0.25, 1.1):
            first = read_region(slide, Region(500, 400, 120, 100), mpp)
            second = read_region(slide, Region(533, 417, 120, 100), mpp)
            assert np.array_equal(first[17:, 33:], second[:83, :87])


@real_slides
def test_a_large_jpeg_is_read_as_the_image_it_is() -> None:
    path = REAL / "he_lung_region_4096.jpg"
    with open_slide(path, mpp=0.5) as slide:
        assert np.array_equal(slide.read_level(0, Region(1000, 2000, 100, 50)), read_rgb(path)[2000:2050, 1000:1100])
