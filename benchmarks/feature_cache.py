"""What FID and KID of features that are on disk cost: time and the growth of memory with the number of images.

    python benchmarks/feature_cache.py --images 1000

fills a temporary cache with seeded random vectors of 2048 numbers, as Inception gives them, and times the scores of
two such sets. It needs no weights: only the arithmetic and the reading of the cache are measured.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from restain.metrics.learned.cache import FeatureCache, gather
from restain.metrics.learned.frechet import fid_score
from restain.metrics.learned.kernel import kid_score
from restain.metrics.learned.vectors import Rows
from restain.metrics.measures import SetScore
from restain.metrics.protocols import KidSettings, find_protocol

FEATURES = 2048


def filled(cache: FeatureCache, name: str, images: int, shift: float) -> Rows:
    """A set of ``images`` cached vectors whose channels are correlated, as those of a network are."""
    generator = np.random.default_rng(round(100 * shift))
    mixing = np.random.default_rng(7).standard_normal((64, FEATURES)).astype(np.float32) / 8
    paths = []
    for number in range(images):
        vector = generator.standard_normal(64).astype(np.float32) @ mixing
        paths.append(cache.path((name, str(number))))
        cache.write(paths[-1], np.abs(vector + shift + generator.standard_normal(FEATURES) / 4).astype(np.float32))
    return gather(paths)


def kid_of(protocol: str) -> KidSettings:
    """KID as this protocol has it."""
    settings = find_protocol(protocol).kid
    assert settings is not None
    return settings


def main() -> None:
    """Print one line per score: seconds, and the peak memory of the process so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        started = time.perf_counter()
        real, fake = filled(cache, "real", images, 0.0), filled(cache, "fake", images, 0.1)
        print(f"{images} images a side; written in {time.perf_counter() - started:.1f} s, peak {_peak()} MB")
        scores: dict[str, Callable[[], SetScore]] = {
            "fid and fid_infinity": lambda: fid_score(real, fake, seed=0),
            "kid, all images": lambda: kid_score(real, fake, kid_of("clean"), seed=0),
            "kid, 100 subsets of 100": lambda: kid_score(real, fake, kid_of("asp2023"), seed=0),
        }
        for name, score in scores.items():
            started, busy = time.perf_counter(), time.process_time()
            value = score().value
            spent = f"{time.perf_counter() - started:6.1f} s ({time.process_time() - busy:.1f} s of processor time)"
            print(f"{name:24} {value:9.3f}  {spent}, peak {_peak()} MB")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
