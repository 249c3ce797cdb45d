"""Which stainer made the images of a system: the ``staining.json`` beside them, held against the images themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.evaluation.inputs import Match, role_of
from restain.evaluation.schema import StainedBy
from restain.staining_record import StainingRecord, origin_of, read_staining


@dataclass(frozen=True)
class Stainers:
    """What is recorded of the stainers of an evaluation."""

    known: Mapping[str, StainedBy]  # by system; none where the record is absent or does not fit the images
    warnings: Sequence[str]  # a sentence for each system whose record does not fit

    @property
    def mpp(self) -> float | None:
        """Microns per pixel at which all of them work; None where they differ or none is known."""
        scales = {one.mpp for one in self.known.values()}
        return scales.pop() if len(scales) == 1 else None

    @property
    def stain(self) -> str | None:
        """The stain of all of them; None where they differ or none is known."""
        stains = {one.stain for one in self.known.values()}
        return stains.pop() if len(stains) == 1 else None


def read_stainers(systems: Mapping[str, Path], matches: Sequence[Match]) -> Stainers:
    """Read the record of every system that has one.

    Raises:
        RestainError: a ``staining.json`` is not one that ``restain stain`` wrote.
    """
    known, warnings = {}, []
    for name, folder in systems.items():
        record = read_staining(folder)
        if record is None:
            continue
        files = {
            path.relative_to(folder).as_posix(): path for match in matches for path in [match.files[role_of(name)]]
        }
        problem = _misfit(record, files)
        if problem:
            warnings.append(f"the stainer of {name} is not recorded: {problem}")
        else:
            known[name] = _stained_by(record, next(iter(files)))
    return Stainers(known, warnings)


def _misfit(record: StainingRecord, files: Mapping[str, Path]) -> str:
    """Why the record does not name one stainer for all images, by their names in it; empty where it does."""
    other = [
        name
        for name, path in files.items()
        if name not in record.images or origin_of(path) != record.images[name].origin
    ]
    if other:
        return f"{len(other)} of {len(files)} images are not those of its staining.json, such as {other[0]}"
    origins = [record.images[name].origin for name in files]
    if len({(one.stainer, one.norm) for one in origins}) > 1 or origins[0].weights_sha256 != record.weights_sha256:
        return "its images were made by more than one stainer, or with more than one norm"
    return ""


def _stained_by(record: StainingRecord, image: str) -> StainedBy:
    origin = record.images[image].origin
    return StainedBy(
        stainer=origin.stainer,
        weights_sha256=record.weights_sha256,
        recipe=record.recipe,
        stain=record.stain,
        mpp=record.mpp,
        norm=origin.norm,
    )
