"""Tiles, overlays, maps, registered slides: against the same thing computed another way."""

import io
import json
import threading

import numpy as np
import pytest
from marked_slides import HE, IHC, MARK, marked
from PIL import Image
from small_slides import draw_tissue, write_slide

from restain.errors import RestainError
from restain.files import write_json
from restain.stains import DAB, EOSIN, HEMATOXYLIN, separate
from restain.viewer.library import BoundedCache, Library
from restain.viewer.pictures import Case, Picture
from restain.viewer.registered import read_transform, scale_of
from restain.wsi.geometry import Region, Size
from restain.wsi.reader import open_slide
from restain.wsi.resample import read_region


def library_of(*pictures):
    library = Library([Case("case", pictures)])
    return library, [picture.id for picture in pictures]


def decoded(tile, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(tile)).convert(mode))


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("tiles") / "tissue.tif", draw_tissue(1300, 1700), 0.5)


def test_tiles_of_every_level_together_are_the_slide(tissue):
    library, (id,) = library_of(Picture(tissue, "he", "H&E"))
    about = library.description(id)
    assert (about["width"], about["height"], about["mpp"]) == (1700, 1300, 0.5)
    for level in range(about["last_level"] + 1):
        mpp = 0.5 * 2 ** (about["last_level"] - level)
        columns, rows = (-(-side // (2 ** (about["last_level"] - level) * 512)) for side in (1700, 1300))
        whole = np.vstack(
            [np.hstack([decoded(library.tile(id, "image", level, x, y)) for x in range(columns)]) for y in range(rows)]
        )
        with open_slide(tissue) as slide:
            wanted = read_region(slide, Size.of(whole).region, mpp)
        assert np.abs(whole.astype(int) - wanted).mean() < 2  # JPEG
        with pytest.raises(KeyError):
            library.tile(id, "image", level, columns, 0)


@pytest.mark.parametrize(("role", "layer", "other", "channel"), [
    ("real", "dab", DAB, 1), ("real", "haematoxylin", DAB, 0), ("he", "haematoxylin", EOSIN, 0),
])  # fmt: skip
def test_the_legend_gives_back_the_deconvolution_of_the_same_pixels(tissue, role, layer, other, channel):
    library, (id,) = library_of(Picture(tissue, role, ""))
    about = library.description(id)
    legend = next(one for one in about["overlays"] if one["key"] == layer)
    image = Image.open(io.BytesIO(library.tile(id, layer, about["last_level"], 1, 1)))
    palette = np.array(image.getpalette(), int).reshape(-1, 3)
    colours = {tuple(colour): index for index, colour in enumerate(palette.tolist())}  # all 256 differ
    assert len(colours) == 256
    shown = [f"rgb({red} {green} {blue})" for red, green, blue in palette[::8].tolist()]
    assert legend["colours"] == shown[:32]
    drawn = palette[np.asarray(image)]  # the colours on the screen
    indices = np.array([[colours[tuple(pixel)] for pixel in row] for row in drawn.tolist()])
    values = legend["low"] + indices * (legend["high"] - legend["low"]) / 255
    with open_slide(tissue) as slide:
        pixels = read_region(slide, Region(512, 512, *values.shape[::-1]), 0.5)
    wanted = separate(pixels, HEMATOXYLIN, other)[..., channel].clip(legend["low"], legend["high"])
    assert np.abs(values - wanted).max() <= (legend["high"] - legend["low"]) / 510 + 1e-5


def test_an_he_offers_no_dab(tissue):
    library, (id,) = library_of(Picture(tissue, "he", ""))
    assert [one["key"] for one in library.description(id)["overlays"]] == ["haematoxylin"]
    with pytest.raises(KeyError):
        library.tile(id, "dab", 0, 0, 0)


def test_a_map_is_shown_with_its_own_values(tmp_path):
    slide = write_slide(tmp_path / "s.tif", marked(800, 400, 1.0, IHC), 1.0)
    grey = np.arange(32, dtype=np.uint8).reshape(4, 8) * 8
    Image.fromarray(grey).save(tmp_path / "s.map.uncertainty.png")
    write_json(tmp_path / "s.map.uncertainty.json", {"title": "uncertainty", "unit": "OD", "low": 0.0, "high": 2.0})
    library, (id,) = library_of(Picture(slide, "virtual", ""))
    about = library.description(id)
    legend = about["overlays"][-1]
    assert (legend["title"], legend["unit"], legend["high"]) == ("uncertainty", "OD", 2.0)
    image = Image.open(io.BytesIO(library.tile(id, legend["key"], about["last_level"], 1, 0)))
    indices = np.asarray(image)  # x from 512 to 800 µm, each map pixel 100 µm wide and high
    for x, y in ((550, 50), (750, 350), (650, 150)):
        assert indices[y, x - 512] == grey[y // 100, x // 100]


def test_a_map_with_a_wrong_legend_is_named(tmp_path):
    slide = write_slide(tmp_path / "s.tif", marked(800, 400, 2.0, IHC), 2.0)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "s.map.lost.png")
    write_json(tmp_path / "s.map.lost.json", {"title": "lost", "unit": "", "low": 1.0, "high": 1.0})
    library, (id,) = library_of(Picture(slide, "virtual", ""))
    with pytest.raises(RestainError, match=r"s\.map\.lost\.json: .*expected low below high"):
        library.description(id)


def test_a_registered_slide_shows_the_mark_where_the_he_has_it(tmp_path):
    """The IHC is the H&E turned by a quarter, mirrored by nothing, 1.1 times as large, at another resolution."""
    he = write_slide(tmp_path / "he.tif", marked(1200, 900, 0.5, HE), 0.5)
    ihc = write_slide(tmp_path / "ihc.tif", np.ascontiguousarray(np.rot90(marked(1200, 900, 1.0, IHC))), 1.1)
    # np.rot90 takes (x, y) to (y, 1200 - x); then lengths grow by 1.1
    write_json(tmp_path / "t.json", {"version": 1, "units": "um", "matrix": [[0, 1.1, 0], [-1.1, 0, 1320]]})
    library, ids = library_of(Picture(he, "he", "H&E"), Picture(ihc, "real", "real IHC", transform=tmp_path / "t.json"))
    about = [library.description(id) for id in ids]
    widths = [one["width"] * one["mpp"] for one in about]
    assert widths[1] == pytest.approx(widths[0], abs=1.0)
    assert about[1]["mpp"] == pytest.approx(1.0)
    tile = decoded(library.tile(ids[1], "image", about[1]["last_level"], 1, 0)).astype(int)
    rows, columns = np.nonzero(tile.sum(axis=-1) < 200)
    left, top, right, bottom = MARK
    found = columns.min() + 512, rows.min(), columns.max() + 513, rows.max() + 1
    assert found == pytest.approx((left, top, right, bottom), abs=1)
    assert np.abs(tile[50, 50] - IHC).max() <= 3


def test_tissue_outlines_follow_the_transform(tmp_path):
    tissue = write_slide(tmp_path / "he.tif", draw_tissue(800, 1000), 2.0)
    write_json(tmp_path / "t.json", {"version": 1, "units": "um", "matrix": [[1, 0, 40], [0, 1, -30]]})
    library, ids = library_of(
        Picture(tissue, "he", "H&E"), Picture(tissue, "real", "IHC", transform=tmp_path / "t.json")
    )
    plain, moved = (library.tissue(id) for id in ids)
    assert len(plain) >= 2
    assert np.array(moved[0]) == pytest.approx(np.array(plain[0]) - (40, -30), abs=0.02)
    x, y = np.array(plain[0]).T
    assert 0 < x.min() < x.max() < 2000 and 0 < y.min() < y.max() < 1600


NAMED = {"version": 1, "unit": "micron", "maps": "he to ihc", "he": "he.tif", "ihc": "ihc.tif"}


def written(folder, **fields):
    """A ``transform.json`` as ``restain register`` writes it, with changes."""
    write_json(folder / "t.json", {**NAMED, "steps": [], **fields})
    return folder / "t.json"


def field_step(spacing, dx, dy):
    return {"kind": "field", "origin": [0.0, 0.0], "spacing": spacing, "dx": dx, "dy": dy}


def test_the_steps_of_restain_register_are_applied_in_their_order(tmp_path):
    affine, rigid = [[1.1, 0, 5], [0, 0.9, -3]], [[0, -1, 100], [1, 0, 20]]
    steps = [
        field_step(100.0, [[2.0, 2.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]),
        {"kind": "affine", "matrix": affine},
    ]
    steps += [{"kind": "rigid", "matrix": rigid, "mirrored": False, "rotation_deg": 90.0}]
    transform = read_transform(written(tmp_path, steps=steps))
    x, y = 1.1 * (70 + 2) + 5, 0.9 * 40 - 3  # of the place 70, 40
    assert transform.at(np.array([[70.0, 40.0]]))[0] == pytest.approx((100 - y, 20 + x))
    assert scale_of(transform) == pytest.approx((1.1 * 0.9) ** 0.5)


def test_a_field_of_displacements_puts_the_mark_where_the_he_has_it(tmp_path):
    """The IHC's mark lies 30 µm to the right of the H&E's and 20 µm above it; elsewhere the two agree."""
    he = write_slide(tmp_path / "he.tif", marked(1200, 900, 1.0, HE), 1.0)
    moved = np.full((900, 1200, 3), IHC, np.uint8)
    left, top, right, bottom = (int(edge) for edge in MARK)
    moved[top - 20 : bottom - 20, left + 30 : right + 30] = (30, 20, 40)
    ihc = write_slide(tmp_path / "ihc.tif", moved, 1.0)
    rows, columns = np.mgrid[0:19, 0:25] * 50.0
    near = np.exp(-((((columns - 730) ** 2 + (rows - 290) ** 2) / 250**2) ** 2))  # 1 around the mark, 0 far away
    steps = [field_step(50.0, (30 * near).tolist(), (-20 * near).tolist())]
    picture = Picture(ihc, "real", "real IHC", transform=written(tmp_path, steps=steps))
    library, ids = library_of(Picture(he, "he", "H&E"), picture)
    about = library.description(ids[1])
    assert about["notes"] == []
    for level, scale in ((about["last_level"], 1), (about["last_level"] - 1, 2)):
        found = []
        for column in range(2 // scale):
            tile = decoded(library.tile(ids[1], "image", level, column + (1 if scale == 1 else 0), 0)).astype(int)
            if (tile.sum(axis=-1) < 200).any():
                rows_, columns_ = np.nonzero(tile.sum(axis=-1) < 200)
                shift = 512 * (column + (1 if scale == 1 else 0))
                found = [columns_.min() + shift, rows_.min(), columns_.max() + shift + 1, rows_.max() + 1]
                break
        assert [edge * scale for edge in found] == pytest.approx(MARK, abs=3), level


def test_outlines_follow_a_field_of_displacements(tmp_path):
    tissue = write_slide(tmp_path / "he.tif", draw_tissue(800, 1000), 2.0)
    rows, columns = np.mgrid[0:17, 0:21] * 100.0
    wave = 25 * np.sin(columns / 500) * np.cos(rows / 400)
    picture = Picture(
        tissue, "real", "IHC", transform=written(tmp_path, steps=[field_step(100.0, wave.tolist(), wave.tolist())])
    )
    library, ids = library_of(Picture(tissue, "he", "H&E"), picture)
    plain, moved = (np.concatenate([np.array(ring) for ring in library.tissue(id)]) for id in ids)
    transform = read_transform(tmp_path / "t.json")
    assert np.abs(moved - plain).max() > 10
    assert np.abs(transform.at(moved) - plain).max() < 0.05


@pytest.mark.parametrize(("fields", "words"), [
    ({"version": 1, "unit": "px", "maps": "he to ihc", "steps": []}, "unit is not as a transform of version 1"),
    ({**NAMED, "steps": [{"kind": "warp"}]}, "warp"),
    ({**NAMED, "steps": [{"kind": "field", "origin": [0, 0], "spacing": 9, "dx": [[1, 2]], "dy": [[1], [2]]}]},
     "not two grids of one size"),
    ({**NAMED, "steps": [{"kind": "affine", "matrix": [[1, 2, 0], [2, 4, 0]]}]}, "invertible"),
    ({"version": 9, "units": "um", "matrix": [[1, 0, 0], [0, 1, 0]]}, "version is 9"),
    ({"version": 1, "units": "px", "matrix": [[1, 0, 0], [0, 1, 0]]}, "units is 'px'; expected 'um'"),
    ({"version": 1, "units": "um", "matrix": [[1, 0], [0, 1]]}, "expected two rows of three numbers"),
    ({"version": 1, "units": "um", "matrix": [[1, 2, 0], [2, 4, 0]]}, "invertible"),
    ([1], "expected an object"),
])  # fmt: skip
def test_a_transform_that_cannot_be_applied_is_refused(tmp_path, fields, words):
    (tmp_path / "t.json").write_text(json.dumps(fields))
    with pytest.raises(RestainError, match=words):
        read_transform(tmp_path / "t.json")


def test_a_picture_without_a_pixel_size_is_made_as_wide_as_the_he_and_says_so(tmp_path):
    he = write_slide(tmp_path / "he.tif", marked(1200, 900, 0.5, HE), 0.5)
    bare = write_slide(tmp_path / "bare.tif", marked(1200, 900, 2.0, IHC), None)
    library, ids = library_of(Picture(he, "he", "H&E"), Picture(bare, "virtual", "virtual stain"))
    about = library.description(ids[1])
    assert about["mpp"] == pytest.approx(2.0) and not about["scale_known"]
    assert about["notes"] == ["has no usable pixel size; shown as wide as the H&E"]


def test_the_cache_is_bounded_and_makes_each_value_once():
    cache: BoundedCache[bytes] = BoundedCache(1000, len)
    made: list[int] = []

    def ask(key):
        def make():
            made.append(key)
            return bytes(100)

        assert len(cache.get(key, make)) == 100

    threads = [threading.Thread(target=ask, args=(key % 8,)) for key in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(8))
    for key in range(8, 40):
        ask(key)
    assert cache.total == 1000
    ask(39)
    assert made.count(39) == 1
    ask(0)
    assert made.count(0) == 2  # it was the least recently used


def test_a_failure_is_not_kept():
    cache: BoundedCache[int] = BoundedCache(4)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 7) == 7
