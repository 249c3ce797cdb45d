"""What lies where a virtual slide is to be written: an earlier result, or somebody's files. No torch."""

from __future__ import annotations

from pathlib import Path

import tifffile

from restain.errors import RestainError
from restain.files import require_file
from restain.slides.record import SlideRecord, read_record, read_summary
from restain.slides.run.job import BESIDE, Job
from restain.slides.run.summary import FILES

_WORDS = {  # fields of a request, in a sentence
    "slide": "another version of the slide",
    "stainer": "another stainer",
    "tissue": "other tissue",
    "roi": "another region of interest",
}


def find_earlier(job: Job) -> SlideRecord | None:
    """The record of an earlier result, where there is one that is complete.

    Raises:
        RestainError: a file that would be replaced was not written by restain, or is damaged.
    """
    record = _own_record(job.beside(".json"))
    own = _is_ours(job.target)
    if job.target.exists() and not own:
        raise _foreign(job.target)
    if not own and record is None and not job.hidden(".unfinished").exists():
        for file in map(job.beside, BESIDE):
            if file.exists():
                raise _foreign(file)
    return record if own else None


def check_summary(out: Path) -> None:
    """RestainError where a folder holds files of a batch's names, but no batch's ``summary.json``."""
    summary = out / "summary.json"
    try:
        read_summary(summary)
    except RestainError:
        for file in (out / name for name in FILES):
            if file.exists():
                raise _foreign(file) from None


def explain_change(record: SlideRecord, differences: list[str]) -> str:
    """Why an earlier result is replaced."""
    if not differences:
        return "replaced an earlier result"
    words = [_WORDS.get(name, f"another {name}") for name in differences]
    date = f" of {record.written}" if record.written else ""
    return f"replaced an earlier result{date}, made with {', '.join(words)}"


def _own_record(path: Path) -> SlideRecord | None:
    try:
        return read_record(path)
    except RestainError:
        return None


def _is_ours(path: Path) -> bool:
    try:
        require_file(path)
        with tifffile.TiffFile(path) as file:
            return str(file.pages.first.software).startswith("restain ")
    except Exception:  # missing, or something that tifffile does not read
        return False


def _foreign(path: Path) -> RestainError:
    return RestainError(
        f"{path}: was not written by restain or is damaged; move or delete it, or name another folder for the results"
    )
