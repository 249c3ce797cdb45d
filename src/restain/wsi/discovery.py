"""Which of the given files and folders are slides."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
from restain.files import require_file
from restain.images import IMAGE_SUFFIXES

_SCANNERS = frozenset({".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi"})
_DICOM = frozenset({".dcm", ".dicom"})
_BESIDE_DICOM = _SCANNERS | {".tif", ".tiff"}  # slides: then DICOM files in the same folder are no slide of their own
_MAPS = frozenset({".vms", ".vmu"})  # an index file, with the slide's tiles as JPEG files beside it


@dataclass(frozen=True)
class FoundSlides:
    """What a search found: ``slides``, and files that are no slides by their suffix (``ignored``)."""

    slides: tuple[Path, ...]
    ignored: tuple[Path, ...] = ()


def find_slides(inputs: Sequence[str | Path]) -> FoundSlides:
    """Slides among files and folders, each once, in the order given; a folder's own sorted by name.

    A file that is named is taken, whatever its suffix: its content decides when it is opened. Folders are searched
    below, by suffix; hidden files and the parts of a MIRAX or Hamamatsu slide are left out. Each folder is searched
    once, however many links lead to it. A folder with DICOM files directly in it is one slide, beside those in the
    folders below it, unless other slides lie beside these files: then the DICOM files are ignored.

    Raises:
        RestainError: an input does not exist or is no file, a folder cannot be read, or there is no slide in any of
            them.
    """
    slides: dict[Path, None] = {}
    ignored: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            for folder in _folders(path):
                below = _look_into(folder)
                slides.update(dict.fromkeys(below.slides))
                ignored.extend(below.ignored)
        else:
            require_file(path)
            slides[path] = None
    if not slides:
        named = ", ".join(str(path) for path in inputs) or "no input"
        raise RestainError(f"{named}: no slide found; expected .svs, .ndpi, .mrxs, .tif, DICOM, .png, .jpg or the like")
    return FoundSlides(tuple(slides), tuple(ignored))


def _folders(top: Path) -> Iterator[Path]:
    """A folder and all below it, each once: those that are only linked come last, under the first link's path."""
    waiting, links, seen = [top], deque[Path](), set[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.popleft()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        yield folder
        # slide.mrxs keeps its pixels in slide/
        below = [path for path in _visible(folder) if path.is_dir() and not path.with_suffix(".mrxs").exists()]
        waiting += [path for path in reversed(below) if not path.is_symlink()]
        links.extend(path for path in below if path.is_symlink())


def _visible(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _look_into(folder: Path) -> FoundSlides:
    """Slides and other files directly in a folder."""
    files = [path for path in _visible(folder) if path.is_file()]
    suffixes = {path.suffix.lower() for path in files}
    if suffixes & _DICOM and not suffixes & _BESIDE_DICOM:
        return FoundSlides((folder,), tuple(path for path in files if path.suffix.lower() not in _DICOM))
    accepted = _SCANNERS if suffixes & _MAPS else _SCANNERS | IMAGE_SUFFIXES
    slides = tuple(path for path in files if path.suffix.lower() in accepted)
    return FoundSlides(slides, tuple(path for path in files if path.suffix.lower() not in accepted))
