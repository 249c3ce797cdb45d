"""Slides whose process was lost in the middle of the work: they are tried again, and continue from their journals."""

from __future__ import annotations

from collections import Counter

from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.single import failed

RETRIES = 3  # of a slide whose process was lost


class Attempts:
    """Counts the processes that each slide of a run has lost."""

    def __init__(self) -> None:
        self._lost: Counter[Job] = Counter()

    def lose(self, job: Job, reason: str) -> SlideRecord | None:
        """Note that the process of a slide is lost; the record of its failure where it is not to be tried again."""
        self._lost[job] += 1
        if self._lost[job] <= RETRIES:
            return None
        return failed(job, f"its process was lost {self._lost[job]} times ({reason})")

    def finish(self, job: Job, record: SlideRecord) -> SlideRecord:
        """What has become of a slide in this run.

        A process may be lost when its slide is finished and its record is not yet sent; the next one finds the slide
        finished, which is what this run did.
        """
        found = record.status == "skipped" and self._lost[job] > 0
        return record.model_copy(update={"status": "stained"}) if found else record
