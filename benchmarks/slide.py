"""How fast is a slide, and what keeps it from being as fast as its network?

    python benchmarks/slide.py [--stainer DIR] [--input SLIDE] [--tile 1024] [--norms stainer] [--device auto]
                               [--precision auto]

Stains a slide from the file to the finished OME-TIFF, once for each norm, and prints megapixels per second, the share
of the time in which the network worked or waited for pixels or for the writer, and the whole over the bare network:
two of the tiles with the same halo, already in memory, through the same network in the same process, before and after.
``stainer`` takes the statistics that belong to the stainer, ``slide`` measures those of the slide first. Without a
slide it draws virtual tissue of 2048 pixels on a side; without a stainer it takes an untrained generator of the
published size (ngf 64, 6 blocks), which costs the same. That is nine tiles of 1024 pixels through this generator for
each norm, about a minute on two idle cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

import restain
from restain.calibration import calibrated
from restain.inference import prepare
from restain.networks.specs import ResnetSpec
from restain.networks.statistics import measure
from restain.slides.plan import plan_slide
from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.slides.seamless.normalisation import needs_of
from restain.slides.slide_stainer import SlideStainer
from restain.stainer import Stainer, StainerCard
from restain.stainer_files import load_stainer
from restain.tensors import find_device, to_tensor
from restain.wsi.reader import open_slide
from restain.wsi.resample import read_region

TILES = 2  # for the bare network's rate, each time


def bare_rate(
    slide: Path, stainer: Stainer, options: restain.SlideOptions, *, warm: bool = False
) -> tuple[float, float]:
    """Megapixels per second of the network alone: of its output, and of its input, which has a halo.

    The first tile of a process is run once more before, unless it is ``warm``: it chooses kernels and takes memory.
    """
    with open_slide(slide) as opened:
        plan = plan_slide(opened, needs_of(stainer, options.norm), options)
        first = plan.tiles[0]
        like = [tile for tile in plan.tiles if tile.region.size == first.region.size][:TILES]
        regions = [plan.padded(tile.region) for tile in like]
        inputs = [read_region(opened, region, plan.grid.mpp) for region in regions]
    statistics = None if stainer.fixed else measure(stainer.generator, [to_tensor(inputs[0])[None]])
    prepared = partial(prepare, precision=options.precision)
    network = SlideStainer(stainer.generator, statistics, halo=plan.seams.halo, prepare=prepared)
    if not warm:
        network.stain(inputs[:1], like[:1])
    start = time.perf_counter()
    for pixels, tile in zip(inputs, like, strict=True):
        network.stain([pixels], [tile])
    seconds = time.perf_counter() - start
    inner = sum(tile.region.area for tile in like)
    padded = sum(region.area for region in regions)
    return inner / 1e6 / seconds, padded / 1e6 / seconds


def untrained(device: str) -> Stainer:
    """A generator of the published size, with statistics of noise: it costs what a trained one does."""
    torch.manual_seed(0)
    generator = ResnetSpec(ngf=64, blocks=6, spectral_norm=False).build().to(device).eval().requires_grad_(False)
    calibration = calibrated(generator, (torch.rand(1, 3, 64, 64) * 2 - 1 for _ in range(8)))[1]
    return Stainer(generator, StainerCard("none", 0.5, 256, "none", {}), "0" * 64, calibration)


def report(record: SlideRecord, inner: float, padded: float) -> None:
    """Print one run."""
    assert record.seconds and record.megapixels
    tiles = (record.read_seconds or 0) + (record.network_seconds or 0) + (record.write_seconds or 0)
    print(f"norm {record.norm}, seams {record.seams}")
    print(f"  bare network        {inner:7.3f} Mpx/s of output ({padded:.3f} with the halo that it reads)")
    print(
        f"  tiles, end to end   {record.megapixels / tiles:7.3f} Mpx/s, {record.megapixels / tiles / inner:.2f} of it"
    )
    share = record.megapixels / record.seconds / inner
    print(f"  file to file        {record.rate:7.3f} Mpx/s, {share:.2f} of it")
    for name, seconds in (
        ("network", record.network_seconds or 0),
        ("waiting to read", record.read_seconds or 0),
        ("waiting to write", record.write_seconds or 0),
        ("before and after", record.seconds - tiles),
    ):
        print(f"  {name:18} {seconds:8.1f} s  {100 * seconds / record.seconds:5.1f} %")


def main() -> None:
    """Stain, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", type=Path)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--norms", nargs="+", default=["stainer"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    stainer = load_stainer(arguments.stainer, device) if arguments.stainer else untrained(device)
    options = restain.SlideOptions(tile=arguments.tile, precision=arguments.precision)
    with tempfile.TemporaryDirectory() as folder:
        slide = arguments.input
        if slide is None:
            drawn = Path(folder) / "drawn"
            restain.phantom("er", drawn, size=2048, options=restain.PhantomOptions(slide=True))
            slide = drawn / "he.tif"
        for norm in arguments.norms:
            chosen = replace(options, norm=norm)
            before = bare_rate(slide, stainer, chosen)
            record = stain_slide(Job(slide, Path(folder) / norm / "slide.ome.tif"), stainer, chosen, quiet=True)
            after = bare_rate(slide, stainer, chosen, warm=True)
            if record.status != "stained":
                raise SystemExit(record.error)
            if norm == arguments.norms[0]:
                tiles = f"{record.tiles} of {record.tiles_in_all} tiles with tissue"
                print(f"{record.width} x {record.height} pixels, {tiles}, {device}")
            inner, padded = ((first + second) / 2 for first, second in zip(before, after, strict=True))
            report(record, inner, padded)
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
