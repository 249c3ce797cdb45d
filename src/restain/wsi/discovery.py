"""Which of the given files and folders are slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from restain.errors import RestainError
from restain.images import IMAGE_SUFFIXES
from restain.progress import console

_SCANNERS = frozenset({".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi"})
_DICOM = frozenset({".dcm", ".dicom"})
_MAPS = frozenset({".vms", ".vmu"})  # an index file, with the slide's tiles as JPEG files beside it
_SHOWN = 5  # names of files passed over


def list_slides(inputs: Sequence[str | Path]) -> list[Path]:
    """Slides among files and folders, each once, in the order given; a folder's own sorted by name.

    A file that is named is taken, whatever its suffix: its content decides when it is opened. Folders are searched
    below, by suffix; hidden files, the parts of a MIRAX or Hamamatsu slide and other files are passed over, and what
    else was passed over is told in one line. A folder with DICOM files directly in it is one slide.

    Raises:
        RestainError: an input does not exist, or there is no slide in any of them.
    """
    found: dict[Path, None] = {}
    passed: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            slides, others = _search(path)
            found.update(dict.fromkeys(slides))
            passed.extend(others)
        elif path.exists():
            found[path] = None
        else:
            raise RestainError(f"{path}: no such file or folder")
    if not found:
        named = ", ".join(str(path) for path in inputs) or "no input"
        raise RestainError(f"{named}: no slide found; expected .svs, .ndpi, .mrxs, .tif, DICOM, .png, .jpg or the like")
    if passed:
        console.print(_told(passed), markup=False, soft_wrap=True)
    return list(found)


def _search(folder: Path) -> tuple[list[Path], list[Path]]:
    """(slides, other files) of a folder and those below it."""
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = [path for path in visible if path.is_file()]
    suffixes = Counter(path.suffix.lower() for path in files)
    if any(suffix in _DICOM for suffix in suffixes):
        return [folder], [path for path in files if path.suffix.lower() not in _DICOM]
    accepted = _SCANNERS if any(suffix in _MAPS for suffix in suffixes) else _SCANNERS | IMAGE_SUFFIXES
    slides = [path for path in files if path.suffix.lower() in accepted]
    others = [path for path in files if path.suffix.lower() not in accepted]
    for path in visible:
        if path.is_dir() and not path.with_suffix(".mrxs").exists():  # slide.mrxs keeps its pixels in slide/
            below = _search(path)
            slides += below[0]
            others += below[1]
    return slides, others


def _told(passed: list[Path]) -> str:
    names = ", ".join(path.name for path in passed[:_SHOWN])
    more = f" and {len(passed) - _SHOWN} more" if len(passed) > _SHOWN else ""
    return f"passed over, no slides by their names: {names}{more}"
