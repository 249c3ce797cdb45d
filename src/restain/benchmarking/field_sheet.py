"""One picture of a comparison: rows are systems, columns are held-out fields from least to most true DAB. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restain.benchmarking.held_out import HeldOut
from restain.benchmarking.plan import Plan
from restain.benchmarking.seed_scores import Comparisons
from restain.files import write_aside
from restain.images import list_images, read_rgb
from restain.reporting.pictures import shrink

AMOUNT = "dab_mean_od_real"
FIELDS, SIDE, GAP, INDENT = 6, 192, 4, 6  # columns; pixels of a picture, between two, and beside a row's name
_TEXT = 13  # pixels


def draw_sheet(plan: Plan, found: Comparisons, held_out: HeldOut) -> Path:
    """Write ``fields.jpg``: H&E, each system at its first seed, real IHC."""
    names = _fields(found)
    rows: list[tuple[str, Path]] = [("H&E", held_out.source)]
    for contender in plan.contenders:
        rows += [(contender.name, job.virtual) for job in found.jobs if job.contender == contender][:1]
    rows.append(("real IHC", held_out.real))
    font = ImageFont.load_default(size=_TEXT)
    margin = math.ceil(max(font.getlength(title) for title, _ in rows)) + 2 * INDENT
    sheet = Image.new("RGB", (margin + len(names) * (SIDE + GAP), len(rows) * (SIDE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for line, (title, folder) in enumerate(rows):
        top = line * (SIDE + GAP)
        pen.text((INDENT, top + SIDE // 2), title, fill="black", font=font, anchor="lm")
        files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_images(folder)}
        for column, name in enumerate(names):
            picture = Image.fromarray(shrink(read_rgb(files[name]), SIDE))
            sheet.paste(picture, (margin + column * (SIDE + GAP), top))
    path = plan.out / "fields.jpg"
    with write_aside(path) as aside:
        sheet.save(aside, quality=88, subsampling=0)
    return path


def _fields(found: Comparisons) -> Sequence[str]:
    """Fields at even distances in the order of their true DAB; in the order of names where it was not measured."""
    amounts = found.systems[0].trainings[0].table.numbers(AMOUNT)
    order = np.argsort(amounts, kind="stable")
    places = np.linspace(0, len(order) - 1, min(FIELDS, len(order))).round().astype(int)
    return [found.ids[order[place]] for place in places]
