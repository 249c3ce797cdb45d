"""Image files: content decides, not the suffix; what is not 8-bit RGB is refused in one sentence."""

import os
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from bad_files import png_bytes, tiff_bytes
from PIL import Image

from restain.errors import RestainError
from restain.images import MAX_PIXELS, image_size, list_images, read_rgb, write_png

RGB = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def png16(path: Path) -> None:
    """A 2 x 2 RGB PNG of 16 bits per channel."""
    rows = b"".join(b"\0" + b"\x12\x34" * 6 for _ in range(2))
    path.write_bytes(png_bytes(2, 2, zlib.compress(rows), depth=16))


@pytest.mark.parametrize(("form", "suffix"), [("PNG", ".png"), ("PNG", ".jpg"), ("TIFF", ".tif"), ("TIFF", ".png")])
def test_lossless_images_are_read_by_content(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(RGB).save(path, format=form)
    found = read_rgb(path)
    np.testing.assert_array_equal(found, RGB)
    assert found.flags.writeable and found.dtype == np.uint8
    assert image_size(path) == (13, 17)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_images_are_read_by_content(tmp_path: Path, form: str) -> None:
    path = tmp_path / "image.png"
    smooth = np.full((16, 16, 3), (200, 100, 150), dtype=np.uint8)
    Image.fromarray(smooth).save(path, format=form, quality=95)
    assert np.abs(read_rgb(path).astype(int) - smooth).max() <= 4


def test_a_palette_and_an_opaque_alpha_are_expanded(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("P").save(tmp_path / "p.png")
    expected = np.asarray(Image.fromarray(RGB).convert("P").convert("RGB"))
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), expected)
    Image.fromarray(np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), RGB)


def test_what_is_not_8_bit_rgb_is_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([RGB, RGB[..., 0]])).save(tmp_path / "clear.png")
    tifffile.imwrite(tmp_path / "deep.tif", RGB.astype(np.uint16), photometric="rgb")
    png16(tmp_path / "deep.png")
    Image.fromarray(RGB).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:300])
    (tmp_path / "text.png").write_text("not an image")
    pixels = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    opaque = Image.frombytes("CMYK", (RGB.shape[1], RGB.shape[0]), pixels.tobytes())
    for name in ("print.jpg", "print.tif"):  # K = 255 everywhere, as opaque as an alpha channel
        opaque.save(tmp_path / name)
    Image.fromarray(RGB).convert("LAB").save(tmp_path / "lab.tif")
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "ycc.tif")
    for name, words in (
        ("grey.png", r"has shape \(13, 17\); expected an RGB image"),
        ("clear.png", "translucent alpha"),
        ("deep.tif", "has uint16 pixels; expected 8 bits"),
        ("deep.png", "has 16 bits per channel; expected 8 bits"),
        ("cut.png", "cannot be read as an image"),
        ("text.png", "cannot be read as an image"),
        ("print.jpg", "has CMYK colours; expected RGB"),
        ("print.tif", "has SEPARATED colours; expected RGB"),
        ("lab.tif", "has CIELAB colours; expected RGB"),
        ("ycc.tif", "has YCBCR colours; expected RGB"),
        ("absent.png", "no such file"),
    ):
        with pytest.raises(RestainError, match=words) as error:
            read_rgb(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)


def test_the_size_of_what_read_rgb_would_refuse_is_still_known_and_of_no_image_is_one_sentence(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "floats.tif", RGB.astype(np.float32), photometric="rgb")
    assert image_size(tmp_path / "floats.tif") == (13, 17)
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "floats.tif").read_bytes()[:20])
    for name, words in (
        ("text.png", "cannot be read as an image"),
        ("cut.tif", "cannot be read as an image"),
        ("absent.png", "no such file"),
    ):
        with pytest.raises(RestainError, match=f"{name}: {words}") as error:
            image_size(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("codec", ["jpeg", "deflate", "lzw", "zstd", "jpeg2000"])
def test_compressed_tiff_is_read_and_its_damage_is_one_sentence(tmp_path: Path, codec: str) -> None:
    smooth = np.full((64, 64, 3), (200, 100, 150), dtype=np.uint8)
    smooth[::2] += RGB[:1, :1] // 8
    path = tmp_path / "tiles.tif"
    tifffile.imwrite(path, smooth, photometric="rgb", compression=codec, tile=(32, 32))
    assert np.abs(read_rgb(path).astype(int) - smooth).max() <= 8
    assert image_size(path) == (64, 64)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole) // 2, len(whole), 20):  # in the tiles, behind the header
            damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read_rgb(path)
        except RestainError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert refused


def test_images_are_listed_sorted_and_hidden_files_passed_over(tmp_path: Path) -> None:
    for name in ("b.png", "sub/a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["b.png", "a.JPG"]
    with pytest.raises(RestainError, match="no such folder"):
        list_images(tmp_path / "absent")


def test_png_round_trip(tmp_path: Path) -> None:
    for pixels in (RGB, RGB[..., 0]):
        write_png(tmp_path / "new" / "image.png", pixels)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "image.png")), pixels)


def test_a_header_that_declares_too_much_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    (tmp_path / "bomb.png").write_bytes(png_bytes(side, side, zlib.compress(b"\0" * (side * 3 + 1) * 50)))
    (tmp_path / "bomb.tif").write_bytes(tiff_bytes(side, side))
    (tmp_path / "vast.tif").write_bytes(tiff_bytes(2**31, 2**31))
    small = Image.fromarray(RGB)
    small.save(tmp_path / "bomb.jpg")
    jpeg = bytearray((tmp_path / "bomb.jpg").read_bytes())
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = b"\xff\xf0\xff\xf0"  # 65,520 x 65,520
    (tmp_path / "bomb.jpg").write_bytes(jpeg)
    for name in ("bomb.png", "bomb.tif", "vast.tif", "bomb.jpg"):
        for read in (read_rgb, image_size):
            tracemalloc.start()
            began = time.process_time()
            with pytest.raises(RestainError, match=rf"{name}: declares .* pixels; expected at most 89 million"):
                read(tmp_path / name)
            assert time.process_time() - began < 1
            assert tracemalloc.get_traced_memory()[1] < 1e7
            tracemalloc.stop()


def test_a_png_cannot_hold_more_pixels_than_its_bytes_can_become(tmp_path: Path) -> None:
    (tmp_path / "lie.png").write_bytes(png_bytes(9000, 9000, zlib.compress(b"\0" * 100)))
    with pytest.raises(RestainError, match=r"declares 9000 x 9000 pixels, which its \d+ bytes cannot hold"):
        read_rgb(tmp_path / "lie.png")


def test_a_blank_image_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    for mode in ("RGB", "P"):
        Image.new(mode, (3000, 3000)).save(tmp_path / "blank.png", optimize=True)
        assert read_rgb(tmp_path / "blank.png").shape == (3000, 3000, 3)


def test_no_other_format_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    for form in ("GIF", "BMP", "PPM", "TGA"):
        Image.fromarray(RGB).save(tmp_path / f"{form}.png", format=form)
    for name in ("a", "GIF", "BMP", "PPM", "TGA"):
        for read in (read_rgb, image_size):
            with pytest.raises(RestainError, match=r"not of a known format.; expected PNG, JPEG, TIFF or WebP"):
                read(tmp_path / f"{name}.png")


def test_what_is_no_file_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    (tmp_path / "folder.png").mkdir()
    for name, words in (
        ("pipe.png", "pipe.png: is a named pipe; expected a file"),
        ("gone.png", "nowhere.png: no such file, to which the link .*gone.png leads"),
        ("round.png", "round.png: cannot be opened .*links"),
        ("folder.png", "folder.png: is a folder; expected a file"),
    ):
        for read in (read_rgb, image_size):
            with pytest.raises(RestainError, match=words):
                read(tmp_path / name)
    with pytest.raises(RestainError, match="NUL"):
        read_rgb(tmp_path / "a\0.png")
    assert [path.name for path in list_images(tmp_path)] == ["gone.png", "pipe.png", "round.png"]


def test_links_to_folders_are_followed_and_none_is_listed_twice(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "trainA", tmp_path / "elsewhere"
    for path in (root / "z/own.png", elsewhere / "far.png", elsewhere / "deep/deeper.png", root / ".hidden/copy.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "a").symlink_to(root / "z")  # a second name for one of its own folders
    (root / "b").symlink_to(elsewhere)
    (root / "b2").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(tmp_path)  # a circle
    (root / "linked.png").symlink_to(elsewhere / "far.png")
    found = [path.relative_to(root).as_posix() for path in list_images(root)]
    assert found == ["b/deep/deeper.png", "b/far.png", "linked.png", "z/own.png"]
