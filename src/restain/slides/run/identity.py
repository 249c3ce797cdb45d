"""What made a slide: the fingerprint of its file, the weights, the versions and the settings."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import torch

from restain.files import sha256
from restain.inference import find_precision
from restain.slides.options import SlideOptions
from restain.slides.plan import Plan
from restain.slides.record import JournalIdentity, MadeBy, Request
from restain.slides.run.job import Job
from restain.slides.seamless.normalisation import decide_norm
from restain.stainer import Stainer

_ASKED = ("model_mpp", "tile", "seams", "match_source", "stain_background", "lossless", "quality", "precision")
_ENDS = 2**20  # bytes at the beginning and the end of a file that distinguish it from another


def request_of(job: Job, stainer: Stainer, options: SlideOptions) -> Request:
    """What is asked for."""
    return Request(
        slide=fingerprint(job.source),
        stainer=stainer.identity,
        tissue=sha256(job.tissue) if job.tissue else None,
        roi=sha256(job.roi) if job.roi else None,
        mpp=job.mpp or options.mpp,
        norm=decide_norm(stainer, options.norm),
        **{name: getattr(options, name) for name in _ASKED},
    )


def describe(job: Job, request: Request, plan: Plan, stainer: Stainer) -> MadeBy:
    """Everything that decides about the bytes of a virtual slide."""
    device = next(stainer.generator.parameters()).device
    identity = JournalIdentity(
        slide=request.slide,
        slide_mpp=plan.tissue.slide_mpp,
        tissue=request.tissue,
        roi=request.roi,
        weights_sha256=stainer.weights_sha256,
        stainer_sha256=stainer.identity,
        restain=metadata.version("restain"),
        torch=str(torch.__version__),
        device=device.type,
        precision=find_precision(request.precision, device),
        mpp=plan.grid.mpp,
        width=plan.grid.size.width,
        height=plan.grid.size.height,
        norm=plan.norm,
        tile=request.tile,
        halo=plan.seams.halo,
        feather=plan.seams.feather,
        stain_background=request.stain_background,
    )
    return MadeBy(
        stain=stainer.card.stain,
        recipe=stainer.card.recipe,
        source=job.source.name,
        request=request,
        identity=identity,
    )


def fingerprint(path: Path) -> str:
    """A hash that identifies a slide without reading it whole: names, sizes, times and both ends of its files."""
    digest = hashlib.sha256()
    if path.is_dir():  # DICOM; what lies in the folders below is not of it
        files = sorted(path.iterdir())
    else:  # MIRAX: slide.mrxs and slide/
        files = [path, *(sorted(path.with_suffix("").rglob("*")) if path.suffix.lower() == ".mrxs" else ())]
    for file in files:
        if file.is_file():
            status = file.stat()
            size = status.st_size
            digest.update(f"{file.name!r} {size} {status.st_mtime_ns}\n".encode())
            with file.open("rb") as content:
                digest.update(content.read(_ENDS))
                content.seek(max(0, size - _ENDS))
                digest.update(content.read(_ENDS))
    return digest.hexdigest()
