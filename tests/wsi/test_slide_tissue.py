"""Tissue found by optical density over the slide's own glass, and its outlines for QuPath."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restain.files import write_json
from restain.images import RGB
from restain.types import Mpp
from restain.wsi.contours import Polygon, Ring, signed_area, trace_contours
from restain.wsi.reader import open_slide
from restain.wsi.tissue import Mask, Tissue, find_tissue, segment_tissue

REAL = Path(__file__).parents[3] / "shared" / "data" / "wsi"
GLASS = (231, 228, 235)


def section(glass: tuple[int, int, int] = GLASS) -> tuple[RGB, Mask]:
    """An ellipse of stroma and nuclei at 8 µm per pixel on noisy glass, and where it is."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:200, :300]
    truth = ((y - 100) / 60) ** 2 + ((x - 130) / 80) ** 2 < 1
    image = np.full((200, 300, 3), glass, np.float64)
    image[truth] *= (0.9, 0.7, 0.8)  # the light of the glass, less what eosin and haematoxylin take
    image[truth & (random.random(truth.shape) < 0.25)] = np.multiply(glass, (0.5, 0.4, 0.65))
    return np.asarray((image + random.normal(0, 2, image.shape)).clip(0, 255).round().astype(np.uint8)), truth


def overlap(found: Mask, truth: Mask) -> float:
    """Dice coefficient."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.mark.parametrize("glass", [GLASS, (255, 255, 255), (205, 200, 208)], ids=["usual", "white", "dim"])
def test_tissue_is_found_on_glass_of_any_brightness(glass: tuple[int, int, int]) -> None:
    image, truth = section(glass)
    assert overlap(segment_tissue(image, 8.0), truth) > 0.99


def test_unscanned_white_is_not_taken_for_glass() -> None:
    image, truth = section((205, 200, 208))
    image[:, 220:] = 255
    image[170:] = 255
    assert overlap(segment_tissue(image, 8.0), truth) > 0.99


def test_ink_black_borders_dust_and_threads_are_left_out() -> None:
    image, truth = section()
    image[5:15, 20:280] = (30, 70, 190)
    image[185:195, 20:280] = (40, 140, 70)
    image[30:160, 285:295] = (30, 30, 35)
    image[:, :6] = 0
    image[20, 20:200] = (150, 140, 145)  # a thread, 8 µm wide
    image[50:53, 250:253] = (120, 90, 160)  # a speck of 24 µm
    found = segment_tissue(image, 8.0)
    assert overlap(found, truth) > 0.99
    assert not found[:, 220:].any() and not found[:30].any() and not found[:, :6].any()


def test_ink_on_tissue_hides_it() -> None:
    image, _ = section()
    image[95:105, 60:200] = (30, 30, 35)
    found = segment_tissue(image, 8.0)
    assert not found[95:105, 60:200].any()
    assert found[70:85, 100:160].all()


def test_lumens_are_filled_and_large_holes_stay() -> None:
    image, _ = section()
    image[90:94, 100:104] = GLASS  # 32 µm
    image[85:115, 140:170] = GLASS  # 240 µm
    found = segment_tissue(image, 8.0)
    assert found[90:94, 100:104].all()
    assert not found[90:110, 145:165].any()


def test_tissue_without_glass_and_glass_without_tissue() -> None:
    image, _ = section()
    full = image[80:120, 90:170]
    assert segment_tissue(full, 8.0).all()
    assert not segment_tissue(image[:35, :60], 8.0).any()


def write_slide(path: Path, image: RGB, mpp: float) -> Path:
    tifffile.imwrite(
        path, image, photometric="rgb", tile=(64, 64), resolution=(1e4 / mpp,) * 2, resolutionunit=3, metadata=None
    )
    return path


def test_a_slide_gives_mask_white_and_area(tmp_path: Path) -> None:
    image, _ = section()
    with open_slide(write_slide(tmp_path / "slide.tif", image.repeat(4, 0).repeat(4, 1), 2.0)) as slide:
        tissue = find_tissue(slide)
    assert tissue.mask.shape == (200, 300) and tissue.mpp == 8.0
    assert np.abs(np.subtract(tissue.background, GLASS)).max() <= 2
    assert tissue.area_mm2 == pytest.approx(np.pi * 60 * 80 * 0.008**2, rel=0.02)


def test_a_slide_of_nothing_but_tissue_has_white_glass(tmp_path: Path) -> None:
    image = section()[0][80:120, 90:170]
    with open_slide(write_slide(tmp_path / "slide.tif", image, 8.0)) as slide:
        tissue = find_tissue(slide)
    assert tissue.mask.all() and tissue.background == (255, 255, 255)


def test_a_slide_coarser_than_the_mask_keeps_its_own_scale(tmp_path: Path) -> None:
    with open_slide(write_slide(tmp_path / "slide.tif", section()[0], 16.0)) as slide:
        assert find_tissue(slide).mpp == 16.0


def crosses_itself(ring: Ring) -> bool:
    """Whether a ring comes twice to any point of the pixel grid, walked step by step."""
    walked = []
    for (x, y), (to_x, to_y) in pairwise(ring):
        assert (x == to_x) != (y == to_y)
        length = max(abs(to_x - x), abs(to_y - y))
        dx, dy = (to_x - x) // length, (to_y - y) // length
        walked += [(x + at * dx, y + at * dy) for at in range(length)]
    return len(set(walked)) != len(walked)


def filled(polygons: list[Polygon], shape: tuple[int, int]) -> np.ndarray:
    """How many times each pixel is enclosed, by counting the upright sides to its left (non-zero winding)."""
    winding = np.zeros((shape[0], shape[1] + 1), int)
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (_, to_y) in pairwise(ring):
            winding[min(y, to_y) : max(y, to_y), x] += int(np.sign(y - to_y))
    return winding.cumsum(axis=1)[:, :-1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7])
def test_outlines_enclose_exactly_the_mask_and_are_valid(seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((31, 40)) < density  # every way in which pixels can touch
    polygons = trace_contours(mask)
    assert np.array_equal(filled(polygons, mask.shape), mask.astype(int))
    for outline, *holes in polygons:
        assert signed_area(outline) > 0 and all(signed_area(hole) < 0 for hole in holes)
        assert all(ring[0] == ring[-1] and not crosses_itself(ring) for ring in (outline, *holes))
    assert sum(signed_area(ring) for polygon in polygons for ring in polygon) == mask.sum()


def test_outlines_of_simple_shapes() -> None:
    assert trace_contours(np.zeros((4, 4), bool)) == []
    assert [set(ring) for ring in trace_contours(np.ones((3, 5), bool))[0]] == [{(0, 0), (5, 0), (5, 3), (0, 3)}]
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert [signed_area(part) for part in trace_contours(ring)[0]] == [25, -1]
    diagonal = np.eye(2, dtype=bool)
    assert len(trace_contours(diagonal)) == 2
    island = np.pad(np.pad(np.ones((1, 1), bool), 1), 1, constant_values=True)
    assert [[signed_area(part) for part in polygon] for polygon in trace_contours(island)] == [[25, -9], [1]]


def test_geojson_opens_over_the_slide(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:20] = True
    mask[8:10, 12:14] = False
    path = tmp_path / "tissue.geojson"
    write_json(path, Tissue(mask, Mpp(8.0), (255, 255, 255), Mpp(0.5)).to_geojson(0.5))
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection" and len(collection["features"]) == 1
    feature = collection["features"][0]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == "Tissue"
    outline, hole = feature["geometry"]["coordinates"]
    assert {tuple(corner) for corner in outline} == {(160, 80), (320, 80), (320, 240), (160, 240)}
    area = sum(signed_area(ring) for ring in (outline, hole))
    assert area * 0.5**2 == mask.sum() * 8.0**2  # µm²


@pytest.mark.skipif(not REAL.exists(), reason="the folder shared/data with real slides is not there")
def test_real_slides_show_their_tissue() -> None:
    with open_slide(REAL / "HE_example.ome.tif") as slide:
        core = find_tissue(slide)  # a tissue core, nearly round, on a square of glass
    assert 0.69 < core.mask.mean() < 0.75 and len(trace_contours(core.mask)) == 1
    with open_slide(REAL / "he_lung_region_4096.jpg", mpp=0.5) as slide:
        assert find_tissue(slide).mask.all()


def test_what_the_mask_leaves_out_is_measured(tmp_path: Path) -> None:
    image, _ = section()
    smear = np.full((200, 300, 3), GLASS, np.uint8)
    smear[::6, ::6] = smear[1::6, ::6] = (120, 70, 130)  # cells of 8 x 16 µm, everywhere
    for name, pixels in (("section", image), ("smear", smear)):
        write_slide(tmp_path / f"{name}.tif", pixels.repeat(8, axis=0).repeat(8, axis=1), mpp=1.0)
    with open_slide(tmp_path / "section.tif") as slide:
        assert find_tissue(slide).left_out < 0.02
    with open_slide(tmp_path / "smear.tif") as slide:
        found = find_tissue(slide)
    dark = (smear[..., 0] < 200).sum()
    assert found.left_out > 0.9 and found.mask.sum() < 0.1 * dark


def test_the_mask_of_a_vast_slide_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restain.wsi.tissue._MOST_PIXELS", 5000)
    image, truth = section()
    write_slide(tmp_path / "he.tif", image.repeat(2, axis=0).repeat(2, axis=1), mpp=4.0)
    with open_slide(tmp_path / "he.tif") as slide:
        found = find_tissue(slide)
    assert found.mask.size == pytest.approx(5000, rel=0.02)
    assert found.area_mm2 == pytest.approx(truth.sum() * 64e-6, rel=0.05)
