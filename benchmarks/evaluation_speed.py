"""What an evaluation costs: processor time of a field, measure by measure, and of the intervals of all its scores.

    python benchmarks/evaluation_speed.py [--size 512] [--systems 3] [--images 60]

Fields are virtual ER tissue; every system is compared with the same real stain, as in an evaluation, so that what the
real image gives is computed once.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from restain.metrics import estimate, find_protocol, select_metrics
from restain.metrics.measures import MeasuredImage, MeasuredPair, measure_image, measure_pair
from restain.metrics.statistics.bootstrap import MINIMUM_UNITS
from restain.phantoms import PhantomOptions
from restain.phantoms.slide import Slide

FAMILIES = ("pixels", "stain", "place", "cells")


def seconds_of_a_field(names: list[str], images: list[np.ndarray], repeats: int = 3) -> float:
    """Processor seconds of all measures of these metrics for one system on one field, the real stain's share in it."""
    measures = list(dict.fromkeys(one for metric in select_metrics(names) for one in metric.measures))
    real, *fakes = images
    best = np.inf
    for _ in range(repeats):
        started = time.process_time()
        truth = MeasuredImage(real, 0.5)
        measure_image(truth, measures)
        for rgb in fakes:
            fake = MeasuredImage(rgb, 0.5)
            pair = MeasuredPair(real=truth, fake=fake, source=truth, protocol=find_protocol("clean"))
            measure_pair(pair, measures)
            measure_image(fake, measures)
        best = min(best, time.process_time() - started)
    return best / len(fakes)


def main() -> None:
    """Print a line a family, and the intervals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--systems", type=int, default=3)
    parser.add_argument("--images", type=int, default=60)
    arguments = parser.parse_args()
    slide = Slide("er", 5, PhantomOptions())
    real = slide.render(slide.window(0, arguments.size), None).ihc
    images = [real, *(np.roll(real, 3 * (index + 1), axis=0) for index in range(arguments.systems))]
    for names in (["ssim"], ["ms_ssim"], ["ssim_shift"], *([family] for family in FAMILIES), list(FAMILIES)):
        print(f"{', '.join(names):30} {seconds_of_a_field(names, images):7.3f} s a field and system")
    generator = np.random.default_rng(0)
    count = max(arguments.images, MINIMUM_UNITS)
    metrics = [metric for metric in select_metrics(["stain", "cells", "place"]) if metric.columns]
    table = {column: generator.random(count) for metric in metrics for column in metric.columns}
    started = time.process_time()
    for metric in metrics:
        estimate(metric, table, seed=0)
    spent = time.process_time() - started
    print(f"{len(metrics)} intervals of {count} images: {spent:.2f} s, {spent / len(metrics):.3f} s each")


if __name__ == "__main__":
    main()
