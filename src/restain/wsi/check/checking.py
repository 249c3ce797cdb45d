"""``restain check``: open a slide file with every reader that is installed, and see whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

from restain.errors import RestainError, in_short
from restain.images import is_tiff
from restain.wsi.check.reader_agreement import (
    Difference,
    compare_reader,
    find_spots,
    measure_steps,
    take_samples,
    whole_levels,
)
from restain.wsi.check.tiff_info import tiff_facts
from restain.wsi.formats.libvips import VipsSource
from restain.wsi.formats.tiff import TiffSource
from restain.wsi.formats.vendor import VendorSource
from restain.wsi.reader import MPP_RANGE
from restain.wsi.slide import Source

_READERS: dict[str, Callable[[Path], Source]] = {
    "tifffile": TiffSource,
    "openslide": VendorSource,
    "libvips": VipsSource,
}
_PACKAGES = {"tifffile": "tifffile", "openslide": "openslide-python", "libvips": "pyvips"}
_SAME_SCALE = 1e-3  # relative difference of mpp
_SAME_LEVEL = 6.0  # grey levels on average: JPEG changes each level in its own way


@dataclass(frozen=True)
class View:
    """What one reader sees of a file.

    Attributes:
        reader: tifffile, openslide or libvips.
        version: of its Python package.
        levels: (width, height) of each level, finest first.
        mpp: microns per pixel in x and y; None where the reader finds none.
        icc: bytes of the colour profile.
    """

    reader: str
    version: str
    levels: tuple[tuple[int, int], ...]
    mpp: tuple[float, float] | None
    icc: int


@dataclass(frozen=True)
class CheckResult:
    """What the readers see, and where they part.

    Attributes:
        path: the file.
        views: one for each reader that opens it.
        reference: the reader that sees most levels; the others' pixels are compared with its.
        differences: between the reference and each other reader, level by level.
        steps: for the (width, height) of each level but the finest, its mean difference to the area average of the
            next finer one, in grey levels.
        facts: what the file says of itself.
        notes: readers that were not asked.
        problems: a sentence for everything in which a reader fails or disagrees.
    """

    path: Path
    views: tuple[View, ...]
    reference: str
    differences: tuple[Difference, ...]
    steps: Mapping[tuple[int, int], float]
    facts: Mapping[str, str]
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
        file: a slide: one that restain wrote, or any other.

    Returns:
        what each reader sees; ``ok`` where they agree on levels, pixel size and pixels.

    Raises:
        RestainError: no such file, or no reader opens it.
    """
    path = Path(file)
    if not path.is_file():
        raise RestainError(f"{path}: {'is a folder; name one file of it' if path.is_dir() else 'no such file'}")
    tiff_file = is_tiff(path)
    notes: list[str] = []
    problems: list[str] = []
    with ExitStack() as stack:
        sources = list(_open(path, tiff_file, stack, notes, problems))
        if not sources:
            raise RestainError(f"{path}: no reader opens it ({'; '.join([*problems, *notes])})")
        views = tuple(_view(source) for source in sources)
        reference = max(sources, key=lambda source: len(whole_levels(source)))
        differences, steps = _compare(reference, sources, problems)
    problems += [*_missing_levels(views), *_scales(views), *_pixels(differences), *_steps(steps)]
    facts = tiff_facts(path) if tiff_file else {}
    return CheckResult(path, views, reference.reader, tuple(differences), steps, facts, tuple(notes), tuple(problems))


def _open(path: Path, tiff_file: bool, stack: ExitStack, notes: list[str], problems: list[str]) -> Iterator[Source]:
    """The readers that open a file; every one is expected to open a TIFF, and of other formats only its own."""
    for reader, kind in _READERS.items():
        try:
            yield stack.enter_context(closing(kind(path)))
        except ImportError:
            notes.append(f"{reader} was not asked; pip install {_PACKAGES[reader]}")
        except Exception as error:  # each library has its own
            if tiff_file:
                problems.append(f"{reader} cannot open it: {in_short(error)}")
            else:
                notes.append(f"{reader} does not read this format")


def _compare(
    reference: Source, sources: list[Source], problems: list[str]
) -> tuple[list[Difference], dict[tuple[int, int], float]]:
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
    levels = tuple((source.levels[index].width, source.levels[index].height) for index in whole_levels(source))
    version = metadata.version(_PACKAGES[source.reader])
    return View(source.reader, version, levels, source.pixel_size, len(source.icc or b""))


def _every_level(views: tuple[View, ...]) -> list[tuple[int, int]]:
    return sorted({size for view in views for size in view.levels}, reverse=True)


def _missing_levels(views: tuple[View, ...]) -> Iterator[str]:
    every = _every_level(views)
    for view in views:
        missing = [_size(size) for size in every if size not in view.levels]
        if missing:
            yield f"{view.reader} sees {len(view.levels)} of {len(every)} levels; it misses {', '.join(missing)}"


def _scales(views: tuple[View, ...]) -> Iterator[str]:
    known = [view for view in views if view.mpp is not None]
    if not known:
        yield "no reader finds a pixel size"
    for view in views:
        if view.mpp is None:
            if known:
                yield f"{view.reader} finds no pixel size; {known[0].reader} finds {_scale(known[0])}"
        elif not all(MPP_RANGE[0] <= size <= MPP_RANGE[1] for size in view.mpp):
            yield f"{view.reader} finds a pixel size of {_scale(view)}, which no microscope has"
        elif not _same_scale(view, known[0]):
            yield f"{view.reader} finds a pixel size of {_scale(view)}; {known[0].reader} finds {_scale(known[0])}"


def _same_scale(view: View, other: View) -> bool:
    sizes = zip(view.mpp or (), other.mpp or (), strict=True)
    return all(abs(one - two) <= _SAME_SCALE * two for one, two in sizes)


def _pixels(differences: list[Difference]) -> Iterator[str]:
    for difference in differences:
        if difference.mean > difference.tolerance:
            apart = f"{difference.mean:.1f} grey levels apart on average"
            yield f"{' and '.join(difference.readers)} differ on the level of {_size(difference.size)}: {apart}"


def _steps(steps: Mapping[tuple[int, int], float]) -> Iterator[str]:
    for size, apart in steps.items():
        if apart > _SAME_LEVEL:
            away = f"{apart:.1f} grey levels from the area average of the next finer one"
            yield f"the level of {_size(size)} is {away}; what is measured depends on the level"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _scale(view: View) -> str:
    if view.mpp is None:
        return "unknown"
    x, y = view.mpp
    return f"{x:.4g} µm" if abs(x / y - 1) < _SAME_SCALE else f"{x:.4g} x {y:.4g} µm"


def print_check(result: CheckResult, console: Console | None = None) -> None:
    """The levels as each reader sees them, what the file says of itself, and in sentences where the readers part."""
    console = console or Console()
    table = Table(box=None, header_style="bold")
    table.add_column("level")
    for view in result.views:
        table.add_column(f"{view.reader} {view.version}", justify="right")
    table.add_column("vs finer", justify="right")
    for size in _every_level(result.views):
        step = result.steps.get(size)
        table.add_row(
            _size(size), *(_cell(result, view, size) for view in result.views), "" if step is None else f"{step:.1f}"
        )
    table.add_row("pixel size", *(_scale(view) for view in result.views), "")
    table.add_row("colour profile", *(f"{view.icc} bytes" if view.icc else "none" for view in result.views), "")
    console.print(table)
    if result.differences or result.steps:
        console.print("differences: the mean and, in brackets, the largest, in grey levels", style="dim")
    for name, value in result.facts.items():
        console.print(f"{name}: {value}", markup=False, highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    for problem in result.problems:
        console.print(f"problem: {problem}", markup=False, highlight=False, soft_wrap=True)
    if result.ok:
        console.print(f"{len(result.views)} readers agree" if len(result.views) > 1 else "one reader, no problem")


def _cell(result: CheckResult, view: View, size: tuple[int, int]) -> str:
    if size not in view.levels:
        return "[red]missing[/]"
    for difference in result.differences:
        if difference.readers[1] == view.reader and difference.size == size:
            return f"{difference.mean:.1f} ({difference.largest})"
    return "reference" if view.reader == result.reference else "unread"
