"""Open a slide file with every reader that is installed, and see whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from restain.errors import RestainError, in_short
from restain.files import require_file
from restain.images import is_tiff
from restain.wsi.check.reader_agreement import (
    Difference,
    compare_reader,
    find_spots,
    measure_steps,
    take_samples,
    whole_levels,
)
from restain.wsi.check.tiff_info import read_tiff_info
from restain.wsi.formats.dicom import DicomSource
from restain.wsi.formats.libvips import VipsSource
from restain.wsi.formats.tiff import TiffSource
from restain.wsi.formats.vendor import VendorSource
from restain.wsi.geometry import Size
from restain.wsi.reader import MPP_RANGE, is_dicom
from restain.wsi.slide import Source

_READERS: dict[str, Callable[[Path], Source]] = {
    "tifffile": TiffSource,
    "openslide": VendorSource,
    "libvips": VipsSource,
    "dicom": DicomSource,
}
_PACKAGES = {"tifffile": "tifffile", "openslide": "openslide-python", "libvips": "pyvips", "dicom": "wsidicom"}
_ON_TIFF = ("tifffile", "openslide", "libvips")  # readers that are expected to open a format
_ON_DICOM = ("dicom",)
_SAME_SCALE = 1e-3  # relative difference of mpp
_SAME_LEVEL = 6.0  # grey levels on average: JPEG changes each level in its own way


@dataclass(frozen=True)
class View:
    """What one reader sees of a file.

    Attributes:
        reader: tifffile, openslide, libvips or dicom.
        version: of its Python package.
        levels: size of each level, finest first.
        mpp: microns per pixel in x and y; None where the reader finds none.
        icc: bytes of the colour profile.
    """

    reader: str
    version: str
    levels: tuple[Size, ...]
    mpp: tuple[float, float] | None
    icc: int

    @property
    def scale(self) -> str:
        """The pixel size in words."""
        if self.mpp is None:
            return "unknown"
        x, y = self.mpp
        return f"{x:.4g} µm" if abs(x / y - 1) < _SAME_SCALE else f"{x:.4g} x {y:.4g} µm"


@dataclass(frozen=True)
class CheckResult:
    """What the readers see, and where they disagree.

    Attributes:
        path: the file.
        views: one for each reader that opens it.
        reference: the reader that sees most levels; the others' pixels are compared with its.
        differences: between the reference and each other reader, level by level.
        steps: for the size of each level but the finest, its mean difference to the area average of the
            next finer one, in grey levels.
        tiff_info: form, tiles, compression and annotations of a TIFF; empty for other formats.
        notes: readers that were not used, and what they do not support.
        problems: a sentence for everything in which a reader fails or disagrees.
    """

    path: Path
    views: tuple[View, ...]
    reference: str
    differences: tuple[Difference, ...]
    steps: Mapping[Size, float]
    tiff_info: Mapping[str, str]
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every reader sees the same slide."""
        return not self.problems


def check(file: Path | str) -> CheckResult:
    """Open a slide file with every reader that is installed and compare what they see.

    Pixels are compared at the three spots with the strongest texture and in the far corner, on every level.

    Args:
        file: a slide, one that restain wrote or any other; a folder for a DICOM series.

    Returns:
        what each reader sees; ``ok`` where they agree on levels, pixel size and pixels.

    Raises:
        RestainError: no such file, or no reader opens it.
    """
    path = Path(file)
    if not path.is_dir():
        require_file(path)
    tiff_file, dicom = path.is_file() and is_tiff(path), is_dicom(path)
    if path.is_dir() and not dicom:
        raise RestainError(f"{path}: is a folder without DICOM files; name one slide file")
    notes: list[str] = []
    problems: list[str] = []
    expected = _ON_TIFF if tiff_file else _ON_DICOM if dicom else ()
    with ExitStack() as stack:
        sources = list(_open(path, expected, stack, notes, problems))
        if not sources:
            raise RestainError(f"{path}: no reader opens it ({'; '.join([*problems, *notes])})")
        views = tuple(_view(source) for source in sources)
        reference = max(sources, key=lambda source: len(whole_levels(source)))
        differences, steps = _compare(reference, sources, problems)
    problems += [*_missing_levels(views), *_scales(views), *_pixels(differences), *_steps(steps)]
    notes += _without_scale(views)
    info: Mapping[str, str] = {}
    if tiff_file:
        try:
            info = read_tiff_info(path)
        except Exception as error:  # a directory without what it must have
            problems.append(f"its first directory is damaged: {in_short(error)}")
    return CheckResult(path, views, reference.reader, tuple(differences), steps, info, tuple(notes), tuple(problems))


def _open(
    path: Path, expected: Sequence[str], stack: ExitStack, notes: list[str], problems: list[str]
) -> Iterator[Source]:
    """The readers that open a file; those that are expected to and do not are a problem, others a note."""
    for reader, kind in _READERS.items():
        if reader == "dicom" and reader not in expected:
            continue
        if path.is_dir() and reader != "dicom":  # a series is read from its folder by wsidicom alone
            continue
        try:
            yield stack.enter_context(closing(kind(path)))
        except ImportError:
            notes.append(f"{reader} was not used: it is not installed (pip install {_PACKAGES[reader]})")
        except Exception as error:  # each library has its own
            if reader in expected:
                problems.append(f"{reader} cannot open it: {in_short(error)}")
            else:
                notes.append(f"{reader} does not read this format")


def _compare(
    reference: Source, sources: list[Source], problems: list[str]
) -> tuple[list[Difference], dict[Size, float]]:
    """Pixels of the reference against those of the others, and its levels against each other."""
    try:
        spots = find_spots(reference)
        taken, steps = take_samples(reference, spots), dict(measure_steps(reference, spots))
    except Exception as error:  # a damaged tile, in the words of whichever codec met it
        problems.append(f"{reference.reader} cannot read its pixels: {in_short(error)}")
        return [], {}
    differences: list[Difference] = []
    for other in (source for source in sources if source is not reference):
        try:
            differences += compare_reader(reference.reader, taken, other)
        except Exception as error:
            problems.append(f"{other.reader} cannot read its pixels: {in_short(error)}")
    return differences, steps


def _view(source: Source) -> View:
    levels = tuple(source.levels[index].size for index in whole_levels(source))
    version = metadata.version(_PACKAGES[source.reader])
    return View(source.reader, version, levels, source.pixel_size, len(source.icc or b""))


def _missing_levels(views: tuple[View, ...]) -> Iterator[str]:
    every = all_levels(views)
    for view in views:
        missing = [str(size) for size in every if size not in view.levels]
        if missing:
            yield f"{view.reader} sees {len(view.levels)} of {len(every)} levels; it misses {', '.join(missing)}"


def _scales(views: tuple[View, ...]) -> Iterator[str]:
    known = [view for view in views if view.mpp is not None]
    if not known:
        yield "no reader finds a pixel size"
    for view in known:
        assert view.mpp is not None
        if not all(MPP_RANGE[0] <= size <= MPP_RANGE[1] for size in view.mpp):
            yield f"{view.reader} finds a pixel size of {view.scale}, which no microscope has"
        elif not _same_scale(view, known[0]):
            yield f"{view.reader} finds a pixel size of {view.scale}; {known[0].reader} finds {known[0].scale}"


def _without_scale(views: tuple[View, ...]) -> Iterator[str]:
    """Readers that do not know where a format keeps its pixel size: no fault of the file, if another one does."""
    known = [view for view in views if view.mpp is not None]
    for view in views:
        if known and view.mpp is None:
            yield f"{view.reader} finds no pixel size; {known[0].reader} finds {known[0].scale}"


def _same_scale(view: View, other: View) -> bool:
    sizes = zip(view.mpp or (), other.mpp or (), strict=True)
    return all(abs(found - expected) <= _SAME_SCALE * expected for found, expected in sizes)


def _pixels(differences: list[Difference]) -> Iterator[str]:
    for difference in differences:
        if difference.mean > difference.tolerance:
            apart = f"{difference.mean:.1f} grey levels apart on average"
            yield f"{' and '.join(difference.readers)} differ on the level of {difference.size}: {apart}"


def _steps(steps: Mapping[Size, float]) -> Iterator[str]:
    for size, apart in steps.items():
        if apart > _SAME_LEVEL:
            away = f"{apart:.1f} grey levels from the area average of the next finer one"
            yield f"the level of {size} is {away}; what is measured depends on the level"


def all_levels(views: Sequence[View]) -> list[Size]:
    """Sizes of the levels that at least one reader sees, largest first."""
    return sorted({size for view in views for size in view.levels}, key=lambda size: size.shape, reverse=True)
