"""Which part of a virtual stain makes its ST-LPIPS: each part in turn is taken from the real IHC instead.

    python benchmarks/exchanged_stains.py --real data/valB --fake NAME=FOLDER [NAME=FOLDER ...]

Parts: haematoxylin, DAB and the residual colour; or, of all three, fine detail (what a Gaussian of 2 pixels removes)
and coarse detail. The more the distance falls, the more that part differs. The images of a folder are paired with the
real ones by name. Needs the weights of ST-LPIPS.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from restain.images import RGB, list_images, read_rgb
from restain.metrics.learned.extractor import PerceptualDistance
from restain.stains import DAB, HEMATOXYLIN, Floats, compose, separate, stain_matrix
from restain.weights import find_weights

SIGMA = 2.0  # pixels, between coarse and fine
PARTS = ("nothing", "haematoxylin", "DAB", "residual", "fine detail", "coarse detail")


def main() -> None:
    """Print a row for each folder, a column for each exchanged part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of real IHC images")
    parser.add_argument("--fake", nargs="+", required=True, help="NAME=FOLDER of virtual ones")
    arguments = parser.parse_args()
    weights = find_weights("st-lpips-alex")
    distance = PerceptualDistance(weights, weights)
    print("| real in place of virtual | " + " | ".join(PARTS) + " |")
    for word in arguments.fake:
        name, _, folder = word.partition("=")
        reals, virtual = by_name(arguments.real), by_name(Path(folder))
        if missing := sorted(reals.keys() - virtual.keys()):
            parser.error(f"{folder}: has no {missing[0]}; expected a virtual image of each real one")
        rows = []
        for image, path in reals.items():
            real = read_rgb(path)
            exchanged = exchange(real, read_rgb(virtual[image]))
            rows.append([distance(real, exchanged[part]) for part in PARTS])
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)) + " |", flush=True)


def by_name(folder: Path) -> dict[str, Path]:
    """Relative path without suffix -> image."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_images(folder)}


def exchange(real: RGB, fake: RGB) -> dict[str, RGB]:
    """The virtual image, uint8 (H, W, 3), with each part of ``PARTS`` taken from the real one."""
    wanted, found = (separate(image, HEMATOXYLIN, DAB) for image in (real, fake))
    mixed = {"nothing": found}
    for index, part in enumerate(("haematoxylin", "DAB", "residual")):
        mixed[part] = found.copy()
        mixed[part][..., index] = wanted[..., index]
    mixed["fine detail"] = _coarse(found) + wanted - _coarse(wanted)
    mixed["coarse detail"] = _coarse(wanted) + found - _coarse(found)
    return {part: _image(amounts) for part, amounts in mixed.items()}


def _coarse(amounts: Floats) -> Floats:
    return np.asarray(gaussian_filter(amounts, (SIGMA, SIGMA, 0)))


def _image(amounts: Floats) -> RGB:
    light = compose(amounts, stain_matrix(HEMATOXYLIN, DAB))
    return np.asarray(np.clip(np.rint(light * 255), 0, 255), dtype=np.uint8)


if __name__ == "__main__":
    main()
