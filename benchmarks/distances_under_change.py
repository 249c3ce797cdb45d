"""What distances make of a displaced, a blurred and a wrongly coloured IHC, as a share of "other tissue".

    python benchmarks/distances_under_change.py --ihc HEMIT/valB [--fields 9]

Fields of a folder, reduced by 2; each is compared with itself moved by 4, 8 and 16 pixels, blurred (averaged over
blocks of 4 pixels) and with haematoxylin and DAB exchanged. The distance is divided by that of the field from the next
one, whose tissue is another: 0 is "equal", 1 is "as far as other tissue". ST-LPIPS is printed where its weights are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from restain.errors import RestainError
from restain.images import RGB, list_images, read_rgb
from restain.metrics.learned.extractor import PerceptualDistance
from restain.metrics.pixels.similarity import ssim
from restain.stains import DAB, HEMATOXYLIN, compose, separate, stain_matrix
from restain.weights import find_weights

SHIFTS = (4, 8, 16)
MARGIN = max(SHIFTS)
Distance = Callable[[RGB, RGB], float]


def main() -> None:
    """Print a row for each distance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ihc", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=9)
    arguments = parser.parse_args()
    paths = list_images(arguments.ihc)
    chosen = [paths[place] for place in np.linspace(0, len(paths) - 1, arguments.fields).round().astype(int)]
    fields = [np.asarray(Image.fromarray(read_rgb(path)).reduce(2)) for path in chosen]
    print("| distance | " + " | ".join(name for name, _ in _changed(fields[0])) + " |")
    for name, distance in _distances().items():
        table = []
        for field, other in zip(fields, [*fields[1:], fields[0]], strict=True):
            far = distance(_inner(field), _inner(other))
            table.append([distance(_inner(field), changed) / far for _, changed in _changed(field)])
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in np.mean(table, axis=0)) + " |")


def _distances() -> dict[str, Distance]:
    found: dict[str, Distance] = {
        "1 - SSIM": lambda a, b: 1 - ssim(a, b),
        "L1": lambda a, b: float(np.abs(a.astype(float) - b).mean()),
    }
    for network in ("alex", "vgg"):
        try:
            held = find_weights(f"st-lpips-{network}")
            found[f"st_lpips_{network}"] = PerceptualDistance(held, held)
        except RestainError as error:
            print(f"st_lpips_{network} is left out: {error}")
    return found


def _changed(field: RGB) -> Iterator[tuple[str, RGB]]:
    for shift in SHIFTS:
        yield f"shift {shift} px", _inner(np.roll(field, (shift, shift), axis=(0, 1)))
    height, width = (side // 4 * 4 for side in field.shape[:2])
    small = Image.fromarray(field[:height, :width]).reduce(4)
    yield "blur 4 px", _inner(np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)))
    amounts = separate(field, HEMATOXYLIN, DAB)[..., [1, 0, 2]]
    light = compose(amounts, stain_matrix(HEMATOXYLIN, DAB))
    yield "colours exchanged", _inner(np.rint(255 * light.clip(0, 1)).astype(np.uint8))


def _inner(field: RGB) -> RGB:
    """Without the margin into which a shift wraps."""
    return np.ascontiguousarray(field[MARGIN:-MARGIN, MARGIN:-MARGIN])


if __name__ == "__main__":
    main()
