"""Written slides open everywhere, show what was written, and leave nothing behind where they fail."""

import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from full_disk import full_disk
from PIL import ImageCms

from restain.errors import RestainError
from restain.images import RGB
from restain.stains import DAB, HEMATOXYLIN, compose, separate
from restain.types import Mpp
from restain.wsi.check.tiff_info import chroma_subsampling
from restain.wsi.geometry import Size
from restain.wsi.write.downsample import downsample, level_sizes
from restain.wsi.write.ome_xml import read_description
from restain.wsi.write.pyramid import Encoding, PyramidWriter, SlideMetadata

GLASS = (243, 242, 244)
LOSSLESS = Encoding(tile=256, lossless=True)
METADATA = SlideMetadata(
    Mpp(0.4661), "Müller & <Söhne>\n3", {"note": "virtual stain, not a real IHC", "source": "a\x00b µm.svs"}
)
SIZES = [(1, 1), (100, 60), (512, 512), (513, 1025), (1301, 2050)]


def tissue(height: int, width: int, seed: int = 0) -> RGB:
    """Smooth blobs of brown and blue with some grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((-(-height // 16) + 1, -(-width // 16) + 1, 2)).repeat(16, 0).repeat(16, 1)[:height, :width]
    light = compose(0.8 * coarse * (coarse > 0.5), (HEMATOXYLIN, DAB))
    return np.clip(light * 243 + rng.normal(0, 2, (height, width, 1)), 0, 255).astype(np.uint8)


def write(path: Path, pixels: RGB, encoding: Encoding = LOSSLESS, metadata: SlideMetadata = METADATA, workers: int = 2):
    height, width, side = *pixels.shape[:2], encoding.tile
    with PyramidWriter(
        path, Size(width, height), metadata, background=GLASS, encoding=encoding, workers=workers
    ) as writer:
        for y in range(0, height, side):
            writer.write_row([pixels[y : y + side, x : x + side] for x in range(0, width, side)])


def levels_by_hand(pixels: RGB) -> list[RGB]:
    """Means of 2 x 2 in float64, an odd edge doubled, halves rounded to even as IEEE 754 does."""
    levels = [pixels]
    while max(levels[-1].shape[:2]) > 1024:
        last = levels[-1]
        last = np.pad(last, ((0, last.shape[0] % 2), (0, last.shape[1] % 2), (0, 0)), mode="edge").astype(np.float64)
        mean = (last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4
        levels.append(np.rint(mean).astype(np.uint8))
    return levels


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_lossless_levels_are_exact_area_averages(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = tissue(*size)
    write(tmp_path / "a.ome.tif", pixels)
    expected = levels_by_hand(pixels)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.is_ome and file.is_bigtiff
        for page, by_hand in zip(file.pages, expected, strict=True):
            np.testing.assert_array_equal(page.asarray(), by_hand)
        (series,) = file.series
        for level, by_hand in zip(series.levels, expected, strict=True):
            np.testing.assert_array_equal(level.asarray(), by_hand)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_opens_in_openslide_with_every_level_and_the_scale(
    tmp_path: Path, size: tuple[int, int], lossless: bool
) -> None:
    pixels = tissue(*size)
    write(tmp_path / "a.ome.tif", pixels, Encoding(tile=256, lossless=lossless))
    with openslide.OpenSlide(tmp_path / "a.ome.tif") as slide:
        assert [Size(*level) for level in slide.level_dimensions] == level_sizes(Size(*size[::-1]))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.4661, rel=1e-9)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.4661, rel=1e-9)
        shown = np.asarray(slide.read_region((0, 0), 0, (size[1], size[0])).convert("RGB"))
    if lossless:
        np.testing.assert_array_equal(shown, pixels)
    else:
        assert np.abs(shown.astype(int) - pixels).mean() < 2.5


@pytest.mark.parametrize("lossless", [False, True])
def test_opens_in_libvips_with_every_level_and_the_scale(tmp_path: Path, lossless: bool) -> None:
    pyvips = pytest.importorskip("pyvips", reason="pyvips is not installed")
    write(tmp_path / "a.ome.tif", tissue(1301, 2050), Encoding(tile=256, lossless=lossless))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        for index, page in enumerate(file.pages):
            way = pyvips.Image.new_from_file(str(tmp_path / "a.ome.tif"), page=index)
            other = pyvips.Image.new_from_file(str(tmp_path / "a.ome.tif"), subifd=index - 1)
            assert 1e3 / way.xres == pytest.approx(0.4661 * 2**index, rel=1e-6)
            np.testing.assert_array_equal(way.numpy(), page.asarray())
            np.testing.assert_array_equal(other.numpy(), page.asarray())


def test_levels_are_found_twice_and_written_once(tmp_path: Path) -> None:
    write(tmp_path / "a.ome.tif", tissue(1301, 2050))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        chained = [page.offset for page in file.pages]
        assert list(file.pages[0].tags["SubIFDs"].value) == chained[1:] and len(chained) == 3
        assert [page.tags["NewSubfileType"].value for page in file.pages] == [0, 1, 1]
        assert [tag.code for tag in file.pages[0].tags] == sorted(tag.code for tag in file.pages[0].tags)


def test_every_level_carries_scale_and_profile(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = SlideMetadata(Mpp(0.25), "a", {}, profile)
    write(tmp_path / "a.ome.tif", tissue(1301, 2050), metadata=metadata)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        for index, page in enumerate(file.pages):
            for tag in ("XResolution", "YResolution"):
                top, bottom = page.tags[tag].value
                assert top / bottom == pytest.approx(1e4 / 0.25 / 2**index)
            assert page.tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
            assert page.tags["InterColorProfile"].value == profile
    assert (tmp_path / "a.ome.tif").read_bytes().count(profile) == 1  # shared by all directories
    with openslide.OpenSlide(tmp_path / "a.ome.tif") as slide:
        assert slide.color_profile is not None and slide.color_profile.tobytes() == profile


def test_the_description_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "a.ome.tif", tissue(64, 64))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        xml = file.ome_metadata
        assert xml is not None
        image = tifffile.xml2dict(xml)["OME"]["Image"]
    assert read_description(xml) == {"note": "virtual stain, not a real IHC", "source": "a\ufffdb µm.svs"}
    assert image["Name"] == "Müller & <Söhne> 3"
    assert (image["Pixels"]["PhysicalSizeX"], image["Pixels"]["PhysicalSizeXUnit"]) == (0.4661, "µm")
    assert "&#" not in xml  # which Bio-Formats would spoil


def test_jpeg_is_444_and_the_stream_alone_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.ome.tif", tissue(1301, 2050), Encoding(tile=256))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        for page in file.pages:
            assert (page.compression, page.photometric) == (tifffile.COMPRESSION.JPEG, tifffile.PHOTOMETRIC.YCBCR)
            assert "YCbCrSubSampling" not in page.tags
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                file.filehandle.seek(offset)
                assert chroma_subsampling(file.filehandle.read(count)) == "4:4:4"


def test_the_same_slide_is_the_same_file(tmp_path: Path) -> None:
    pixels = tissue(1301, 2050)
    write(tmp_path / "a.ome.tif", pixels, Encoding(tile=256))
    write(tmp_path / "b.ome.tif", pixels, Encoding(tile=256), workers=5)
    first = (tmp_path / "a.ome.tif").read_bytes()
    assert first == (tmp_path / "b.ome.tif").read_bytes()
    pixels[700, 900] ^= 128
    write(tmp_path / "b.ome.tif", pixels, Encoding(tile=256))
    uuids = [tifffile.TiffFile(path).ome_metadata.split("urn:uuid:")[1][:36] for path in sorted(tmp_path.iterdir())]  # type: ignore[union-attr]
    assert uuids[0] != uuids[1]


def test_background_is_stored_once_and_costs_nothing(tmp_path: Path) -> None:
    path, side, across = tmp_path / "a.ome.tif", 512, 118
    with PyramidWriter(path, Size(60_000, 60_000), METADATA, background=GLASS) as writer:
        for row in range(across):
            tiles: list[RGB | None] = [None] * across
            if row == 50:
                tiles[60] = tissue(side, side)
            writer.write_row(tiles)
    assert path.stat().st_size < 2**20
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 7
        for page in file.pages:
            assert len(set(page.dataoffsets)) == 2  # glass, and the tile that holds the tissue
    with openslide.OpenSlide(path) as slide:
        assert np.ptp(np.asarray(slide.read_region((59_000, 59_000), 0, (900, 900)))[..., :3], axis=(0, 1)).max() == 0
        found = np.asarray(slide.read_region((60 * side, 50 * side), 0, (side, side)))[..., :3].astype(int)
    assert np.abs(found - tissue(side, side)).mean() < 2.5


def test_background_is_what_its_pixels_would_have_been(tmp_path: Path) -> None:
    """A slide with tiles left out equals, at every level, one with those tiles written in full."""
    pixels = tissue(1301, 2050)
    side, out = LOSSLESS.tile, {(0, 0), (0, 1), (1, 0), (1, 1), (2, 4), (5, 8), (5, 0)}
    with PyramidWriter(
        tmp_path / "a.ome.tif", Size(2050, 1301), METADATA, background=GLASS, encoding=LOSSLESS
    ) as writer:
        for row, y in enumerate(range(0, 1301, side)):
            tiles: list[RGB | None] = []
            for column, x in enumerate(range(0, 2050, side)):
                if (row, column) in out:
                    pixels[y : y + side, x : x + side] = GLASS
                tiles.append(None if (row, column) in out else pixels[y : y + side, x : x + side])
            writer.write_row(tiles)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        for page, by_hand in zip(file.pages, levels_by_hand(pixels), strict=True):
            np.testing.assert_array_equal(page.asarray(), by_hand)


def test_edge_tiles_may_be_whole_or_cropped(tmp_path: Path) -> None:
    pixels = tissue(300, 500)
    write(tmp_path / "a.ome.tif", pixels)
    padded = np.pad(pixels, ((0, 212), (0, 12), (0, 0)))
    with PyramidWriter(tmp_path / "b.ome.tif", Size(500, 300), METADATA, background=GLASS, encoding=LOSSLESS) as writer:
        for y in (0, 256):
            writer.write_row([padded[y : y + 256, x : x + 256] for x in (0, 256)])
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()


def test_halving_adds_no_light() -> None:
    """Over all 2 x 2 sums the mean error of rounding is zero."""
    values = np.array([[a, a, b, a] for a in range(254) for b in range(a, a + 3)], dtype=np.uint8)  # sums 4a to 4a + 2
    values = np.concatenate([values, np.array([[a, a + 1, a + 1, a + 1] for a in range(254)], dtype=np.uint8)])
    blocks = values.reshape(-1, 2, 2).transpose(1, 0, 2).reshape(2, -1)
    halved = downsample(np.repeat(blocks[..., None], 3, axis=2))
    assert halved.astype(float).mean() == pytest.approx(blocks.astype(float).mean(), abs=1e-12)


def test_memory_is_bounded_by_a_row(tmp_path: Path) -> None:
    """As documented: beside the caller's row, at most as much again and 8 tiles for each worker."""
    side, workers, height, width = 256, 2, 3000, 16_384
    row = [tissue(side, side, seed) for seed in range(4)] * (width // side // 4)
    tracemalloc.start()
    with PyramidWriter(
        tmp_path / "a.ome.tif",
        Size(width, height),
        METADATA,
        background=GLASS,
        encoding=Encoding(tile=side),
        workers=workers,
    ) as writer:
        for _ in range(height // side + 1):
            writer.write_row(row)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < side * width * 3 + workers * 8 * side * side * 3 + 2**20


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, share: float) -> None:
    """While tiles are written, and when only the directories are left."""
    pixels = tissue(600, 1100)
    write(tmp_path / "a.ome.tif", pixels)
    size = (tmp_path / "a.ome.tif").stat().st_size
    with full_disk(int(share * size)), pytest.raises(RestainError, match=r"b\.ome\.tif: cannot be written \(File too"):
        write(tmp_path / "b.ome.tif", pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.tif"]


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"absent/a\.ome\.tif: cannot be written \(No such file"):
        write(tmp_path / "absent" / "a.ome.tif", tissue(10, 10))


def test_failures_of_the_caller_leave_nothing(tmp_path: Path) -> None:
    pixels = tissue(600, 600)
    with (
        pytest.raises(KeyboardInterrupt),
        PyramidWriter(tmp_path / "a", Size(600, 600), METADATA, background=GLASS) as writer,
    ):
        writer.write_row([pixels[:512, :512], None])
        raise KeyboardInterrupt
    with (
        pytest.raises(ValueError, match="1 rows of tiles were written; the slide has 2"),
        PyramidWriter(tmp_path / "a", Size(600, 600), METADATA, background=GLASS) as writer,
    ):
        writer.write_row([None, None])
    for tiles, message in (
        ([None], "row 0 of 1 tiles; the slide has 2 rows of 2 tiles"),
        ([pixels[:500, :512], None], r"tile of uint8 \(500, 512, 3\); expected uint8 \(512, 512, 3\)"),
        ([pixels[:512, :512].astype(float), None], "tile of float64"),
    ):
        with (
            pytest.raises(ValueError, match=message),
            PyramidWriter(tmp_path / "a", Size(600, 600), METADATA, background=GLASS) as writer,
        ):
            writer.write_row(tiles)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fields", [{"tile": 100}, {"tile": 0}, {"quality": 0}, {"quality": 101}])
def test_encodings_that_cannot_be_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(RestainError, match=f"^{next(iter(fields))}: {next(iter(fields.values()))}"):
        Encoding(**fields)


def test_444_keeps_stain_that_420_spreads() -> None:
    """Small brown nuclei on blue: at half the resolution of colour their brown runs out into the blue."""
    y, x = np.mgrid[:512, :512]
    nuclei = 1 / (1 + np.exp(2 * (np.hypot(y % 19 - 9, x % 23 - 11) - 4.5)))
    light = compose(np.stack([0.3 - 0.2 * nuclei, 0.6 * nuclei], axis=-1), (HEMATOXYLIN, DAB))
    pixels = np.rint(light * 243).astype(np.uint8)

    def dab_error(subsampling: str) -> float:
        colours = {"colorspace": "RGB", "outcolorspace": "YCBCR"}
        stream = imagecodecs.jpeg8_encode(pixels, level=90, subsampling=subsampling, **colours)
        assert (stream == Encoding().encode(pixels)) == (subsampling == "444")
        density = [separate(image, HEMATOXYLIN, DAB)[..., 1] for image in (pixels, imagecodecs.jpeg8_decode(stream))]
        return float(np.abs(density[1] - density[0]).mean())

    errors = dab_error("444"), dab_error("420")
    assert errors[0] < 0.6 * errors[1]
