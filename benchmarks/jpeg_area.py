"""What JPEG does to an amount of stain: DAB-positive area and DAB density of IHC images, before and after.

python benchmarks/jpeg_area.py FOLDER_OF_IHC_IMAGES [--quality 90]
"""

import argparse
from pathlib import Path

import imagecodecs
import numpy as np
from rich.console import Console
from rich.table import Table

from restain.images import RGB, list_images, read_rgb
from restain.metrics.stain.dab import positive_area
from restain.stains import DAB, HEMATOXYLIN, separate


def density(pixels: RGB) -> np.ndarray:
    return np.asarray(separate(pixels, HEMATOXYLIN, DAB)[..., 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="IHC images that were not JPEG before")
    parser.add_argument("--quality", type=int, nargs="+", default=[80, 90, 95])
    parser.add_argument("--limit", type=int, default=24, help="images")
    arguments = parser.parse_args()
    images = [np.ascontiguousarray(read_rgb(path)) for path in list_images(arguments.folder)[: arguments.limit]]
    before = [density(image) for image in images]
    areas = np.array([positive_area(values) for values in before])
    table = Table(title=f"{len(images)} images, DAB-positive area {100 * areas.mean():.2f} %")
    for heading in ("JPEG", "bytes a pixel", "area, points", "largest, points", "DAB error, % of mean DAB"):
        table.add_column(heading, justify="right")
    for quality in arguments.quality:
        for chroma in ("444", "422", "420"):
            streams = [
                imagecodecs.jpeg8_encode(
                    image, level=quality, colorspace="RGB", outcolorspace="YCBCR", subsampling=chroma
                )
                for image in images
            ]
            after = [density(imagecodecs.jpeg8_decode(stream)) for stream in streams]
            shifts = 100 * (np.array([positive_area(values) for values in after]) - areas)
            errors = [np.abs(new - old).mean() / old.clip(0).mean() for new, old in zip(after, before, strict=True)]
            table.add_row(
                f"quality {quality}, {':'.join(chroma)}",
                f"{sum(map(len, streams)) / sum(image.size // 3 for image in images):.2f}",
                f"{shifts.mean():+.2f}",
                f"{shifts[np.abs(shifts).argmax()]:+.2f}",
                f"{100 * float(np.mean(errors)):.1f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
