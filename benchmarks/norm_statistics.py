"""Whose statistics should a stainer's norms have? The same weights, with each choice, on fields or on a slide.

    python benchmarks/norm_statistics.py --stainer RUN --calibrate DATA --fields HE_DIR --real IHC_DIR [--fields ...]
    python benchmarks/norm_statistics.py --stainer RUN --calibrate DATA --slide HE.tif --real IHC.tif

Fields: ``image`` normalises each field by itself, ``stainer`` takes the statistics of 300 crops of the training split
of DATA, ``folder`` those of crops of the fields. Where the norms are batch norms, ``trained`` is the stainer as it is,
with the averages of its training, in place of ``image``. Slides: ``stainer`` again, ``slide`` takes the statistics of
the slide's own tissue, ``local`` those of the neighbourhood (not for batch norms).

The H&E as it is stands beside them. Each row gives the
Pearson correlation of the mean DAB optical density with the truth (over fields; over squares of 128 pixels on a slide),
its mean absolute error, the error of the positive area, SSIM (Gaussian window) and PSNR.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import restain
from restain.images import RGB, list_images, read_rgb
from restain.metrics.pixels.similarity import psnr, ssim
from restain.metrics.stain.dab import dab_density, mean_density, positive_area
from restain.wsi.geometry import Region
from restain.wsi.reader import open_slide
from restain.wsi.resample import read_region

SQUARE = 128  # pixels


def main() -> None:
    """Calibrate, stain, print a table for each set of fields."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", required=True)
    parser.add_argument("--calibrate", required=True, help="data set whose training split is measured")
    parser.add_argument("--target", default="B")
    parser.add_argument("--fields", type=Path, action="append", default=[], help="folder of H&E; repeatable")
    parser.add_argument("--slide", type=Path, action="append", default=[], help="H&E slide; repeatable")
    parser.add_argument(
        "--real", type=Path, action="append", required=True, help="truth of each of them, in their order"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        stainer = restain.calibrate(
            arguments.stainer, arguments.calibrate, out=root / "stainer", target=arguments.target
        )
        sources = [*arguments.fields, *arguments.slide]
        for number, (source, real) in enumerate(zip(sources, arguments.real, strict=True)):
            print(f"\n{source}\n{'statistics':16} {'r':>6} {'DAB error':>9} {'area error':>10} {'SSIM':>6} {'PSNR':>6}")
            stain = on_fields if source in arguments.fields else on_slide
            if restain.load_stainer(arguments.stainer).fixed:
                stained = stained_fields if source in arguments.fields else stained_slide
                ((_, pairs),) = stained(Path(arguments.stainer), source, real, root / f"{number}t", ("stainer",))
                print(f"{'trained':16} " + row(pairs))
            for name, pairs in stain(stainer, source, real, root / str(number)):
                print(f"{name:16} " + row(pairs))


def on_fields(stainer: Path, source: Path, real: Path, out: Path) -> Iterator[tuple[str, list[tuple[RGB, RGB]]]]:
    """Virtual and real fields under each choice, and the H&E as it is."""
    norms = ("stainer", "folder") if restain.load_stainer(stainer).fixed else ("image", "stainer", "folder")
    yield from stained_fields(stainer, source, real, out, norms)
    paths = list_images(source)
    yield "H&E unchanged", [(read_rgb(path), read_rgb(real / path.relative_to(source))) for path in paths]


def stained_fields(
    stainer: Path, source: Path, real: Path, out: Path, norms: tuple[str, ...]
) -> Iterator[tuple[str, list[tuple[RGB, RGB]]]]:
    """Virtual and real fields under some choices."""
    paths = list_images(source)
    truth = [read_rgb(real / path.relative_to(source)) for path in paths]
    for norm in norms:
        restain.stain(stainer, source, out / norm, norm=norm, precision="32")
        virtual = (out / norm / path.relative_to(source).with_suffix(".png") for path in paths)
        yield norm, [(read_rgb(path), true) for path, true in zip(virtual, truth, strict=True)]


def on_slide(stainer: Path, source: Path, real: Path, out: Path) -> Iterator[tuple[str, list[tuple[RGB, RGB]]]]:
    """Squares of the virtual and the real slide, where there is tissue, under each choice, and of the H&E as it is."""
    norms = ("stainer", "slide") if restain.load_stainer(stainer).fixed else ("stainer", "slide", "local")
    yield from stained_slide(stainer, source, real, out, norms)
    he = whole(source)
    yield "H&E unchanged", squares(he, whole(real), he)


def stained_slide(
    stainer: Path, source: Path, real: Path, out: Path, norms: tuple[str, ...]
) -> Iterator[tuple[str, list[tuple[RGB, RGB]]]]:
    """Squares of the virtual and the real slide under some choices."""
    truth, he = whole(real), whole(source)
    for norm in norms:
        options = restain.SlideOptions(norm=norm, tile=512, lossless=True, precision="32")
        run = restain.slide(stainer, source, out / norm, options=options)
        yield norm, squares(whole(Path(run.records[0].output)), truth, he)


def whole(path: Path) -> RGB:
    """The finest level of a slide."""
    with open_slide(path) as slide:
        level = slide.levels[0]
        return read_region(slide, Region(0, 0, level.width, level.height), slide.mpp)


def squares(virtual: RGB, real: RGB, he: RGB) -> list[tuple[RGB, RGB]]:
    """Squares of two images in which the H&E shows tissue in a half of the pixels at least."""
    found = []
    for y in range(0, real.shape[0] - SQUARE + 1, SQUARE):
        for x in range(0, real.shape[1] - SQUARE + 1, SQUARE):
            place = slice(y, y + SQUARE), slice(x, x + SQUARE)
            if (he[place].mean(axis=2) < 220).mean() > 0.5:
                found.append((virtual[place], real[place]))
    return found


def row(pairs: list[tuple[RGB, RGB]]) -> str:
    """The scores of virtual and real images."""
    densities = [[dab_density(image) for image in pair] for pair in pairs]
    amounts = np.array([[mean_density(density) for density in pair] for pair in densities])
    areas = np.array([[positive_area(density) for density in pair] for pair in densities])
    r = np.corrcoef(amounts.T)[0, 1]
    error, area = (np.abs(values[:, 0] - values[:, 1]).mean() for values in (amounts, areas))
    similar = np.mean([ssim(real, virtual) for virtual, real in pairs])
    decibels = np.mean([psnr(real, virtual) for virtual, real in pairs])
    return f"{r:6.2f} {error:9.3f} {area:10.3f} {similar:6.3f} {decibels:6.1f}"


if __name__ == "__main__":
    main()
