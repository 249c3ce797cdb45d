"""A small H&E slide, and a stainer with a small, strongly coloured, untrained generator."""

from pathlib import Path

import pytest
import torch
from small_slides import MPP, draw_tissue, write_slide

from restain.images import RGB
from restain.networks.specs import ResnetSpec
from restain.stainer import StainerCard
from restain.stainer_files import save_stainer


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
    generator = ResnetSpec(ngf=4, blocks=1, spectral_norm=False).build()
    stream = torch.Generator().manual_seed(1)
    for parameter in generator.parameters():
        parameter.data = torch.randn(parameter.shape, generator=stream) * (0.3 if parameter.dim() > 1 else 0.1)
    save_stainer(folder, generator, StainerCard("ER", MPP, 64, "none", {"steps": 0}))
    return folder
