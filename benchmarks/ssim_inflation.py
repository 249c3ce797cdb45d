"""One pair of images, several SSIM: by how much protocols differ, and what a wrong data range adds.

    python benchmarks/ssim_inflation.py [--real DIR --fake DIR] [--fields 24]

Without folders: virtual HER2 tissue of 512x512 pixels, the IHC of a consecutive section against the aligned one, some
2 seconds of one core per field. Prints means over the fields: SSIM under every protocol, PSNR, MS-SSIM, and the SSIM
that tolerates shifts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from restain.images import RGB, list_images, read_rgb
from restain.metrics.pixels.multiscale import ms_ssim
from restain.metrics.pixels.similarity import psnr, ssim
from restain.metrics.pixels.tolerance import tolerant_ssim
from restain.metrics.protocols import PROTOCOLS
from restain.phantoms.options import Consecutive, PhantomOptions
from restain.phantoms.slide import Slide

SIZE, FIELDS_PER_SLIDE = 512, 4


def virtual_pairs() -> Iterator[tuple[RGB, RGB]]:
    """The aligned IHC and that of the consecutive section, field after field."""
    for number in range(1000):
        slide = Slide("her2", 30_000 + number, PhantomOptions(consecutive=Consecutive()))
        for field in range(FIELDS_PER_SLIDE):
            view = slide.window(field, SIZE)
            made = slide.render(view, slide.displacement(view))
            yield made.aligned, made.ihc


def stored_pairs(real: Path, fake: Path) -> Iterator[tuple[RGB, RGB]]:
    """Images of the same relative path below two folders."""
    for path in list_images(real):
        yield read_rgb(path), read_rgb(fake / path.relative_to(real))


def main() -> None:
    """Measure, print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--fake", type=Path)
    parser.add_argument("--fields", type=int, default=24)
    arguments = parser.parse_args()
    pairs = stored_pairs(arguments.real, arguments.fake) if arguments.real else virtual_pairs()
    values: dict[str, list[float]] = {}
    for real, fake in islice(pairs, arguments.fields):
        figures = {f"SSIM {name}": ssim(real, fake, it.ssim) for name, it in PROTOCOLS.items()}
        best = tolerant_ssim(real, fake)
        figures |= {"PSNR, dB": psnr(real, fake), "MS-SSIM": ms_ssim(real, fake), "SSIM clean, shifted": best.value}
        figures["  length of the shift, px"] = float(np.hypot(best.dy, best.dx))
        for name, value in figures.items():
            values.setdefault(name, []).append(value)
    for name, column in values.items():
        print(f"{name:28}{np.mean(column):8.4f}  (standard deviation {np.std(column, ddof=1):.4f})")
    inflated, right = (np.mean(values[f"SSIM {name}"]) for name in ("skimage018", "asp2023"))
    print(f"skimage018 is {inflated / right:.2f} times asp2023 on the same {len(column)} pairs")


if __name__ == "__main__":
    main()
