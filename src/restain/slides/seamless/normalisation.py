"""Which statistics a slide is stained with: the stainer's own, or measured once and kept beside its finished tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from restain.appearance import AppearanceMeter, distance
from restain.errors import RestainError
from restain.networks.statistics import Statistics, load_statistics, save_statistics
from restain.slides.options import Norm
from restain.slides.plan import Plan, StainerNeeds
from restain.slides.seamless.local import LocalStatistics, load_local, measure_local, save_local
from restain.slides.seamless.windows import inner_tissue, sample_windows, window_count
from restain.slides.tiling import Footprint, Read
from restain.stainer import Stainer
from restain.tensors import to_tensor
from restain.wsi.geometry import Mask, Size

_SEED = 0
_LOOKED_AT = 2**21  # pixels whose appearance is compared
_FEWEST, _MOST = 8, 64  # windows: each is a read of its own


def needs_of(stainer: Stainer, wanted: Norm | None) -> StainerNeeds:
    """What a plan must know of a stainer; see ``decide_norm``."""
    field = stainer.generator.receptive_field()
    footprint = Footprint(field.radius, field.stride, stainer.generator.smallest)
    return StainerNeeds(stainer.card.mpp, footprint, decide_norm(stainer, wanted))


def decide_norm(stainer: Stainer, wanted: Norm | None) -> Norm:
    """Whose statistics normalise a slide.

    Args:
        stainer: where its generator has no norms that look at the image, these are fixed: "stainer" in any case, unless
            those of the slide are asked for and batch norms can take them.
        wanted: None takes the stainer's statistics, or those of the slide where it has none.

    Raises:
        RestainError: "stainer" is asked for, and it has no statistics.
    """
    if stainer.fixed:
        return "slide" if wanted == "slide" and stainer.adaptable else "stainer"
    if wanted == "stainer" and stainer.statistics is None:
        raise RestainError(
            "norm is 'stainer', but this stainer has no statistics; measure them with restain calibrate, "
            "or choose slide, local or tile"
        )
    return wanted or ("slide" if stainer.statistics is None else "stainer")


def find_statistics(folder: Path, stainer: Stainer, plan: Plan, read: Read) -> Statistics | LocalStatistics | None:
    """The statistics that the plan asks for; measured ones from ``folder``, if an interrupted run has left them there.

    They are measured in windows of the size of the stainer's training crops, as its norms met the tissue in training.

    Args:
        folder: of the slide's journal.
        stainer: on its device.
        plan: of the slide.
        read: pixels of a region of the plan's grid.

    Returns:
        None where nothing is to be fixed: with "tile", and where the generator's norms are fixed and to be left so.
    """
    norm = plan.norm
    if norm == "stainer":
        return stainer.statistics
    if norm == "tile" or not plan.tiles:
        return None
    path, side = folder / f"statistics-{norm}.safetensors", window_side(stainer, plan.footprint)
    if norm == "slide":
        if not path.exists():
            save_statistics(path, stainer.measure(_windows(plan, side, read)))
        return load_statistics(path)
    if not path.exists():
        save_local(path, measure_local(stainer.generator, read, _tissue(plan), plan.grid.size, side))
    return load_local(path)


def window_side(stainer: Stainer, footprint: Footprint) -> int:
    """Side in pixels of the windows that statistics are measured in."""
    smallest = footprint.up(footprint.smallest)
    return max(smallest, stainer.card.tile_size // footprint.stride * footprint.stride)


def measured_pixels(plan: Plan, side: int) -> int:
    """Pixels that pass through the network to measure a slide's statistics."""
    return window_count(_tissue(plan), plan.grid.size, side) * side**2


def measure_distance(stainer: Stainer, plan: Plan, read: Read) -> float | None:
    """How far a slide's tissue looks from that on which the stainer was calibrated; see ``restain.appearance``.

    It looks at up to two megapixels of tissue, in at most 64 windows of the size of the calibration's crops; the glass
    beside a small piece of tissue would count as another appearance.

    Returns:
        None where the stainer was not calibrated, or the slide has no tissue.
    """
    if stainer.calibration is None or not plan.tissue.mask.any():
        return None
    side, meter = stainer.calibration.side, AppearanceMeter()
    count = min(_MOST, max(_FEWEST, _LOOKED_AT // side**2))
    inner = inner_tissue(plan.tissue.mask, plan.grid.size, side)
    for window in sample_windows(inner, plan.grid.size, plan.footprint, count=count, side=side, seed=_SEED):
        meter.add(read(window))
    return distance(stainer.calibration.appearance, meter.appearance())


def _windows(plan: Plan, side: int, read: Read) -> Iterator[Tensor]:
    """Windows of tissue in random order: those that follow each other make a batch, which must not be one place."""
    tissue, size = _tissue(plan), plan.grid.size
    count = window_count(tissue, size, side)
    windows = list(sample_windows(tissue, size, plan.footprint, count=count, side=side, seed=_SEED))
    np.random.default_rng(_SEED).shuffle(windows)
    for window in windows:
        yield to_tensor(read(window))[None]


def _tissue(plan: Plan) -> Mask:
    mask = plan.tissue.mask
    return mask if mask.any() else np.ones(Size.of(mask).shape, dtype=bool)  # bare glass alone, to be stained
