"""Does the quick search of the shift-tolerant SSIM find what trying every shift finds?

    python benchmarks/shift_search.py --real DIR --fake DIR [--fields 6] [--crop 256]

Compares ``restain.metrics.pixels.tolerance`` with the full SSIM at all 289 shifts, on a crop of each pair, and prints
the largest loss and how often the shift is another. 5 seconds of one core per field of 256x256.
"""

from __future__ import annotations

import argparse
from itertools import islice, product
from pathlib import Path

from restain.images import RGB, list_images, read_rgb
from restain.metrics.pixels.similarity import ssim
from restain.metrics.pixels.tolerance import REACH, tolerant_ssim


def every_shift(real: RGB, fake: RGB) -> tuple[float, tuple[int, int]]:
    """The best SSIM of all shifts, and the shift."""
    core = real[REACH:-REACH, REACH:-REACH]
    height, width = core.shape[:2]
    return max(
        (ssim(core, fake[REACH + dy : REACH + dy + height, REACH + dx : REACH + dx + width]), (dy, dx))
        for dy, dx in product(range(-REACH, REACH + 1), repeat=2)
    )


def main() -> None:
    """Search both ways, print the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fake", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--crop", type=int, default=256)
    arguments = parser.parse_args()
    losses, elsewhere = [], 0
    for path in islice(list_images(arguments.real), arguments.fields):
        names = (path, arguments.fake / path.relative_to(arguments.real))
        real, fake = (read_rgb(name)[: arguments.crop, : arguments.crop] for name in names)
        quick, (best, shift) = tolerant_ssim(real, fake), every_shift(real, fake)
        losses.append(best - quick.value)
        elsewhere += (quick.dy, quick.dx) != shift
    print(f"{len(losses)} fields: largest loss of SSIM {max(losses):.5f}, another shift in {elsewhere}")


if __name__ == "__main__":
    main()
