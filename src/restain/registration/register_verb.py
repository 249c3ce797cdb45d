"""``restain.register``: two slides, how they lie, and files that say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restain.files import write_json
from restain.registration.landmarks import TargetError, read_landmark_pair, target_error
from restain.registration.overlay import write_pictures
from restain.registration.overview import size_um
from restain.registration.slide_pair import Registration, register_slides
from restain.registration.transform import Transform
from restain.wsi.reader import FileSlide, open_slide

RESULT_VERSION = 1


@dataclass(frozen=True)
class RegistrationResult:
    """What ``result.json`` holds, with the folder and the transform.

    Attributes:
        out: folder of the results.
        transform: from places on the H&E to places on the IHC, microns.
        residual_um: median and 90th percentile, microns, of what is left at blocks that were not fitted.
        inliers: share of the blocks on tissue that agree with their neighbours, 0 to 1.
        robustness: share of them that lie no farther off than under the rigid motion alone.
        peak: correlation of the two slides at low resolution, in standard deviations above that of displaced slides; 10
            is the least that is accepted.
        support: share of their blocks at low resolution that agree, 0 to 1.
        runner_up: the same of the best other orientation.
        rtre: error at landmarks; None without them.
    """

    out: Path
    transform: Transform
    residual_um: tuple[float, float]
    inliers: float
    robustness: float
    peak: float
    support: float
    runner_up: float
    rtre: TargetError | None

    def summary(self) -> dict[str, Any]:
        """The figures as ``result.json`` has them."""
        return {
            "version": RESULT_VERSION,
            "mirrored": self.transform.mirrored,
            "rotation_deg": round(self.transform.rotation, 4),
            "has_field": self.transform.field is not None,
            "residual_um": {"median": self.residual_um[0], "p90": self.residual_um[1]},
            "inliers": self.inliers,
            "robustness": self.robustness,
            "peak": self.peak,
            "support": self.support,
            "runner_up": self.runner_up,
            "rtre": None if self.rtre is None else asdict(self.rtre),
        }


def register(
    he: str | Path,
    ihc: str | Path,
    *,
    out: str | Path,
    he_mpp: float | None = None,
    ihc_mpp: float | None = None,
    landmarks: tuple[str | Path, str | Path] | None = None,
    workers: int | None = None,
) -> RegistrationResult:
    """Register an IHC slide with the H&E slide of a section nearby.

    ``out`` receives ``transform.json`` (field, affine, rigid, in microns), ``result.json`` (the numbers),
    ``overlay.png`` (checkerboard, and the haematoxylin of both in two colours), ``residuals.png`` and ``residuals.csv``
    (what is left, by place). The same slides give the same bytes. Memory: about 1 GB, whatever the slides.

    Args:
        he: slide or picture.
        ihc: slide or picture, of any other resolution, orientation and size.
        out: folder to write.
        he_mpp: microns per pixel of the H&E, instead of what the file states.
        ihc_mpp: the same of the IHC.
        landmarks: two CSVs as ImageJ writes them (X and Y in pixels of each image), for the error at landmarks.
        workers: threads; by default one per processor, at most 8.

    Raises:
        RestainError: a slide cannot be read or states no pixel size, shows no tissue, the two show different tissue,
            or the landmarks do not fit together. Nothing is written then.
    """
    out = Path(out)
    points = None if landmarks is None else read_landmark_pair(Path(landmarks[0]), Path(landmarks[1]))
    with open_pair(Path(he), Path(ihc), he_mpp, ihc_mpp, ("--he-mpp", "--ihc-mpp")) as (near, far):
        found = register_slides(near, far, workers=threads(workers))
        error = None if points is None else target_error(found.transform, points, near, far)
        result = summarise(found, out, error)
        write_registration(result, found, near, far)
    return result


@contextmanager
def open_pair(
    he: Path, ihc: Path, he_mpp: float | None, ihc_mpp: float | None, mpp_given_by: tuple[str, str]
) -> Iterator[tuple[FileSlide, FileSlide]]:
    """Both slides, open."""
    with open_slide(he, he_mpp, mpp_given_by[0]) as near, open_slide(ihc, ihc_mpp, mpp_given_by[1]) as far:
        yield near, far


def threads(workers: int | None) -> int:
    """What was asked for, or one per processor, at most 8, since each holds a region in memory."""
    return workers if workers is not None else min(8, os.cpu_count() or 1)


def summarise(found: Registration, out: Path, rtre: TargetError | None) -> RegistrationResult:
    """The figures of a registration."""
    median, p90 = (float(np.percentile(found.residuals, q)) for q in (50, 90))
    return RegistrationResult(
        out,
        found.transform,
        (round(median, 4), round(p90, 4)),
        round(found.inliers, 4),
        round(found.robustness, 4),
        round(found.peak, 2),
        round(found.support, 4),
        round(found.runner_up, 4),
        rtre,
    )


def write_registration(result: RegistrationResult, found: Registration, he: FileSlide, ihc: FileSlide) -> None:
    """Write everything that ``register`` promises, ``result.json`` last."""
    result.out.mkdir(parents=True, exist_ok=True)
    result.transform.write(result.out / "transform.json", he.path.name, ihc.path.name)
    write_pictures(found, result.out)
    slides = {
        side: {"file": str(slide.path), "mpp": slide.mpp, "size_um": [round(length, 2) for length in size_um(slide)]}
        for side, slide in (("he", he), ("ihc", ihc))
    }
    write_json(result.out / "result.json", result.summary() | {"slides": slides})
