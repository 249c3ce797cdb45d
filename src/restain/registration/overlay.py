"""Pictures that show whether two slides lie on each other."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from scipy.ndimage import map_coordinates

from restain.files import write_aside
from restain.images import RGB, write_png
from restain.registration.overview import Overview
from restain.registration.slide_pair import Registration
from restain.stains import Floats

_SQUARES = 12  # of the checkerboard, along the longer side
_FULL_SCALE_UM = 10.0  # of the residual map's colours


def warped_overview(registration: Registration, channels: Floats, outside: float) -> Floats:
    """(channels, height, width) of the IHC's overview, resampled onto the H&E's."""
    he: Overview = registration.he
    height, width = he.mask.shape
    x, y = np.meshgrid((np.arange(width) + 0.5) * he.mpp, (np.arange(height) + 0.5) * he.mpp)
    there = registration.transform.at(np.stack([x.ravel(), y.ravel()], axis=1)) / registration.ihc.mpp - 0.5
    rows, columns = there[:, 1].reshape(height, width), there[:, 0].reshape(height, width)
    return np.stack([map_coordinates(one, (rows, columns), order=1, mode="constant", cval=outside) for one in channels])


def draw_overlay(registration: Registration) -> RGB:
    """Left: H&E and IHC in a checkerboard. Right: haematoxylin of the H&E in magenta, of the IHC in green."""
    he = registration.he
    moved = warped_overview(registration, np.moveaxis(registration.ihc.rgb, -1, 0).astype(np.float32), 255.0)
    ihc = np.moveaxis(moved, 0, -1).round().astype(np.uint8)
    height, width = he.mask.shape
    side = max(8, max(height, width) // _SQUARES)
    odd = (np.arange(height)[:, None] // side + np.arange(width)[None] // side) % 2 == 1
    board = np.where(odd[..., None], ihc, he.rgb)
    theirs = warped_overview(registration, registration.ihc.content[:1], 0.0)[0]
    amounts = [np.clip(one / max(float(np.percentile(one, 99.5)), 1e-3), 0, 1) for one in (he.content[0], theirs)]
    colours = np.stack([amounts[0], amounts[1], amounts[0]], axis=-1)
    return np.concatenate([board, np.rint(255 * (1 - colours[..., [1, 0, 1]])).astype(np.uint8)], axis=1)


def draw_residuals(registration: Registration) -> RGB:
    """The H&E in grey, with a square for each block of the last check: dark where it lies right, yellow from 10 µm on.

    Blocks that found no partner are left out.
    """
    he, check = registration.he, registration.check
    picture = np.repeat(he.rgb.mean(axis=-1, keepdims=True), 3, axis=-1)
    picture = 127 + picture / 2
    if len(check.places):
        side = max(2, int(0.4 * float(np.sqrt(he.mask.sum() / max(len(check.places), 1)))))
        lengths = np.hypot(*check.shifts.T) / _FULL_SCALE_UM
        colours = matplotlib.colormaps["inferno"](np.clip(lengths, 0, 1))[:, :3] * 255
        for place, colour, agrees in zip(check.places / he.mpp, colours, check.agree, strict=True):
            x, y = (max(0, int(value) - side // 2) for value in place)
            if agrees:
                picture[y : y + side, x : x + side] = colour
    return np.rint(picture).astype(np.uint8)


def write_pictures(registration: Registration, folder: Path) -> None:
    """Write ``overlay.png`` and ``residuals.png``, and the check's numbers as ``residuals.csv``."""
    write_png(folder / "overlay.png", draw_overlay(registration))
    write_png(folder / "residuals.png", draw_residuals(registration))
    check = registration.check
    table = np.column_stack([check.places, check.shifts, check.weights, check.agree])
    with write_aside(folder / "residuals.csv") as path:
        names = "x_um,y_um,dx_um,dy_um,weight,agrees"
        np.savetxt(
            path,
            table.reshape(-1, 6),
            fmt=["%.1f"] * 2 + ["%.3f"] * 3 + ["%d"],
            delimiter=",",
            header=names,
            comments="",
        )
