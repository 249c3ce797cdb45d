"""Ways to normalise a slide, compared: by tile, stainer, slide and place. Do seams show, and is the stain right?

    python benchmarks/seams.py --stainer RUN --source FIELDS --real FIELDS      # fields put together as one mosaic
    python benchmarks/seams.py --stainer RUN --source HE.tif --real IHC.tif     # one picture of a slide
    python benchmarks/seams.py --stainer RUN --source HE.jpg --pictures OUT     # no truth: seams and pictures only

Stains the picture once for each way, with tiles as a slide is, and prints the seam score and, against the truth, SSIM,
the error of the mean DAB density of fields (blocks of --field pixels that hold tissue), and how these correlate.
``own`` stains every field by itself without a halo, as a network is evaluated on a data set of fields: the baseline.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from restain.images import RGB, list_images, read_rgb, write_png
from restain.metrics.pixels.similarity import ssim
from restain.metrics.stain.dab import dab_density, mean_density
from restain.networks.statistics import Statistics, measure
from restain.slides.seamless.local import LocalStatistics, measure_local
from restain.slides.seamless.normalisation import needs_of, window_side
from restain.slides.seamless.seam_score import SeamMeter, SeamScore
from restain.slides.seamless.windows import sample_windows, window_count
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Footprint, Tiling, padded_region
from restain.stainer_files import load_stainer
from restain.stains import tissue_mask
from restain.tensors import find_device, to_rgb, to_tensor
from restain.wsi.geometry import Region, Size


@dataclass(frozen=True)
class Picture:
    """H&E and truth, with their fields."""

    source: RGB
    real: RGB | None
    tissue: npt.NDArray[np.bool_]
    fields: list[tuple[slice, slice]]

    @property
    def size(self) -> Size:
        """Of the picture."""
        return Size.of(self.source)

    def read(self, region: Region) -> RGB:
        """Pixels of a region, white outside."""
        pixels = np.full((*region.size.shape, 3), 255, dtype=np.uint8)
        inside = region.clip(self.size)
        pixels[inside.within(region)] = self.source[inside.within(self.size.region)]
        return pixels


def load(source: Path, real: Path | None, field: int, size: int | None) -> Picture:
    """One image, or the images of a folder as a mosaic."""
    if source.is_dir():
        paths = list_images(source)
        he = mosaic([read_rgb(path) for path in paths])
        ihc = mosaic([read_rgb(real / path.relative_to(source)) for path in paths]) if real else None
    else:
        he, ihc = read_rgb(source), read_rgb(real) if real else None
    he, ihc = he[:size, :size], ihc[:size, :size] if ihc is not None else None
    tissue = tissue_mask(he)
    blocks = [
        (slice(y, y + field), slice(x, x + field))
        for y in range(0, he.shape[0] - field + 1, field)
        for x in range(0, he.shape[1] - field + 1, field)
    ]
    return Picture(he, ihc, tissue, [block for block in blocks if tissue[block].mean() > 0.2])


def mosaic(fields: list[RGB]) -> RGB:
    """Fields of one size side by side, nearly square; what is left over is white."""
    height, width, _ = fields[0].shape
    columns = int(np.ceil(np.sqrt(len(fields))))
    rows = -(-len(fields) // columns)
    out = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for index, field in enumerate(fields):
        y, x = divmod(index, columns)
        out[y * height : (y + 1) * height, x * width : (x + 1) * width] = field
    return out


def stain(stainer: SlideStainer, picture: Picture, side: int, footprint: Footprint) -> tuple[RGB, SeamScore | None]:
    """Stain tile by tile, as a slide; tiles without tissue stay white and out of the score."""
    out = np.full_like(picture.source, 255)
    meter = SeamMeter()
    tiling = Tiling(picture.size, side)
    for row in range(tiling.rows):
        band: list[RGB | None] = []
        for tile in (tiling.tile(row, column) for column in range(tiling.columns)):
            place = tile.region.within(picture.size.region)
            if not picture.tissue[place].any():
                band.append(None)
                continue
            pixels = picture.read(padded_region(tile.region, stainer.halo, picture.size, footprint))
            out[place] = stainer.stain([pixels], [tile])[0]
            band.append(out[place])
        meter.add_band(band)
    return out, meter.score()


def stain_fields(generator: torch.nn.Module, picture: Picture) -> RGB:
    """Every field by itself."""
    out = np.full_like(picture.source, 255)
    device = next(generator.parameters()).device
    for block in picture.fields:
        with torch.inference_mode():
            out[block] = to_rgb(generator(to_tensor(np.ascontiguousarray(picture.source[block]))[None].to(device))[0])
    return out


def fidelity(virtual: RGB, picture: Picture) -> str:
    """SSIM over fields, mean DAB and its error, r of mean DAB over fields."""
    if picture.real is None:
        return ""
    similarity = np.mean([ssim(picture.real[block], virtual[block]) for block in picture.fields])
    found, real = (
        np.array([mean_density(dab_density(image[block])) for block in picture.fields])
        for image in (virtual, picture.real)
    )
    return (
        f"{similarity:6.3f} {found.mean():9.3f} {found.std():8.3f} {np.abs(found - real).mean():10.3f} "
        f"{np.corrcoef(found, real)[0, 1]:7.2f}"
    )


def main() -> None:
    """Measure, stain, print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--field", type=int, default=256, help="side of a field, pixels")
    parser.add_argument("--tile", type=int, default=328, help="side of a tile; not of a field, whose borders may show")
    parser.add_argument("--sides", type=int, nargs="+", help="of the windows for the slide's statistics, pixels")
    parser.add_argument("--spacings", type=int, nargs="+", default=[512], help="of the nodes of local statistics")
    parser.add_argument("--size", type=int, help="look at the upper left square of this many pixels only")
    parser.add_argument("--pictures", type=Path, help="folder for one PNG a way")
    arguments = parser.parse_args()
    picture = load(arguments.source, arguments.real, arguments.field, arguments.size)
    stainer = load_stainer(arguments.stainer, find_device("auto"))
    generator, footprint = stainer.generator, needs_of(stainer, None).footprint
    crop = window_side(stainer, footprint)
    size = picture.size

    def by_slide(side: int) -> Statistics:
        count = window_count(picture.tissue, size, side)
        windows = sample_windows(picture.tissue, size, footprint, count=count, side=side, seed=0)
        return measure(generator, (to_tensor(picture.read(window))[None] for window in windows))

    def by_place(spacing: int) -> LocalStatistics:
        return measure_local(generator, picture.read, picture.tissue, size, crop, spacing)

    print(f"{size} pixels, {len(picture.fields)} fields with tissue, tiles of {arguments.tile}")
    print("                SSIM  mean DAB  std DAB  DAB error  r(DAB) | score excess   jump beside  worst | s")
    if picture.real is not None:
        print(f"{'H&E as it is':12} {fidelity(picture.source, picture)} |")
        print(f"{'real':12} {fidelity(picture.real, picture)} |")
        print(f"{'own':12} {fidelity(stain_fields(generator, picture), picture)} |")
    ways: dict[str, Callable[[], Statistics | LocalStatistics | None]] = {"tile": lambda: None}
    if stainer.statistics is not None:
        ways["stainer"] = lambda: stainer.statistics
    ways |= {f"slide {side}": partial(by_slide, side) for side in arguments.sides or [crop]}
    ways |= {f"local {spacing}": partial(by_place, spacing) for spacing in arguments.spacings}
    for name, find in ways.items():
        start = time.perf_counter()
        virtual, seams = stain(SlideStainer(generator, find()), picture, arguments.tile, footprint)
        seconds = time.perf_counter() - start
        edges = ""
        if seams is not None and seams.score is not None:
            edges = f"{seams.score:5.2f} {seams.excess:6.2f} {seams.jump:6.2f} {seams.jump_beside:6.2f} "
            edges += f"{seams.worst_jump:6.1f}"
        print(f"{name:12} {fidelity(virtual, picture)} | {edges} | {seconds:.0f}", flush=True)
        if arguments.pictures:
            write_png(arguments.pictures / f"{name.replace(' ', '_')}.png", virtual)


if __name__ == "__main__":
    main()
