"""Staining files: names and sizes stay, one bad file does not stop the others, nothing is left half-written."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from restain.calibration import calibrate
from restain.crops import Image, draw_crops
from restain.errors import RestainError
from restain.images import read_rgb, write_png
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec
from restain.networks.statistics import freeze, measure
from restain.stainer import StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.staining import stain
from restain.staining_record import origin_of, read_staining
from restain.tensors import to_rgb, to_tensor

SIZES = {"a.png": (65, 97), "sub/b.png": (40, 40), "sub/deep/c.png": (65, 97), "d.png": (40, 40)}


@pytest.fixture(scope="module")
def stainer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "stainer"
    save_stainer(
        folder, ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), StainerCard(None, None, 64, "tiny", {})
    )
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        write_png(tmp_path / "in" / name, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return tmp_path / "in"


def test_names_folders_and_sizes_are_kept_and_pixels_are_the_generators(
    stainer: Path, images: Path, tmp_path: Path
) -> None:
    result = stain(stainer, images, tmp_path / "out", device="cpu", precision="32")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in result.written} == set(SIZES)
    generator = load_stainer(stainer).generator
    for name, size in SIZES.items():
        found = read_rgb(tmp_path / "out" / name)
        assert found.shape == (*size, 3)
        expected = to_rgb(generator(to_tensor(read_rgb(images / name))[None])[0])
        np.testing.assert_allclose(found.astype(int), expected, atol=1)  # one where rounding is on the edge
        assert (found != expected).mean() < 0.01


def test_the_batch_does_not_matter(stainer: Path, images: Path, tmp_path: Path) -> None:
    for batch in (1, 3):
        stain(stainer, images, tmp_path / str(batch), batch=batch, device="cpu")
    for name in SIZES:
        one, three = (read_rgb(tmp_path / str(batch) / name).astype(int) for batch in (1, 3))
        assert np.abs(one - three).max() <= 1


def test_what_the_same_stainer_and_source_made_is_left_alone_and_all_else_is_replaced(
    stainer: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert len(stain(stainer, images, out, device="cpu").written) == 4
    before = (out / "a.png").read_bytes()
    again = stain(stainer, images, out, device="cpu")
    assert (len(again.skipped), again.written, again.replaced) == (4, [], [])

    write_png(images / "a.png", 255 - read_rgb(images / "a.png"))  # another source of the same name
    changed = stain(stainer, images, out, device="cpu")
    assert changed.replaced == changed.written == [out / "a.png"]
    assert (out / "a.png").read_bytes() != before

    torch.manual_seed(1)  # retrained
    other = tmp_path / "other"
    save_stainer(other, ResnetSpec(ngf=4, blocks=2).build(), StainerCard(None, None, 64, "tiny", {}))
    retrained = stain(other, images, out, device="cpu")
    assert len(retrained.replaced) == len(retrained.written) == 4

    forced = stain(other, images, out, overwrite=True, device="cpu")
    assert (len(forced.written), forced.replaced, forced.skipped) == (4, [], [])


def test_files_that_restain_did_not_write_are_refused(stainer: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_png(out / "sub" / "b.png", np.zeros((2, 2, 3), np.uint8))
    for overwrite in (False, True):
        with pytest.raises(RestainError, match=r"sub/b\.png: was not written by restain stain"):
            stain(stainer, images, out, overwrite=overwrite, device="cpu")
    assert read_rgb(out / "sub" / "b.png").shape == (2, 2, 3)
    assert not (out / "a.png").exists()


def test_each_image_and_the_record_say_where_it_comes_from(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stainer"
    save_stainer(folder, ResnetSpec(ngf=4, blocks=1).build(), StainerCard("ER", 0.25, 64, "tiny", {}))
    out = tmp_path / "out"
    stain(folder, images, out, device="cpu", precision="32")
    record = read_staining(out)
    assert record is not None and set(record.images) == set(SIZES)
    assert (record.stain, record.mpp, record.recipe) == ("ER", 0.25, "tiny")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert record.weights_sha256 == digest
    with Picture.open(out / "sub" / "b.png") as image:
        assert image.text["Title"] == "virtual ER" and "not a real IHC" in image.text["Description"]
        assert image.info["dpi"][0] == pytest.approx(25_400 / 0.25, rel=1e-6)
    origin = origin_of(out / "sub" / "b.png")
    assert origin == record.images["sub/b.png"].origin
    assert origin.source == hashlib.sha256((images / "sub" / "b.png").read_bytes()).hexdigest()
    (out / "d.png").unlink()
    stain(folder, images / "a.png", out, overwrite=True, device="cpu", precision="32")
    assert set(read_staining(out).images) == {"a.png", "sub/b.png", "sub/deep/c.png"}  # what is still there


def test_batch_norms_take_the_averages_of_the_folder_where_asked(images: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "stainer"
    save_stainer(folder, ResnetSpec(ngf=4, blocks=1, norm="batch").build(), StainerCard(None, None, 64, "x", {}))
    for norm in ("stainer", "folder"):
        stain(folder, images, tmp_path / norm, norm=norm, device="cpu", precision="32")
    own, other = (origin_of(tmp_path / norm / "a.png") for norm in ("stainer", "folder"))
    assert (own.norm, own.statistics) == ("fixed", None)
    assert other.norm == "folder" and other.statistics is not None
    assert not np.array_equal(read_rgb(tmp_path / "stainer" / "a.png"), read_rgb(tmp_path / "folder" / "a.png"))


def test_slides_are_refused_and_another_resolution_is_told(stainer: Path, images: Path, tmp_path: Path) -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    with tifffile.TiffWriter(images / "slide.tif") as writer:
        writer.write(pixels, subifds=1, tile=(64, 64), photometric="rgb")
        writer.write(pixels[::2, ::2], subfiletype=1, tile=(64, 64), photometric="rgb")
    folder = tmp_path / "stainer"
    save_stainer(folder, ResnetSpec(ngf=4, blocks=1).build(), StainerCard("ER", 0.5, 64, "tiny", {}))
    write_png(images / "d.png", read_rgb(images / "d.png"), mpp=0.25)
    write_png(images / "a.png", read_rgb(images / "a.png"), mpp=0.52)
    result = stain(folder, images, tmp_path / "out", device="cpu")
    assert "is a slide with several resolutions; restain slide" in result.failed[images / "slide.tif"]
    (warning,) = result.warnings
    assert "another resolution than the stainer's 0.5 µm/px: 1, such as d.png with 0.25" in warning


def test_bad_files_are_named_and_the_others_done(stainer: Path, images: Path, tmp_path: Path) -> None:
    (images / "b_broken.png").write_bytes((images / "a.png").read_bytes()[:200])
    write_png(images / "c_small.png", np.zeros((8, 30, 3), np.uint8))
    result = stain(stainer, images, tmp_path / "out", batch=2, device="cpu")
    assert len(result.written) == 4
    assert {path.name for path in result.failed} == {"b_broken.png", "c_small.png"}
    assert all(path.is_relative_to(images) for path in result.failed)
    assert "cannot be read" in result.failed[images / "b_broken.png"]
    assert "8x30 pixels" in result.failed[images / "c_small.png"]


def test_single_files_and_several_inputs(stainer: Path, images: Path, tmp_path: Path) -> None:
    result = stain(load_stainer(stainer), [images / "a.png", images / "sub"], tmp_path / "out", device="cpu")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in result.written} == {
        "a.png",
        "b.png",
        "deep/c.png",
    }


def test_inputs_that_cannot_be_told_apart_or_found_are_refused(stainer: Path, images: Path, tmp_path: Path) -> None:
    Picture.open(images / "a.png").save(images / "a.jpg")
    with pytest.raises(RestainError, match=r"a\.jpg and .*a\.png: would both be written to"):
        stain(stainer, images, tmp_path / "out", device="cpu")
    with pytest.raises(RestainError, match="no such file or folder"):
        stain(stainer, tmp_path / "absent", tmp_path / "out", device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestainError, match="holds no images"):
        stain(stainer, tmp_path / "empty", tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_inputs_are_never_written_over(
    stainer: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (images / "a.png").read_bytes()
    monkeypatch.chdir(images.parent)
    (tmp_path / "link").symlink_to(images)
    for inputs, out in ((images, images), ("in", images), (images / "a.png", "in"), (images, "link")):
        with pytest.raises(RestainError, match="is also an input"):
            stain(stainer, inputs, out, overwrite=True, device="cpu")
    assert (images / "a.png").read_bytes() == before


def test_results_among_the_inputs_are_not_stained_again(
    stainer: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    assert len(stain(stainer, ".", "virtual", device="cpu").written) == len(SIZES)
    again = stain(stainer, ".", images / "virtual", device="cpu")
    assert (len(again.written), len(again.skipped)) == (0, len(SIZES))


def test_a_device_or_batch_that_cannot_be_is_refused(stainer: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(RestainError, match="device is 'tpu'; expected auto, cpu, cuda or mps"):
        stain(stainer, images, tmp_path / "out", device="tpu")
    with pytest.raises(RestainError, match="batch is 0; expected at least 1"):
        stain(stainer, images, tmp_path / "out", batch=0, device="cpu")
    with pytest.raises(RestainError, match="precision is 'fp8'; expected auto, 32 or bf16"):
        stain(stainer, images, tmp_path / "out", device="cpu", precision="fp8")


def test_an_image_that_does_not_fit_into_memory_is_named_and_the_others_done(
    stainer: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = ResnetGenerator.paint

    def short_of_memory(self: ResnetGenerator, x: torch.Tensor) -> torch.Tensor:
        if x.shape[3] > 90:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return paint(self, x)

    monkeypatch.setattr(ResnetGenerator, "paint", short_of_memory)
    result = stain(stainer, images, tmp_path / "out", device="cpu")
    assert {path.name for path in result.written} == {"b.png", "d.png"}
    assert "65 x 97 pixels, 1 a pass, do not fit into the memory" in result.failed[images / "a.png"]


def test_a_crash_while_writing_leaves_no_half_file(
    stainer: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Picture.Image, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Picture.Image, "save", full)
    with pytest.raises(RestainError, match=r"out/a\.png: cannot be written \(No space"):
        stain(stainer, images, tmp_path / "out", device="cpu")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def _tissue(folder: Path, shift: tuple[int, int, int] = (0, 0, 0)) -> Path:
    """Eight images of 64 pixels, each of two halves, light and dark, with noise."""
    rng = np.random.default_rng(0)
    for index in range(8):
        level = 90 + 15 * index + 40 * (np.arange(64) < 32)[:, None, None]
        pixels = level + rng.normal(0, 12, (64, 64, 3)) + np.array(shift)
        write_png(folder / f"{index}.png", pixels.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def calibrated_stainer(stainer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated on tissue."""
    root = tmp_path_factory.mktemp("calibrated")
    return calibrate(stainer, _tissue(root / "he"), out=root / "stainer", crops=100, device="cpu")


def _pixels(folder: Path) -> np.ndarray:
    return np.stack([read_rgb(path).astype(int) for path in sorted(folder.glob("*.png"))])


def test_the_stainers_statistics_are_used_where_it_has_them(
    stainer: Path, calibrated_stainer: Path, tmp_path: Path
) -> None:
    he = _tissue(tmp_path / "he")
    results = {
        name: stain(folder, he, tmp_path / name, norm=norm, device="cpu", precision="32")
        for name, folder, norm in (
            ("plain", stainer, None),
            ("default", calibrated_stainer, None),
            ("stored", calibrated_stainer, "stainer"),
            ("image", calibrated_stainer, "image"),
        )
    }
    assert [result.norm for result in results.values()] == ["image", "stainer", "stainer", "image"]
    plain, default, stored, image = (_pixels(tmp_path / name) for name in results)
    assert np.array_equal(default, stored) and np.array_equal(plain, image)
    assert np.abs(default - image).max() > 1
    ready = load_stainer(calibrated_stainer)
    frozen = freeze(ready.generator, ready.statistics)
    he_images = [read_rgb(path) for path in sorted(he.glob("*.png"))]
    expected = [to_rgb(frozen(to_tensor(rgb)[None])[0]) for rgb in he_images]
    assert np.abs(default - np.stack(expected)).max() <= 1
    with pytest.raises(RestainError, match="this stainer has no statistics; measure them with restain calibrate"):
        stain(stainer, he, tmp_path / "none", norm="stainer", device="cpu")
    with pytest.raises(RestainError, match="norm is 'slide'; expected one of stainer, folder, image"):
        stain(stainer, he, tmp_path / "none", norm="slide", device="cpu")


def test_images_of_which_none_can_be_measured_say_why(stainer: Path, tmp_path: Path) -> None:
    (tmp_path / "he").mkdir()
    (tmp_path / "he" / "broken.png").write_bytes(b"no image")
    write_png(tmp_path / "he" / "small.png", np.zeros((8, 80, 3), np.uint8))
    result = stain(stainer, tmp_path / "he", tmp_path / "out", norm="folder", device="cpu")
    assert not result.written and {path.name for path in result.failed} == {"broken.png", "small.png"}


def test_statistics_of_the_folder_depend_on_all_that_is_in_it(stainer: Path, images: Path, tmp_path: Path) -> None:
    he = _tissue(tmp_path / "he")
    (he / "broken.png").write_bytes(b"no image")
    write_png(he / "small.png", np.zeros((8, 80, 3), np.uint8))
    write_png(he / "thin.png", np.full((20, 80, 3), 200, np.uint8))
    result = stain(stainer, he, tmp_path / "all", norm="folder", device="cpu", precision="32")
    assert len(result.written) == 9 and {path.name for path in result.failed} == {"broken.png", "small.png"}
    few = [he / f"{index}.png" for index in range(3)]
    stain(stainer, few, tmp_path / "few", norm="folder", device="cpu", precision="32")
    sources = [Image(path.name, lambda path=path: read_rgb(path)) for path in few]
    ready = load_stainer(stainer)
    measured = measure(ready.generator, (to_tensor(crop)[None] for crop in draw_crops(sources, 64, 300, 0)))
    frozen = freeze(ready.generator, measured)
    for path in few:
        found = read_rgb(tmp_path / "few" / path.name).astype(int)
        assert np.abs(found - to_rgb(frozen(to_tensor(read_rgb(path))[None])[0])).max() <= 1
        assert (found != read_rgb(tmp_path / "all" / path.name)).any()


def test_h_and_e_of_another_kind_is_told(calibrated_stainer: Path, tmp_path: Path) -> None:
    same = stain(calibrated_stainer, _tissue(tmp_path / "he"), tmp_path / "a", device="cpu")
    assert same.warnings == []
    other = stain(calibrated_stainer, _tissue(tmp_path / "yellow", (0, 0, -40)), tmp_path / "b", device="cpu")
    (warning,) = other.warnings
    assert "the H&E looks unlike that on which the stainer was calibrated (distance " in warning
    again = stain(calibrated_stainer, tmp_path / "yellow", tmp_path / "b", device="cpu")
    assert again.warnings == [] and len(again.skipped) == 8
