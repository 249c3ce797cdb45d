"""How fast is a slide, and what keeps it from being as fast as its network?

    python benchmarks/slide.py [--stainer DIR] [--input SLIDE] [--tile 1024] [--device auto] [--precision auto]

Stains a slide from the file to the finished OME-TIFF and prints megapixels a second, the share of the time in which
the network worked or waited for pixels or for the writer, and the whole over the bare network: the same tiles with the
same halo, already in memory, through the same network in the same process, before and after. Without a slide it draws
virtual tissue of 2048 pixels a side; without a stainer it takes an untrained generator of the published size (ngf 64,
6 blocks), which costs the same.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from restain.slides.seamless.frozen import measure_slide

import restain
from restain.inference import prepare
from restain.networks.specs import ResnetSpec
from restain.slides.plan import plan_slide
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.slides.slide_stainer import LATTICE, SlideStainer, receptive_radius
from restain.slides.tiling import padded_region
from restain.stainer import Stainer, StainerCard, load_stainer
from restain.tensors import find_device
from restain.wsi.reader import open_slide
from restain.wsi.resample import read_region

TILES = 4  # for the bare network's rate


def bare_rate(slide: Path, stainer: Stainer, options: restain.SlideOptions) -> tuple[float, float]:
    """Megapixels a second of the network alone: of its output, and of its input, which has a halo."""
    with open_slide(slide) as opened:
        plan = plan_slide(opened, stainer.card.mpp, options)
        first = plan.tiles[0]
        like = [tile for tile in plan.tiles if tile.region.size == first.region.size][:TILES]
        halo = receptive_radius(stainer.generator)
        regions = [padded_region(tile.region, halo, plan.grid.size, LATTICE) for tile in like]
        inputs = [read_region(opened, region, plan.grid.mpp) for region in regions]
    statistics = measure_slide(stainer.generator, inputs[:1])
    network = SlideStainer(stainer.generator, statistics, lambda net: prepare(net, options.precision))
    network.stain(inputs[:1], like[:1])
    start = time.perf_counter()
    for pixels, tile in zip(inputs, like, strict=True):
        network.stain([pixels], [tile])
    seconds = time.perf_counter() - start
    inner = sum(tile.region.area for tile in like)
    padded = sum(region.area for region in regions)
    return inner / 1e6 / seconds, padded / 1e6 / seconds


def main() -> None:
    """Stain, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", type=Path)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    if arguments.stainer:
        stainer = load_stainer(arguments.stainer, device)
    else:
        torch.manual_seed(0)
        generator = ResnetSpec(ngf=64, blocks=6, spectral_norm=False).build().to(device).eval().requires_grad_(False)
        stainer = Stainer(generator, StainerCard("none", 0.5, 256, "none", {}), "0" * 64)
    options = restain.SlideOptions(tile=arguments.tile, precision=arguments.precision)
    with tempfile.TemporaryDirectory() as folder:
        slide = arguments.input
        if slide is None:
            drawn = Path(folder) / "drawn"
            restain.phantom("er", drawn, size=2048, options=restain.PhantomOptions(slide=True))
            slide = drawn / "he.tif"
        before = bare_rate(slide, stainer, options)
        record = stain_slide(Job(slide, Path(folder) / "out" / "slide.ome.tif"), stainer, options, quiet=True)
        after = bare_rate(slide, stainer, options)
    if record.status != "stained" or not record.seconds or not record.megapixels:
        raise SystemExit(record.error)
    inner, padded = ((first + second) / 2 for first, second in zip(before, after, strict=True))
    tiles = (record.read_seconds or 0) + (record.network_seconds or 0) + (record.write_seconds or 0)
    print(
        f"{record.width} x {record.height} pixels, {record.tiles} of {record.tiles_in_all} tiles with tissue, {device}"
    )
    print(f"bare network        {inner:7.3f} Mpx/s of output ({padded:.3f} with the halo that it reads)")
    print(f"tiles, end to end   {record.megapixels / tiles:7.3f} Mpx/s, {record.megapixels / tiles / inner:.2f} of it")
    print(f"file to file        {record.rate:7.3f} Mpx/s, {record.megapixels / record.seconds / inner:.2f} of it")
    for name, seconds in (
        ("network", record.network_seconds or 0),
        ("waiting to read", record.read_seconds or 0),
        ("waiting to write", record.write_seconds or 0),
        ("before and after", record.seconds - tiles),
    ):
        print(f"{name:18} {seconds:8.1f} s  {100 * seconds / record.seconds:5.1f} %")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
