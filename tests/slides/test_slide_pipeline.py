"""Tiles pass in order, errors come out, and memory that does not suffice only makes the pieces smaller."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_slides import identity, make_plan

from restain.errors import RestainError
from restain.images import RGB
from restain.networks.statistics import measure
from restain.slides.run.journal import Journal
from restain.slides.run.pipeline import Stages, run_tiles
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Footprint, Tile, Tiling
from restain.stainer_files import load_stainer
from restain.tensors import to_tensor
from restain.wsi.geometry import Region, Size

SIZE = Size(448, 320)
FOOTPRINT = Footprint(radius=32, stride=4, smallest=16)


@pytest.fixture
def frozen(stainer_folder: Path, he_image: RGB) -> SlideStainer:
    generator = load_stainer(stainer_folder).generator
    return SlideStainer(generator, measure(generator, [to_tensor(he_image[:256, :256])[None]]))


def run(journal: Journal, stainer: SlideStainer, image: RGB, tile: int = 192) -> list[Tile]:
    done: list[Tile] = []

    def read(region: Region) -> RGB:
        return image[region.within(Size.of(image).region)]

    plan = make_plan(SIZE, tile, FOOTPRINT)
    run_tiles(plan, journal, Stages(read, stainer, lambda rgb, _: rgb, lambda: None, done.append))
    return done


def mosaic(journal: Journal, tile: int = 192) -> RGB:
    pixels = np.zeros((*SIZE.shape, 3), dtype=np.uint8)
    for placed in Tiling(SIZE, tile):
        pixels[placed.region.within(SIZE.region)] = journal.load(placed)
    return pixels


def test_an_interrupted_run_does_the_rest_only(tmp_path: Path, frozen: SlideStainer, he_image: RGB) -> None:
    journal = Journal(tmp_path, identity())
    everything = run(journal, frozen, he_image)
    assert everything == list(Tiling(SIZE, 192))
    whole = mosaic(journal)
    for path in sorted((tmp_path / "tiles").iterdir())[3:]:
        path.unlink()
    again = Journal(tmp_path, identity())
    assert run(again, frozen, he_image) == everything[3:]
    np.testing.assert_array_equal(mosaic(again), whole)


def test_too_little_memory_makes_the_pieces_smaller_and_moves_no_pixel(
    tmp_path: Path, frozen: SlideStainer, he_image: RGB
) -> None:
    plain = Journal(tmp_path / "plain", identity())
    run(plain, frozen, he_image)
    small = Journal(tmp_path / "small", identity())
    stain = frozen.stain
    refused = []

    def poor(inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        if tiles[0].region.width > 100:
            refused.append(tiles[0])
            raise torch.OutOfMemoryError("too large")
        return stain(inputs, tiles)

    frozen.stain = poor  # type: ignore[method-assign, assignment]
    run(small, frozen, he_image)
    assert small.division == 2 and len(refused) == 1  # found out once, then remembered
    assert np.abs(mosaic(small).astype(int) - mosaic(plain)).max() <= 1


def test_hopelessly_little_memory_is_one_sentence(tmp_path: Path, frozen: SlideStainer, he_image: RGB) -> None:
    def none(inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        raise torch.OutOfMemoryError("too large")

    frozen.stain = none  # type: ignore[method-assign, assignment]
    with pytest.raises(RestainError, match="memory: a part of 96 x 96 pixels does not fit"):
        run(Journal(tmp_path, identity()), frozen, he_image)


def test_errors_of_readers_and_writers_stop_the_run(tmp_path: Path, frozen: SlideStainer) -> None:
    blank = np.zeros((512, 512, 3), dtype=np.uint8)

    def broken_read(region: Region) -> RGB:
        raise RestainError("slide.svs: cannot be decoded")

    def broken_write() -> None:
        raise OSError(28, "No space left on device")

    def read(region: Region) -> RGB:
        return blank[: region.height, : region.width]

    for stages, error, words in (
        (Stages(broken_read, frozen, lambda rgb, _: rgb, lambda: None, lambda _: None), RestainError, "decoded"),
        (Stages(read, frozen, lambda rgb, _: rgb, broken_write, lambda _: None), OSError, "No space"),
    ):
        with pytest.raises(error, match=words):
            run_tiles(make_plan(SIZE, 192, FOOTPRINT), Journal(tmp_path / words, identity()), stages)
