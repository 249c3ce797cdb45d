"""Pictures of what was counted: the real stain beside a virtual one, every cell outlined by how it was graded."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from skimage.segmentation import find_boundaries

from restain.evaluation.inputs import MASK, Match, role_of
from restain.evaluation.measure import Plan
from restain.evaluation.schema import SUMMARY
from restain.evaluation.workers import in_threads
from restain.files import read_json
from restain.images import RGB, write_jpeg
from restain.label_images import read_mask
from restain.metrics.cells.nuclei import Mask
from restain.metrics.cells.scores import Cells, count_cells

OVERLAYS, _DRAWN = "overlays", ".overlays"  # folders of an evaluation: as it is shown, and while it is drawn
COLOURS = np.array([(0, 90, 255), (255, 220, 0), (255, 130, 0), (230, 0, 0)], dtype=np.uint8)  # of 0, 1+, 2+, 3+
_ENLARGED_FROM = 0.35  # µm per pixel: coarser images are enlarged twice, so that an outline does not hide a nucleus
_GAP = 8  # pixels between the two stains
_DIMMED = 0.5  # how much of the colour is left where the mask says that nothing counts


def write_overlays(out: Path, matches: Sequence[Match], plan: Plan) -> None:
    """Draw SYSTEM/ID.jpg for every virtual stain, the real stain left, the virtual one right: into a hidden folder.

    Blue outlines are negative cells; yellow, orange and red ones are 1+, 2+ and 3+. ``publish_overlays`` shows them.
    """
    assert plan.mpp is not None  # whoever asks for overlays without one is refused
    mpp, marker = plan.mpp, plan.marker or "nuclear"

    def draw(match: Match) -> None:
        inside = read_mask(match.files[MASK], match.size) if MASK in match.files else None

        def outlined(name: str) -> RGB:
            rgb = plan.image(match, name)
            return outline(rgb, count_cells(rgb, mpp, marker, inside), inside)

        real = outlined("real")
        gap = np.full((real.shape[0], _GAP, 3), 255, np.uint8)
        for name in plan.systems:
            path = out / _DRAWN / role_of(name) / f"{match.id}.jpg"
            write_jpeg(path, np.concatenate([real, gap, outlined(name)], axis=1))

    for _ in in_threads(draw, matches, "drawing overlays"):
        pass


def discard_overlays(out: Path) -> None:
    """Remove those that an evaluation had drawn before it was stopped."""
    shutil.rmtree(out / _DRAWN, ignore_errors=True)


def publish_overlays(out: Path) -> None:
    """Put the overlays that were drawn, or none, in the place of those of the evaluation whose summary is here.

    What else lies in the folder stays.
    """
    shown, drawn = out / OVERLAYS, out / _DRAWN
    folders = list(drawn.iterdir()) if drawn.exists() else []
    earlier = read_json(out / SUMMARY).get("systems", {}) if (out / SUMMARY).exists() else {}
    for name in {folder.name for folder in folders} | {role_of(name) for name in earlier}:
        if name == Path(name).name:  # names were free once
            shutil.rmtree(shown / name, ignore_errors=True)
    for folder in folders:
        shown.mkdir(exist_ok=True)
        shutil.move(folder, shown)
    discard_overlays(out)
    with suppress(OSError):  # there are others, or none
        shown.rmdir()


def outline(rgb: RGB, cells: Cells, inside: Mask | None = None) -> RGB:
    """The image with the outline of every cell in the colour of its grade, enlarged twice where it is coarse.

    Args:
        rgb: uint8 (H, W, 3).
        cells: of that image.
        inside: bool (H, W), where cells count; the rest is dimmed. None: everywhere.
    """
    picture, labels = rgb, cells.nuclei.labels
    if inside is not None:
        picture = np.where(inside[..., None], rgb, 255 - (_DIMMED * (255.0 - rgb)).astype(np.uint8)).astype(np.uint8)
    if cells.nuclei.mpp >= _ENLARGED_FROM:
        picture = picture.repeat(2, axis=0).repeat(2, axis=1)
        labels = labels.repeat(2, axis=0).repeat(2, axis=1)
    picture = picture.copy()
    edge = find_boundaries(labels, mode="inner")  # type: ignore[no-untyped-call]
    picture[edge] = COLOURS[cells.intensity[labels[edge] - 1]]
    return picture
