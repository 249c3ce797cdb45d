"""How fast the viewer answers: the first tile, and a pan.

    python benchmarks/viewer.py [SLIDE] [--mpp 0.25] [--side 60000] [--seconds 10]

Starts ``restain view`` in a process of its own and prints milliseconds from the first question for a tile to its last
byte (opening the slide included, then of a tile that is kept), and tiles per second of a pan at full resolution, asked
for over six connections as a browser does, for the picture and for its DAB overlay. Without a slide one of
60,000 x 60,000 pixels is written (about 1 GB, in a temporary folder): six levels, one drawn tile repeated.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import count
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

TILE = 512  # pixels
LEVELS = 6
CONNECTIONS = 6  # of a browser to one host, HTTP/1.1


def draw_tile() -> bytes:
    """Blobs of brown and blue, as JPEG."""
    noise = np.random.default_rng(0).normal(size=(2, TILE, TILE))
    blue, brown = (np.clip(gaussian_filter(one, 8, mode="wrap") * 40, 0, 1.2) for one in noise)
    density = blue[..., None] * (0.65, 0.7, 0.29) + brown[..., None] * (0.27, 0.57, 0.78)
    return imagecodecs.jpeg8_encode((255 * 10**-density).astype(np.uint8), level=80)


def write_slide(path: Path, side: int, mpp: float) -> None:
    """A pyramid whose every tile is the same."""
    tile = draw_tile()
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(LEVELS):
            length = side >> level
            writer.write(
                iter([tile] * ceil(length / TILE) ** 2),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                compression="jpeg",
                subifds=LEVELS - 1 if level == 0 else None,
                subfiletype=1 if level else 0,
                resolution=(1e4 / (mpp * 2**level),) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
                software=False,
            )


def ask(connection: HTTPConnection, address: str) -> bytes:
    """The body of an answer."""
    connection.request("GET", address)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{address}: {answer.status} {body[:200]!r}")
    return body


def milliseconds(connection: HTTPConnection, address: str) -> float:
    """From question to last byte."""
    start = time.perf_counter()
    ask(connection, address)
    return 1e3 * (time.perf_counter() - start)


def path_of_pan(last: int, columns: int, rows: int) -> Iterator[str]:
    """Tiles of the finest level, row after row."""
    for step in count():
        yield f"{last}/{step % columns}/{(rows // 3 + step // columns) % rows}"


def pan(connection: HTTPConnection, tiles: str, next_tile: Callable[[], str], end: float) -> list[int]:
    """Ask for one tile after the other until then; their bytes."""
    sizes = []
    while time.perf_counter() < end:
        sizes.append(len(ask(connection, f"{tiles}/{next_tile()}")))
    return sizes


def measure(url: str, seconds: float) -> None:
    """Print the figures of a running viewer."""
    parts = urlsplit(url)
    connections = [HTTPConnection(parts.hostname or "", parts.port, timeout=60) for _ in range(CONNECTIONS)]
    first = connections[0]
    id = json.loads(ask(first, f"{parts.path}cases.json"))[0]["pictures"][0]["id"]
    tiles = f"{parts.path}tile/{id}"
    opening = milliseconds(first, f"{tiles}/image/0/0/0")
    print(f"first tile, the whole slide, opening included: {opening:.0f} ms; again: ", end="")
    print(f"{milliseconds(first, f'{tiles}/image/0/0/0'):.1f} ms")
    about = json.loads(ask(first, f"{parts.path}picture/{id}.json"))
    last, columns, rows = about["last_level"], *(ceil(about[side] / about["tile"]) for side in ("width", "height"))
    print(f"{about['width']} x {about['height']} pixels, {last + 1} levels of tiles of {about['tile']} pixels")
    print(f"first tile at full resolution: {milliseconds(first, f'{tiles}/image/{last}/{columns // 2}/0'):.0f} ms")
    for layer in ("image", "dab"):
        next_tile = path_of_pan(last, columns, rows).__next__
        end = time.perf_counter() + seconds
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            pans = [pool.submit(pan, one, f"{tiles}/{layer}", next_tile, end) for one in connections]
        sizes = [size for one in pans for size in one.result()]
        rate = len(sizes) / seconds
        print(f"pan, {layer}: {rate:.0f} tiles/s, {sum(sizes) / len(sizes) / 1e3:.0f} kB each")


def main() -> None:
    """Write or take a slide, start the viewer, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--mpp", type=float, default=None)
    parser.add_argument("--side", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        slide = options.slide or Path(folder) / "slide.tif"
        if options.slide is None:
            write_slide(slide, options.side, 0.25)
            print(f"wrote {slide.stat().st_size / 1e6:.0f} MB")
        command = [
            sys.executable,
            "-m",
            "restain.cli",
            "view",
            str(slide),
            "--as",
            "real",
            "--port",
            "0",
            "--no-browser",
        ]
        command += ["--mpp", str(options.mpp)] if options.mpp else []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            lines = iter(process.stdout or ())
            url = next(match[0] for line in lines if (match := re.search(r"http://\S+", line)))
            measure(url, options.seconds)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
