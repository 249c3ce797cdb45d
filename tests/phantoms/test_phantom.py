"""Virtual tissue: what is drawn is what the truth says, and a window, a tile or a number of pairs changes nothing."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from restain.errors import RestainError
from restain.images import read_rgb
from restain.phantoms import Consecutive, PhantomOptions, phantom
from restain.phantoms.cells import Box, Kind
from restain.phantoms.dataset import place, split_of
from restain.phantoms.field import Noise, hash_normal, hash_uniform
from restain.phantoms.laboratory import Scanner
from restain.phantoms.markers import RULES
from restain.phantoms.render import Section
from restain.phantoms.section import Displacement, View
from restain.phantoms.slide import Slide
from restain.phantoms.tissue import Anatomy, Tissue
from restain.types import mix_seed

CLEAN = PhantomOptions(blur=0.0, noise=0.0)
MARKERS = sorted(RULES)


def grid(height: int, width: int, step: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.arange(height) * step, np.arange(width) * step, indexing="ij")
    return y, x


def a_slide(marker: str, number: int = 0, options: PhantomOptions = CLEAN) -> Slide:
    return Slide(marker, mix_seed(99, number), options)


# Fields


def test_noise_is_a_quadratic_b_spline_through_hashed_values() -> None:
    noise = Noise(5, 3.0)
    y, x = np.array([[10.3, -7.9]]), np.array([[4.4, 121.0]])
    expected = []
    for v, u in zip(y[0] / 3.0, x[0] / 3.0, strict=True):
        i, j, total = int(np.rint(v)), int(np.rint(u)), 0.0

        def weight(t: float) -> float:
            return 0.75 - t * t if abs(t) <= 0.5 else 0.5 * (1.5 - abs(t)) ** 2

        for a in (i - 1, i, i + 1):
            for b in (j - 1, j, j + 1):
                total += weight(v - a) * weight(u - b) * hash_normal(5, np.array([a]), np.array([b]))[0] / 0.5625
        expected.append(float(total))
    np.testing.assert_allclose(noise.at(y, x)[0], expected, atol=1e-5)


def test_a_window_of_noise_is_bitwise_part_of_a_larger_one() -> None:
    y, x = grid(300, 260, 0.37)
    y, x = y - 31.7, x + 1e4
    whole = Noise(8, 4.1).at(y, x)
    np.testing.assert_array_equal(whole[90:170, 33:250], Noise(8, 4.1).at(y[90:170, 33:250], x[90:170, 33:250]))


def test_hashes_are_uniform_and_normal() -> None:
    y, x = np.arange(400)[:, None], np.arange(-200, 200)[None, :]
    uniform, normal = hash_uniform(1, y, x), hash_normal(1, y, x)
    assert np.histogram(uniform, 10, (0, 1))[0] / uniform.size == pytest.approx(np.full(10, 0.1), abs=0.003)
    assert abs(normal.mean()) < 0.01
    assert normal.std() == pytest.approx(1.0, abs=0.01)
    assert abs(np.corrcoef(normal[1:].ravel(), normal[:-1].ravel())[0, 1]) < 0.01


# Beer-Lambert and the scanner


@pytest.mark.parametrize("marker", ["her2", "er"])
def test_the_images_hold_the_stain_amounts_that_were_laid_down(marker: str) -> None:
    slide = a_slide(marker)
    view = slide.window(0, 128)
    made, section = slide.render(view), Section.cut(slide.population, view)
    for image, amounts, vectors, white in (
        (made.he, slide.stainer.he(section), slide.style.he_vectors, slide.style.he_white),
        (made.ihc, slide.stainer.ihc(section), slide.style.ihc_vectors, slide.style.ihc_white),
    ):
        density = -np.log10(np.maximum(image, 1) / 255.0 / white)
        recovered = density @ np.linalg.pinv(vectors)
        bright = image.min(axis=-1) > 30  # below, a grey level is a large step of density
        assert bright.mean() > 0.8
        assert np.abs(recovered - amounts)[bright].max() < 0.03


def test_the_scanner_blurs_and_adds_the_noise_it_promises() -> None:
    view = View(0, 0, 200, 200, 0.5)
    flat = np.full((208, 208, 3), 0.5)
    image = Scanner(1.0, 3.0).scan(flat, view, 1).astype(float)
    assert image.mean() == pytest.approx(127.5, abs=0.1)
    assert image.std() == pytest.approx(np.hypot(3.0 * np.sqrt(0.5), np.sqrt(1 / 12)), rel=0.03)
    point = np.ones((208, 208, 3))
    point[104, 104] = 0.0
    hole = 255.0 - Scanner(1.0, 0.0).scan(point, view, 1)[..., 0]
    assert hole.max() == pytest.approx(255 / (2 * np.pi), abs=1.5)


# Where the marker lies


@pytest.mark.parametrize("marker", MARKERS)
def test_dab_lies_only_on_positive_cells_and_in_the_right_compartment(marker: str) -> None:
    slide = a_slide(marker, 3)
    slide.style = replace(slide.style, background=0.0)
    slide.stainer.style = slide.style
    section = Section.cut(slide.population, slide.window(0, 256))
    dab = slide.stainer.ihc(section)[..., 1]
    intensity = np.append(section.cells.intensity, 0)
    membranous = RULES[marker].membranous
    owner = section.territory.owner if membranous else section.territory.nucleus
    assert dab.max() > 0.5
    assert dab[intensity[owner] == 0].max() == 0.0
    wrong_place = section.nucleus == 1 if membranous else section.nucleus == 0
    assert dab[wrong_place].max() == 0.0
    assert set(section.cells.intensity[section.cells.kind != Kind.TUMOUR]) == {0}


def test_her2_lies_on_the_membrane_and_stronger_with_its_score() -> None:
    slide = a_slide("her2", 1)
    section = Section.cut(slide.population, slide.window(0, 384))
    dab = slide.stainer.ihc(section)[..., 1]
    score = section.scores(section.territory.owner)
    cytoplasm = (section.tumour == 1) & (section.nucleus == 0) & (section.plan.depth > 4)
    border, inner = np.abs(section.territory.border) < 0.3, section.territory.border > 1.8
    on_border = [np.median(dab[cytoplasm & border & (score == s)]) for s in range(4)]
    assert on_border[0] < on_border[1] < on_border[2] < on_border[3]
    assert on_border[3] > 3 * np.median(dab[cytoplasm & inner & (score == 3)])


# What the marker depends on


@pytest.mark.parametrize("marker", MARKERS)
def test_positivity_can_be_learned_from_morphology_but_is_no_copy_of_it(marker: str) -> None:
    rule = RULES[marker]
    cells = [s.population.inside(s.window(0, 400).box(0)) for s in (a_slide(marker, n) for n in range(16))]
    score, stain, radius = (
        np.concatenate([getattr(c, name)[c.kind == Kind.TUMOUR] for c in cells])
        for name in ("morphology", "intensity", "radius")
    )
    assert 0.4 < np.corrcoef(score, stain)[0, 1] < 0.9
    # The nuclear size seen in the picture carries the score, in the direction of the rule.
    assert np.sign(rule.size) * np.corrcoef(radius, score)[0, 1] > 0.3
    assert 0.1 < np.mean(stain > 0) < 0.95


# Windows, scale, consecutive sections


def test_windows_share_out_the_cells_and_the_pixels_of_a_larger_window() -> None:
    slide = a_slide("pr", 2, PhantomOptions())
    whole = slide.render(View(-40, 100, 128, 192, 0.5))
    corners = [(-40, 100), (-40, 196), (24, 100), (24, 196)]
    parts = [slide.render(View(top, left, 64, 96, 0.5)) for top, left in corners]
    assert sum(len(part.cells) for part in parts) == len(whole.cells)
    for name in ("he", "ihc", "tissue"):
        a, b, c, d = (getattr(part, name) for part in parts)
        joined = np.concatenate([np.concatenate([a, b], axis=1), np.concatenate([c, d], axis=1)])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_tissue_is_defined_in_microns() -> None:
    slide = a_slide("er")
    fine, coarse = View(0, 0, 160, 160, 0.25), View(0, 0, 80, 80, 0.5)
    a, b = slide.render(fine), slide.render(coarse)
    np.testing.assert_array_equal(a.tissue[::2, ::2], b.tissue)
    tumour = slide.population.inside(slide.window(0, 512).box(0))
    diameter = 2.0 * tumour.radius[tumour.kind == Kind.TUMOUR]
    assert diameter.min() >= 5.8
    assert diameter.max() <= 12.0


def test_a_shifted_section_is_the_aligned_one_moved_to_the_pixel() -> None:
    slide = a_slide("her2", options=PhantomOptions(noise=0.0))
    view = slide.window(0, 96)
    made = slide.render(view, Displacement(0.0, (5.0, -7.0), 0.0, (0.0, 0.0), 1))
    assert made.aligned is not None
    np.testing.assert_array_equal(made.ihc[:-5, 7:], made.aligned[5:, :-7])


def test_a_warped_section_is_the_aligned_one_moved_by_the_stored_displacement() -> None:
    slide = a_slide("her2", 4, PhantomOptions(blur=1.0, noise=0.0, consecutive=Consecutive(turnover=0.0)))
    view = slide.window(0, 192)
    displacement = slide.displacement(view)
    assert displacement is not None
    made = slide.render(view, displacement)
    assert made.aligned is not None
    y, x = grid(192, 192)
    dy, dx = displacement.at(y + view.top, x + view.left)
    moved = [ndimage.map_coordinates(made.aligned[..., k].astype(float), [y + dy, x + dx], cval=-1) for k in range(3)]
    moved = np.stack(moved, axis=-1)
    seen = moved.min(axis=-1) > -1
    assert np.hypot(dy, dx).max() > 4.0
    error = np.abs(moved - made.ihc)[seen].mean()
    assert error < 1.5
    assert np.abs(made.aligned.astype(float) - made.ihc)[seen].mean() > 8 * error


def test_the_inverse_of_a_displacement_undoes_it() -> None:
    displacement = Displacement(20.0, (8.0, -11.0), 9.0, (128.0, 128.0), 3)
    y, x = grid(16, 16, 17.0)
    v, u = displacement.source_of(y, x)
    dy, dx = displacement.at(v, u)
    np.testing.assert_allclose([v + dy, u + dx], [y, x], atol=1e-3)


def test_turnover_replaces_that_fraction_of_the_cells_and_leaves_the_others() -> None:
    slide = a_slide("er", 5, PhantomOptions(consecutive=Consecutive(turnover=0.3)))
    box = Box(0.0, 0.0, 600.0, 900.0)
    before, after = slide.population.inside(box), slide.next_population.inside(box)
    assert after.replaced.mean() == pytest.approx(0.3, abs=0.03)
    assert not before.replaced.any()
    places = set(zip(before.y, before.x, before.intensity, strict=True))
    kept = [place in places for place in zip(after.y, after.x, after.intensity, strict=True)]
    np.testing.assert_array_equal(np.array(kept), ~after.replaced)


def test_a_whole_section_has_glass_around_it() -> None:
    anatomy = Anatomy(3, (500.0, 700.0))
    y, x = grid(500, 700)
    labels = anatomy.plan(y, x).classes()
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert set(edge) == {Tissue.GLASS}
    assert np.mean(labels[200:300, 250:450] == Tissue.GLASS) < 0.3


# On disk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_data_set_in_mist_layout_with_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "made"
    phantom("ki67", out, pairs=6, size=64, seed=4)
    assert names(out) == ["phantom.json", "trainA", "trainB", "truth", "valA", "valB"]
    assert names(tmp_path) == ["made"]
    for split in ("train", "val"):
        assert names(out / f"{split}A") == names(out / f"{split}B") == names(out / "truth" / split / "tissue")
    train, val = ({name.split("_")[0] for name in names(out / f"{split}A")} for split in ("train", "val"))
    assert train and val and not train & val
    name = names(out / "trainA")[0]
    assert read_rgb(out / "trainA" / name).shape == (64, 64, 3)
    with (out / "truth" / "train" / "cells" / f"{name[:-4]}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows and all(-0.5 <= float(row["y"]) < 63.5 for row in rows)
    assert all((row["positive"] == "1") == (int(row["intensity"]) > 0) for row in rows)
    description = json.loads((out / "phantom.json").read_text())
    assert (description["marker"], description["mpp"], description["seed"]) == ("ki67", 0.5, 4)
    assert {slide["slide"] for slide in description["slides"]} == train | val


def test_the_same_seed_makes_the_same_bytes_however_many_pairs(tmp_path: Path) -> None:
    for name, pairs, seed in (("few", 2, 1), ("many", 7, 1), ("other", 2, 2)):
        phantom("er", tmp_path / name, pairs=pairs, size=64, seed=seed)
    few = [p.relative_to(tmp_path / "few") for p in (tmp_path / "few").rglob("*.*") if p.name != "phantom.json"]
    assert len(few) == 2 * 4
    for path in few:
        assert (tmp_path / "few" / path).read_bytes() == (tmp_path / "many" / path).read_bytes()
    images = [path for path in few if path.parts[0].endswith("A")]
    assert all((tmp_path / "few" / p).read_bytes() != (tmp_path / "other" / p).read_bytes() for p in images)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.2, 0.34, 0.5, 0.75, 1.0])
def test_splits_take_their_share_of_the_slides(fraction: float) -> None:
    val = [split_of(slide, fraction) == "val" for slide in range(1000)]
    assert sum(val) == pytest.approx(1000 * fraction, abs=1)
    assert val[1] == (fraction > 0)
    assert len({place(pair) for pair in range(400)}) == 400


def test_consecutive_sections_on_disk_keep_the_aligned_truth(tmp_path: Path) -> None:
    options = PhantomOptions(jpeg_quality=90, consecutive=Consecutive())
    phantom("her2", tmp_path / "out", pairs=1, size=80, options=options)
    truth = tmp_path / "out" / "truth" / "train"
    assert names(tmp_path / "out" / "trainB") == ["000_0.jpg"]
    assert read_rgb(truth / "aligned" / "000_0.png").shape == (80, 80, 3)
    slide = Slide("her2", mix_seed(0, 0), options)
    view = slide.window(0, 80)
    displacement = slide.displacement(view)
    assert displacement is not None
    stored = np.load(truth / "displacement" / "000_0.npz")
    y, x = np.meshgrid(stored["rows"], stored["columns"], indexing="ij")
    dy, dx = displacement.at(y + view.top, x + view.left)
    np.testing.assert_allclose(stored["dy"], dy, atol=1e-4)
    np.testing.assert_allclose(stored["dx"], dx, atol=1e-4)
    with (truth / "displacement.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["mean_displacement_px"]) == pytest.approx(np.hypot(dy, dx).mean(), abs=0.5)


def test_a_slide_written_by_tiles_is_the_slide_drawn_whole(tmp_path: Path) -> None:
    options = PhantomOptions(mpp=1.0, slide=True)
    phantom("her2", tmp_path / "out", size=600, seed=6, options=options)
    slide = Slide("her2", mix_seed(6, 0), options, (600.0, 600.0))
    whole = slide.render(View(0, 0, 600, 600, 1.0))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "he.tif"), whole.he)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "ihc.tif"), whole.ihc)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "truth" / "tissue.tif"), whole.tissue)
    with (tmp_path / "out" / "truth" / "cells.csv").open() as file:
        assert sum(1 for _ in csv.DictReader(file)) == len(whole.cells)
    with tifffile.TiffFile(tmp_path / "out" / "he.tif") as tiff:
        page = tiff.pages[0]
        assert page.is_tiled
        assert page.tags["XResolution"].value == (10000, 1)  # pixels per centimetre at 1 micron
        assert page.tags["ResolutionUnit"].value == 3
    assert names(tmp_path / "out") == ["he.tif", "ihc.tif", "phantom.json", "truth"]


# Refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"marker": "cd3"}, "'cd3'.*her2, er, pr, ki67"),
        ({"size": 63}, "size: 63"),
        ({"pairs": 0}, "pairs: 0"),
    ],
)
def test_bad_arguments_are_refused_and_leave_nothing(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    arguments = {"marker": "er", "out": tmp_path / "out", "pairs": 1, "size": 64} | changes
    with pytest.raises(RestainError, match=words):
        phantom(**arguments)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [{"mpp": 0.0}, {"mpp": float("nan")}, {"val_fraction": 1.2}, {"jpeg_quality": 0}, {"blur": -1}, {"noise": -1}],
)
def test_options_out_of_range_are_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(RestainError, match=next(iter(changes))):
        PhantomOptions(**changes)
    with pytest.raises(RestainError, match="turnover: 2"):
        Consecutive(turnover=2)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RestainError, match="is not empty"):
        phantom("er", tmp_path, pairs=1, size=64)
    assert names(tmp_path) == ["mine.txt"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("restain.phantoms.dataset.write_json", fail)
    with pytest.raises(RestainError, match=r"out: cannot be written .disk full"):
        phantom("er", tmp_path / "out", pairs=1, size=64)
    assert names(tmp_path) == []


def test_another_laboratory_stains_the_same_tissue_in_other_colours(tmp_path: Path) -> None:
    for laboratory in (0, 1, 1, 2):
        folder = tmp_path / f"{laboratory}-{len(list(tmp_path.iterdir()))}"
        phantom("er", folder, pairs=2, size=96, seed=3, options=PhantomOptions(laboratory=laboratory))
    usual, first, again, second = sorted(tmp_path.iterdir(), key=lambda path: path.name[-1])

    def images(root: Path, side: str) -> np.ndarray:
        return np.stack([read_rgb(path) for path in sorted(root.rglob(f"*{side}/*.png"))]).astype(int)

    assert np.array_equal(images(first, "A"), images(again, "A"))
    assert all(np.array_equal(images(usual, "B"), images(other, "B")) for other in (first, second))
    for one, other in ((usual, first), (usual, second), (first, second)):
        assert np.abs(images(one, "A") - images(other, "A")).mean() > 5  # grey levels
        for a, b in zip(images(one, "A"), images(other, "A"), strict=True):  # the same nuclei, the darkest places
            assert np.corrcoef(a.mean(axis=2).ravel(), b.mean(axis=2).ravel())[0, 1] > 0.85
