"""Which pixel size do the nuclei of a folder of images suggest?

    python benchmarks/nuclear_scale.py DIR [--candidates 0.2 0.25 0.3 0.4 0.5] [--images 40] [--marker nuclear]

For each candidate it prints the median area of the nuclei and the diameter of the circle of that area. In human tissue,
half of the nuclei have 25 to 70 µm² (5.6 to 9.4 µm); those of small lymphocytes are 6 to 7 µm across. The segmentation
itself depends on the pixel size, so that a wrong candidate does not only rescale the area.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from restain.images import list_images, read_rgb
from restain.metrics.cells.nuclei import find_nuclei


def main() -> None:
    """Print a line a candidate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--candidates", type=float, nargs="+", default=[0.2, 0.25, 0.3, 0.4, 0.5])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--marker", choices=("nuclear", "membrane", "cytoplasm"), default="nuclear")
    arguments = parser.parse_args()
    paths = list_images(arguments.folder)
    images = [read_rgb(path) for path in paths[:: max(1, len(paths) // arguments.images)][: arguments.images]]
    for mpp in arguments.candidates:
        areas = [np.bincount(find_nuclei(rgb, mpp, arguments.marker).labels.ravel())[1:] * mpp**2 for rgb in images]
        lower, median, upper = np.percentile(np.concatenate(areas), [25, 50, 75])
        print(
            f"{mpp:g} µm: {sum(map(len, areas))} nuclei, area {median:.0f} µm² ({lower:.0f} to {upper:.0f}), "
            f"diameter {2 * np.sqrt(median / np.pi):.1f} µm"
        )


if __name__ == "__main__":
    main()
