"""Applying a stainer to image files; names and sizes stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from restain.appearance import FAR, AppearanceMeter, distance, unlike_calibration
from restain.crops import Image, draw_crops
from restain.errors import RestainError
from restain.files import sha256
from restain.images import RGB, is_pyramid, list_images, read_rgb, stated_mpp, write_png
from restain.inference import find_precision, prepare
from restain.networks.generator import Generator
from restain.progress import ProgressBar
from restain.stainer import Stainer
from restain.stainer_files import load_stainer
from restain.staining_record import ImageOrigin, Stained, StainingRecord, origin_of, read_staining, write_staining
from restain.tensors import find_device, is_out_of_memory, to_rgb, to_tensor

StainNorm: TypeAlias = Literal["stainer", "folder", "image"]

_CROPS, _SEED = 300, 0  # of the images, for their own statistics
_SCALE_RATIO = 1.25  # of two resolutions, above which a warning is due


@dataclass
class StainingResult:
    """What became of each input file."""

    written: list[Path] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)  # those of them that another stainer, source or option had made
    skipped: list[Path] = field(default_factory=list)  # outputs that would be the same again
    failed: dict[Path, str] = field(default_factory=dict)  # inputs, with the reason
    warnings: list[str] = field(default_factory=list)
    norm: StainNorm = "image"  # how the generator's norms were used


def stain(
    stainer: str | Path | Stainer,
    input: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    norm: StainNorm | None = None,
    overwrite: bool = False,
    batch: int = 1,
    device: str = "auto",
    precision: str = "auto",
) -> StainingResult:
    """Turn H&E images into virtual IHC images.

    Args:
        stainer: a stainer folder, a run folder, or a loaded stainer.
        input: an image file, a folder (searched below, its structure kept; ``out`` in it is passed over), or
            several of them.
        out: folder for the results: the same names, as PNG, since JPEG would change the stain. Each file contains its
            stainer and its source; ``staining.json`` lists them all.
        norm: where the generator's norms take their statistics from. ``stainer``: those that are stored with it, so
            that the stain follows the tissue. ``folder``: random crops of the input images, so that the stain depends
            on what else is in the folder. ``image``: each image, so that all images get about the same amount of
            stain; batch norms keep those of the stainer. Where left out: ``stainer`` if it has statistics, else
            ``image``.
        overwrite: write all outputs again. Otherwise one that the same stainer, options and source made is left
            alone, and any other is replaced.
        batch: images per pass; only images of one size share a pass. The result does not depend on it.
        device: auto, cpu or cuda; a loaded stainer stays where it is.
        precision: auto, 32 or bf16. Auto is bf16 where the device multiplies it natively: 2 to 3 times as fast on such
            a CPU, and less than a quarter of a grey level off on average; see docs/performance.md.

    Returns:
        what was written, skipped and failed. One bad file does not stop the others. There is a warning if the H&E
        looks unlike that on which the stainer's statistics were measured.

    Raises:
        RestainError: no usable stainer, device or precision, a norm that the stainer has no statistics for, no input
            images, two inputs that would get the same name, or a file that would be written over and that restain did
            not write.
    """
    if batch < 1:
        raise RestainError(f"batch is {batch}; expected at least 1")
    if norm not in (None, *get_args(StainNorm)):
        raise RestainError(f"norm is {norm!r}; expected one of {', '.join(get_args(StainNorm))}")
    ready = stainer if isinstance(stainer, Stainer) else load_stainer(stainer, find_device(device))
    inputs = [input] if isinstance(input, str | Path) else list(input)
    jobs = _jobs([Path(path) for path in inputs], Path(out))
    read_staining(Path(out))  # a damaged one is refused before the work
    result = StainingResult(norm=norm or ready.default_norm)
    network = _network(ready, result.norm, list(jobs.values()))
    measured = result.norm == "folder" and ready.adaptable
    made_by = ImageOrigin(
        stainer=ready.identity if result.norm == "stainer" else ready.weights_sha256,
        weights_sha256=ready.weights_sha256,
        norm="fixed" if ready.fixed and not measured else result.norm,
        statistics=_digest(network) if measured else None,
        precision=find_precision(precision, next(ready.generator.parameters()).device),
        source="",
    )
    origins = _origins(jobs, made_by)
    jobs = _wanted(jobs, origins, overwrite, result)
    run = prepare(network, precision)
    meter, scales = AppearanceMeter(), _ScaleCheck(ready.card.mpp)
    with ProgressBar("stain", len(jobs), "images") as bar:
        for group in _equal_sizes(jobs, batch, result, bar):
            for job in group:
                meter.add_tiles(job.rgb, ready.card.tile_size)
                scales.look(job.source)
            _stain_group(run, group, origins, ready, result)
            bar.advance(len(group))
    result.warnings = [*_warnings(ready, meter), *scales.warnings()]
    if result.written:
        write_staining(Path(out), _record(ready, Path(out), origins, jobs, result))
    return result


def _origins(jobs: Mapping[Path, Path], made_by: ImageOrigin) -> dict[Path, ImageOrigin]:
    """By target; of a source that cannot be read there is none."""
    return {
        target: made_by.model_copy(update={"source": sha256(source)})
        for target, source in jobs.items()
        if source.is_file()
    }


def _wanted(
    jobs: dict[Path, Path], origins: Mapping[Path, ImageOrigin], overwrite: bool, result: StainingResult
) -> dict[Path, Path]:
    """The jobs that are to be done; what exists is looked at first.

    Raises:
        RestainError: restain did not write one of the files that would be replaced.
    """
    wanted = dict(jobs)
    for target in [target for target in jobs if target.exists()]:
        found = origin_of(target)
        if found is None:
            raise RestainError(f"{target}: was not written by restain stain; move it, or name another folder")
        if found == origins.get(target) and not overwrite:
            result.skipped.append(target)
            del wanted[target]
        elif found != origins.get(target):
            result.replaced.append(target)
    return wanted


def _record(
    stainer: Stainer, out: Path, origins: Mapping[Path, ImageOrigin], jobs: Mapping[Path, Path], result: StainingResult
) -> StainingRecord:
    return StainingRecord(
        restain=metadata.version("restain"),
        torch=torch.__version__,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=stainer.card.recipe,
        stain=stainer.card.stain,
        mpp=stainer.card.mpp,
        weights_sha256=stainer.weights_sha256,
        images={
            target.relative_to(out).as_posix(): Stained(source=jobs[target].name, origin=origins[target])
            for target in result.written
        },
    )


def _digest(network: Generator) -> str:
    """SHA-256 of a network's values: those of its norms are among them."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class _ScaleCheck:
    """Compares the resolutions that images state with the one at which the stainer works."""

    def __init__(self, mpp: float | None) -> None:
        self._mpp, self._far = mpp, dict[Path, float]()

    def look(self, path: Path) -> None:
        """Take in an image."""
        stated = stated_mpp(path)
        if stated and self._mpp and max(stated / self._mpp, self._mpp / stated) > _SCALE_RATIO:
            self._far[path] = stated

    def warnings(self) -> list[str]:
        """A sentence where any image is of another resolution."""
        if not self._far:
            return []
        path, stated = next(iter(self._far.items()))
        return [
            f"images of another resolution than the stainer's {self._mpp:.4g} µm/px: {len(self._far)}, such as "
            f"{path.name} with {stated:.4g}; resize them, or use restain slide, which does it"
        ]


def _network(stainer: Stainer, norm: StainNorm, sources: Sequence[Path]) -> Generator:
    if norm != "folder":
        return stainer.network(norm)
    if not stainer.adaptable:
        return stainer.network()
    images = [Image(str(path), lambda path=path: read_rgb(path)) for path in sources]  # type: ignore[misc]
    least = stainer.generator.smallest
    crops = draw_crops(images, max(stainer.card.tile_size, least), _CROPS, _SEED, lenient=True)
    usable = (to_tensor(crop)[None] for crop in crops if min(crop.shape[:2]) >= least)
    if (first := next(usable, None)) is None:
        return stainer.network()  # none of the images can be stained; each will say why
    return stainer.network(statistics=stainer.measure(chain([first], usable)))


def _warnings(stainer: Stainer, meter: AppearanceMeter) -> list[str]:
    if stainer.calibration is None or not len(meter):
        return []
    far = distance(stainer.calibration.appearance, meter.appearance())
    return [unlike_calibration(far)] if far > FAR else []


def _jobs(inputs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Output path -> input path."""
    jobs: dict[Path, Path] = {}
    if not inputs:
        raise RestainError("no input was given; expected images, or folders of images")
    for path in inputs:
        if not path.exists():
            raise RestainError(f"{path}: no such file or folder")
        base = path if path.is_dir() else path.parent
        own = base.resolve() in out.resolve().parents  # a folder for results among the inputs: not inputs themselves
        for source in list_images(path) if path.is_dir() else [path]:
            if own and out.resolve() in source.resolve().parents:
                continue
            target = out / source.relative_to(base).with_suffix(".png")
            if target in jobs:
                raise RestainError(f"{jobs[target]} and {source}: would both be written to {target}")
            jobs[target] = source
    originals = {source.resolve() for source in jobs.values()}
    for target in jobs:
        if target.resolve() in originals:
            raise RestainError(f"{target}: is also an input; choose another folder for the virtual stains")
    if not jobs:
        raise RestainError(f"{', '.join(map(str, inputs))}: holds no images (PNG, JPEG, TIFF or WebP)")
    return jobs


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path
    rgb: RGB


def _equal_sizes(jobs: dict[Path, Path], batch: int, result: StainingResult, bar: ProgressBar) -> Iterator[list[_Job]]:
    """Read images in order and hand them out in groups of one size; a file that cannot be read is noted."""
    group: list[_Job] = []
    for target, source in jobs.items():
        try:
            if is_pyramid(source):
                raise RestainError(f"{source}: is a slide with several resolutions; restain slide stains slides")
            rgb = read_rgb(source)
        except RestainError as error:
            result.failed[source] = str(error)
            bar.advance()
            continue
        if group and (len(group) == batch or rgb.shape != group[0].rgb.shape):
            yield group
            group = []
        group.append(_Job(source, target, rgb))
    if group:
        yield group


def _stain_group(
    run: Callable[[Tensor], Tensor],
    group: Sequence[_Job],
    origins: Mapping[Path, ImageOrigin],
    stainer: Stainer,
    result: StainingResult,
) -> None:
    try:
        fakes = run(torch.stack([to_tensor(job.rgb) for job in group]))
    except ValueError as error:  # smaller than the network allows
        result.failed |= {job.source: f"{job.source}: {error}" for job in group}
        return
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        height, width, _ = group[0].rgb.shape
        reason = f"{height} x {width} pixels, {len(group)} a pass, do not fit into the memory"
        result.failed |= {job.source: f"{job.source}: {reason}" for job in group}
        return
    for job, fake in zip(group, fakes, strict=True):
        texts = origins[job.target].texts(stainer.card.stain, f"restain {metadata.version('restain')}")
        write_png(job.target, to_rgb(fake), texts=texts, mpp=stainer.card.mpp)
        result.written.append(job.target)
