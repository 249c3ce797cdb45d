"""Whole slides on the page: the H&E beside the virtual stain, as ``restain slide`` left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
from restain.images import read_rgb
from restain.reporting.pictures import Picture, jpeg_uri, scale_bar
from restain.slides.record import PREVIEW_GAP, SlideRecord, read_summary

_PREVIEW, _SLIDE = ".preview.png", ".ome.tif"
_MOST = 4  # slides on the page


@dataclass(frozen=True)
class SlideView:
    """One slide: its pictures, and what is known of it."""

    name: str
    pictures: tuple[Picture, ...]
    sentence: str


def slide_views(folder: Path) -> tuple[SlideView, ...]:
    """The first slides of a folder that ``restain slide`` wrote.

    Raises:
        RestainError: the folder holds no summary of slides, or none of its slides has a preview.
    """
    records = [one for one in read_summary(folder / "summary.json").slides if one.status in ("stained", "skipped")]
    views: list[SlideView] = []
    for record in records:
        preview = folder / (Path(record.output).name.removesuffix(_SLIDE) + _PREVIEW)
        if preview.is_file() and len(views) < _MOST:
            views.append(_view(record, preview))
    if not views:
        raise RestainError(f"{folder}: holds no finished slide with its preview; expected results of restain slide")
    return tuple(views)


def _view(record: SlideRecord, preview: Path) -> SlideView:
    both = read_rgb(preview)
    width = (both.shape[1] - PREVIEW_GAP) // 2
    mpp = record.mpp * record.width / width if record.mpp and record.width else None
    name = Path(record.slide).name
    pictures = tuple(
        Picture(title, f"{title} of slide {name}", jpeg_uri(half), scale_bar(width, mpp), mpp)
        for title, half in (("H&E", both[:, :width]), ("virtual stain", both[:, -width:]))
    )
    facts = [
        f"{record.width} x {record.height} px" if record.width else "",
        f"{record.mpp:g} µm/px" if record.mpp else "",
        f"{record.tissue_mm2:.3g} mm² of tissue" if record.tissue_mm2 else "",
        f"seam score {record.seam_score:.2f} (1 is none)" if record.seam_score else "",
    ]
    return SlideView(name, pictures, ", ".join(filter(None, facts)))
