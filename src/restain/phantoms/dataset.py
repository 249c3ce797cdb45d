"""Virtual tissue on disk: a data set in MIST's layout, or one large slide, with the truth beside it."""

from __future__ import annotations

from dataclasses import asdict
from math import floor
from pathlib import Path
from typing import Any

from PIL import Image

from restain.errors import RestainError, quoted
from restain.files import folder_aside, write_json
from restain.images import RGB
from restain.phantoms.markers import RULES
from restain.phantoms.options import PhantomOptions
from restain.phantoms.slide import Slide
from restain.phantoms.tissue import Tissue
from restain.phantoms.truth import CellTable, append_displacement, write_displacement
from restain.phantoms.wholeslide import write_slide
from restain.progress import ProgressBar
from restain.types import mix_seed

_SLIDES_PER_ROUND = 5  # pairs go round five slides,
_FIELDS_PER_SLIDE = 4  # four times, and then to the next five
_LARGEST_FIELD, _LARGEST_SLIDE = 4096, 100_000  # pixels on a side; a field is drawn whole, in memory
_MOST_PAIRS = 100_000
_TRUTH_STRIDE = 8  # pixels between stored displacements; the warp is far smoother


def phantom(
    marker: str,
    out: str | Path,
    pairs: int = 32,
    size: int = 512,
    seed: int = 0,
    options: PhantomOptions | None = None,
) -> None:
    """Make a data set of virtual tissue, H&E and IHC, whose truth is known.

    ``out`` receives ``trainA trainB valA valB`` with equal names ``SLIDE_FIELD.png`` (or ``he.tif`` and ``ihc.tif``
    in slide mode), ``phantom.json`` and ``truth/``. It appears whole or not at all. The same arguments give the same
    bytes, and pair n is the same however many are made.

    Args:
        marker: "her2", "er", "pr" or "ki67".
        out: folder to make; must be absent or empty.
        pairs: number of image pairs, at least 1; ignored in slide mode, which makes one pair.
        size: side of the square images, pixels, at least 64.
        seed: of all randomness.
        options: scale, split, scanner, consecutive sections; None for the defaults.

    Raises:
        RestainError: an argument is out of its range, or ``out`` holds something already.
    """
    options = options or PhantomOptions()
    if marker not in RULES:
        raise RestainError(f"marker: {marker!r} is not known; expected one of {', '.join(RULES)}")
    largest = _LARGEST_SLIDE if options.slide else _LARGEST_FIELD
    if not 64 <= size <= largest:
        raise RestainError(f"size: {size} pixels is out of range; expected 64, to show tissue, to {largest}")
    if not 1 <= pairs <= _MOST_PAIRS:
        raise RestainError(f"pairs: {pairs} is out of range; expected 1 to {_MOST_PAIRS}")
    if not 0 <= seed < 2**63:
        raise RestainError(f"seed: {quoted(seed)} is out of range; expected 0 to 2^63 - 1")
    with folder_aside(Path(out)) as folder:
        slides = (
            [_whole_slide(marker, folder, size, seed, options)]
            if options.slide
            else _fields(marker, folder, pairs, size, seed, options)
        )
        description = {
            "marker": marker,
            "mpp": options.mpp,
            "seed": seed,
            "size": size,
            "pairs": 1 if options.slide else pairs,
            "options": asdict(options),
            "rule": asdict(RULES[marker]),
            "tissue_classes": {tissue.name.lower(): int(tissue) for tissue in Tissue},
            "slides": slides,
        }
        write_json(folder / "phantom.json", description)


def _fields(
    marker: str, folder: Path, pairs: int, size: int, seed: int, options: PhantomOptions
) -> list[dict[str, Any]]:
    """Write all pairs; returns what ``phantom.json`` says of each slide."""
    suffix = ".png" if options.jpeg_quality is None else ".jpg"
    slides: dict[int, Slide] = {}
    for name in ("trainA", "trainB", "valA", "valB"):
        (folder / name).mkdir()
    with ProgressBar(f"drawing {marker} tissue", total=pairs, unit="pairs") as bar:
        for pair in range(pairs):
            number, field = place(pair)
            if number not in slides:
                slides[number] = Slide(marker, mix_seed(seed, number), options)
            split = split_of(number, options.val_fraction)
            _write_field(folder, split, f"{number:03d}_{field}", suffix, slides[number], field, size)
            bar.advance()
    return [
        {"slide": f"{number:03d}", "split": split_of(number, options.val_fraction)} | slides[number].style.values()
        for number in sorted(slides)
    ]


def _whole_slide(marker: str, folder: Path, size: int, seed: int, options: PhantomOptions) -> list[dict[str, Any]]:
    extent = (size * options.mpp, size * options.mpp)
    slide = Slide(marker, mix_seed(seed, 0), options, extent)
    write_slide(folder, slide, size)
    return [{"slide": "000"} | slide.style.values()]


def place(pair: int) -> tuple[int, int]:
    """Slide number and field number of a pair, whatever the number of pairs."""
    turn, within = divmod(pair, _SLIDES_PER_ROUND * _FIELDS_PER_SLIDE)
    field, slide = divmod(within, _SLIDES_PER_ROUND)
    return turn * _SLIDES_PER_ROUND + slide, field


def split_of(slide: int, val_fraction: float) -> str:
    """Name of a slide's split: every 1/val_fraction-th slide is for "val", the second slide first; others "train"."""
    phase = max(0.0, 1.0 - 2.0 * val_fraction) + 1e-9
    before, after = (floor(n * val_fraction + phase) for n in (slide, slide + 1))
    return "val" if after > before else "train"


def _write_field(folder: Path, split: str, name: str, suffix: str, slide: Slide, field: int, size: int) -> None:
    view = slide.window(field, size)
    displacement = slide.displacement(view)
    made = slide.render(view, displacement)
    quality = slide.options.jpeg_quality
    _write_image(folder / f"{split}A" / f"{name}{suffix}", made.he, quality)
    _write_image(folder / f"{split}B" / f"{name}{suffix}", made.ihc, quality)
    truth = folder / "truth" / split
    _write_image(truth / "tissue" / f"{name}.png", made.tissue, None)
    CellTable(truth / "cells" / f"{name}.csv").append(made.cells)
    if displacement is None or made.aligned is None or made.ihc_cells is None:
        return
    _write_image(truth / "aligned" / f"{name}.png", made.aligned, None)
    CellTable(truth / "cells_ihc" / f"{name}.csv").append(made.ihc_cells)
    write_displacement(truth / "displacement" / f"{name}.npz", displacement, view, _TRUTH_STRIDE)
    append_displacement(truth / "displacement.csv", name, displacement, view)


def _write_image(path: Path, pixels: RGB, quality: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if quality is None:
        image.save(path)
    else:
        image.save(path, quality=quality)
