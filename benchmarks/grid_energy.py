"""Grids in a stain: energy at a period of 2, 4 and 8 pixels, against that of the neighbouring frequencies.

    python benchmarks/grid_energy.py FOLDER [FOLDER ...]

Transposed and strided convolutions can leave a grid whose period is their stride or a multiple of it. Each image's
grey values, cut to a square of 256 pixels and windowed, are transformed; spectra are averaged over a folder. The energy
on the axes within one step of the period's frequency is divided by that 4 to 6 steps away. Without a grid it is near 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from restain.images import list_images, read_rgb
from restain.stains import Floats

SIDE = 256  # pixels
PERIODS = (2, 4, 8)
NEAR, FAR = 1, 6  # steps of frequency


def main() -> None:
    """Print a row for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    for folder in parser.parse_args().folders:
        power = np.mean([spectrum(path) for path in list_images(folder)], axis=0)
        print(f"{folder}: " + ", ".join(f"period {period} {excess(power, period):.1f}" for period in PERIODS))


def spectrum(path: Path) -> Floats:
    """Power of an image's grey values, (SIDE, SIDE)."""
    grey = read_rgb(path)[:SIDE, :SIDE].mean(axis=2)
    if grey.shape != (SIDE, SIDE):
        raise SystemExit(f"{path}: is {grey.shape[1]}x{grey.shape[0]} pixels; expected at least {SIDE}x{SIDE}")
    window = np.hanning(SIDE)
    power: Floats = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)) ** 2
    return power


def excess(power: Floats, period: int) -> float:
    """Energy at a period over that around it, the mean of both axes."""
    middle = SIDE // period
    steps = np.arange(middle - FAR, middle + FAR + 1)
    away = np.abs(steps - middle)
    bands = [one[steps % SIDE, :3].sum(axis=1) for one in (power, power.T)]
    return float(np.mean([band[away <= NEAR].mean() / band[away >= FAR - 2].mean() for band in bands]))


if __name__ == "__main__":
    main()
