"""Which of the given files and folders are slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
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
    below, by suffix; hidden files and the parts of a MIRAX or Hamamatsu slide are left out, and so is a link to a
    folder that is being searched already. A folder with DICOM files directly in it is one slide, unless other slides
    lie beside them: then the DICOM files are ignored.

    Raises:
        RestainError: an input does not exist, or there is no slide in any of them.
    """
    slides: dict[Path, None] = {}
    ignored: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            below = _search(path, ())
            slides.update(dict.fromkeys(below.slides))
            ignored.extend(below.ignored)
        elif path.exists():
            slides[path] = None
        else:
            raise RestainError(f"{path}: no such file or folder")
    if not slides:
        named = ", ".join(str(path) for path in inputs) or "no input"
        raise RestainError(f"{named}: no slide found; expected .svs, .ndpi, .mrxs, .tif, DICOM, .png, .jpg or the like")
    return FoundSlides(tuple(slides), tuple(ignored))


def _search(folder: Path, above: tuple[Path, ...]) -> FoundSlides:
    """Slides and other files of a folder and those below it; ``above`` are the real paths of the folders around it."""
    real = folder.resolve()
    if real in above:  # a link to a folder that holds it: there would be no end
        return FoundSlides(())
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = [path for path in visible if path.is_file()]
    suffixes = Counter(path.suffix.lower() for path in files)
    if any(suffix in _DICOM for suffix in suffixes) and not any(suffix in _BESIDE_DICOM for suffix in suffixes):
        return FoundSlides((folder,), tuple(path for path in files if path.suffix.lower() not in _DICOM))
    accepted = _SCANNERS if any(suffix in _MAPS for suffix in suffixes) else _SCANNERS | IMAGE_SUFFIXES
    slides = [path for path in files if path.suffix.lower() in accepted]
    ignored = [path for path in files if path.suffix.lower() not in accepted]
    for path in visible:
        if path.is_dir() and not path.with_suffix(".mrxs").exists():  # slide.mrxs keeps its pixels in slide/
            below = _search(path, (*above, real))
            slides += below.slides
            ignored += below.ignored
    return FoundSlides(tuple(slides), tuple(ignored))
