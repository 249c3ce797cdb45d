"""A small H&E slide, and a stainer with a small, strongly coloured, untrained generator."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from restain.checkpoint import StainerCard, save_stainer
from restain.images import RGB
from restain.networks.resnet import ResnetGenerator

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


@pytest.fixture(scope="session")
def he_image() -> RGB:
    """H&E, 700 x 1000 pixels."""
    return draw_tissue(700, 1000)


@pytest.fixture
def he_slide(tmp_path: Path, he_image: RGB) -> Path:
    """The same as a slide of 0.5 µm/px."""
    return write_slide(tmp_path / "slides" / "he.tif", he_image)


@pytest.fixture(scope="session")
def stainer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stainer of 0.5 µm/px."""
    folder = tmp_path_factory.mktemp("stainer") / "stainer"
    generator = ResnetGenerator(ngf=4, blocks=1)
    stream = torch.Generator().manual_seed(1)
    for parameter in generator.parameters():
        parameter.data = torch.randn(parameter.shape, generator=stream) * (0.3 if parameter.dim() > 1 else 0.1)
    save_stainer(folder, generator, StainerCard("ER", MPP, 64, "none", {"steps": 0}))
    return folder
