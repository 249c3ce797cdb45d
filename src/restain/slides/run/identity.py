"""What made a slide: the fingerprint of its file, the weights, the versions and the settings."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import torch

from restain.inference import find_precision
from restain.slides.options import SlideOptions
from restain.slides.plan import Plan
from restain.slides.record import JournalIdentity, MadeBy
from restain.stainer import Stainer

_ENDS = 2**20  # bytes at the beginning and the end of a file that distinguish it from another


def describe(source: Path, plan: Plan, stainer: Stainer, options: SlideOptions) -> MadeBy:
    """Everything that decides about the bytes of a virtual slide."""
    device = next(stainer.generator.parameters()).device
    identity = JournalIdentity(
        slide=fingerprint(source),
        slide_mpp=plan.tissue.slide_mpp,
        weights_sha256=stainer.weights_sha256,
        stainer_sha256=stainer.identity,
        restain=metadata.version("restain"),
        torch=str(torch.__version__),
        device=device.type,
        precision=find_precision(options.precision, device),
        mpp=plan.grid.mpp,
        width=plan.grid.size.width,
        height=plan.grid.size.height,
        norm=plan.norm,
        tile=options.tile,
        halo=plan.seams.halo,
        feather=plan.seams.feather,
        stain_background=options.stain_background,
    )
    return MadeBy(
        stain=stainer.card.stain,
        recipe=stainer.card.recipe,
        source=source.name,
        identity=identity,
        match_source=options.match_source,
        lossless=options.lossless,
        quality=options.quality,
    )


def fingerprint(path: Path) -> str:
    """A hash that identifies a slide without reading it whole: names, sizes, times and both ends of its files."""
    digest = hashlib.sha256()
    folder = path.with_suffix("") if path.suffix.lower() == ".mrxs" else path  # MIRAX: slide.mrxs and slide/
    for file in [path, *sorted(folder.rglob("*"))]:
        if file.is_file():
            status = file.stat()
            size = status.st_size
            digest.update(f"{file.name!r} {size} {status.st_mtime_ns}\n".encode())
            with file.open("rb") as content:
                digest.update(content.read(_ENDS))
                content.seek(max(0, size - _ENDS))
                digest.update(content.read(_ENDS))
    return digest.hexdigest()
