"""A slide whose process was lost is tried again, three times at most."""

from pathlib import Path

from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.retries import RETRIES, Attempts

JOB = Job(Path("he.svs"), Path("out/he.ome.tif"))


def record(status: str) -> SlideRecord:
    return SlideRecord(slide="he.svs", output="out/he.ome.tif", status=status)  # type: ignore[arg-type]


def test_it_fails_after_the_last_retry() -> None:
    attempts = Attempts()
    assert [attempts.lose(JOB, "signal 9") for _ in range(RETRIES)] == [None] * RETRIES
    failure = attempts.lose(JOB, "signal 9")
    assert failure and failure.status == "failed"
    assert failure.error == "its process was lost 4 times (signal 9)"


def test_a_slide_that_was_finished_when_its_process_was_lost_is_stained() -> None:
    attempts = Attempts()
    assert attempts.finish(JOB, record("skipped")).status == "skipped"
    attempts.lose(JOB, "signal 9")
    assert attempts.finish(JOB, record("skipped")).status == "stained"
    assert attempts.finish(JOB, record("failed")).status == "failed"
