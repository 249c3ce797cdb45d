"""Small slides for tests, and a stainer that changes nothing."""

from pathlib import Path

import numpy as np
import tifffile

from restain.images import RGB
from restain.slides.plan import Plan
from restain.slides.record import JournalIdentity
from restain.slides.seamless.policy import SeamPolicy
from restain.slides.tiling import Footprint, Tile, Tiling
from restain.types import Mpp
from restain.wsi.geometry import Grid, Mask, Size
from restain.wsi.tissue import Tissue

MPP = 0.5


def draw_tissue(height: int, width: int) -> RGB:
    """Two pieces of pink and violet texture on grey-white glass."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.full((height, width, 3), (236, 233, 238), dtype=np.float32)
    image += random.normal(0, 1, image.shape)
    for centre, radius in (((0.35, 0.3), 0.22), ((0.6, 0.7), 0.18)):
        inside = np.hypot(y / height - centre[0], x / width - centre[1]) < radius
        texture = 30 * np.sin(x / 7 + np.sin(y / 11)) + random.normal(0, 12, (height, width))
        colour = np.stack([190 + texture, 120 + texture, 180 + texture / 2], axis=-1)
        image[inside] = colour[inside]
    return np.asarray(image.round().clip(0, 255).astype(np.uint8))


def write_slide(path: Path, image: RGB, mpp: float | None = MPP) -> Path:
    """A tiled TIFF of one level."""
    scale = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, tile=(256, 256), photometric="rgb", compression="deflate", metadata=None, **scale)
    return path


def write_svs(path: Path, image: RGB, mpp: float = MPP) -> Path:
    """As Aperio's scanners write it: JPEG tiles and the pixel size in the description; OpenSlide reads it."""
    height, width = image.shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    description = f"Aperio Image Library v12\n{width}x{height} (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = {mpp}"
    coarse = image[: height // 4 * 4, : width // 4 * 4].reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate((image, coarse.round().astype(np.uint8))):
            file.write(
                level, tile=(256, 256), photometric="rgb", compression="jpeg", metadata=None,
                compressionargs={"level": 90}, description=description, subfiletype=min(number, 1),
            )  # fmt: skip
    return path


def cut_tile_off(path: Path, index: int, share: float = 0.5) -> Path:
    """Write zeros over the end of a tile of a TIFF's first page, as a copy that was interrupted leaves them."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[index], file.pages.first.databytecounts[index]
    start = offset + round(count * share)
    content[start : offset + count] = bytes(offset + count - start)
    path.write_bytes(content)
    return path


def identity(weights: str = "a") -> JournalIdentity:
    """Of a journal whose tiles nobody stained."""
    return JournalIdentity(
        slide="s", slide_mpp=MPP, tissue=None, weights_sha256=weights, stainer_sha256=weights,
        restain="0", torch="0", device="cpu", precision="32",
        mpp=MPP, width=1, height=1, norm="slide", tile=64, halo=0, feather=0, stain_background=False,
    )  # fmt: skip


def make_plan(size: Size, side: int, footprint: Footprint, policy: SeamPolicy | None = None) -> Plan:
    """Of a slide that is tissue all over, to be written on the network's own grid."""
    mask: Mask = np.ones((4, 4), dtype=bool)
    policy = policy or SeamPolicy("exact", footprint.radius, 0)
    grid, tiling = Grid(Mpp(MPP), size), Tiling(size, side, policy.feather)
    return Plan(
        grid=grid, tiling=tiling, footprint=footprint, norm="slide", seams=policy, tiles=tuple(tiling),
        tissue=Tissue(mask, Mpp(8.0), (240, 240, 240), Mpp(MPP)), roi=None, background=None, fill=(240, 240, 240),
        output=grid, warnings=(),
    )  # fmt: skip


class Identity:
    """In place of a network with its halo: the virtual stain is the H&E."""

    def __init__(self, *_: object, halo: int, prepare: object) -> None:
        self.halo = halo

    def stain(self, inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        """One tile a call, as the pipeline does."""
        (pixels,), (tile,) = inputs, tiles
        region = tile.region
        top, left = region.y - max(0, region.y - self.halo), region.x - max(0, region.x - self.halo)
        return [pixels[top : top + region.height, left : left + region.width]]
