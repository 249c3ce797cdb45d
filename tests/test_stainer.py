"""A stainer: its norms as they are asked for, and single pictures."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restain
from restain.calibration import calibrated
from restain.errors import RestainError
from restain.images import read_rgb, write_png
from restain.networks.specs import ResnetSpec, UnetSpec
from restain.networks.statistics import freeze, measure
from restain.stainer import StainerCard
from restain.stainer_files import load_stainer, save_stainer

CARD = StainerCard(stain="ER", mpp=0.5, tile_size=96, recipe="tiny", trained={"steps": 7})


def test_the_network_has_the_normalisation_that_is_asked_for(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = ResnetSpec(ngf=4, blocks=2).build()
    save_stainer(tmp_path / "s", generator, CARD)
    stainer = load_stainer(tmp_path / "s")
    with pytest.raises(RestainError, match="this stainer has no statistics; measure them with restain calibrate"):
        stainer.network("stainer")
    with pytest.raises(RestainError, match="norm is 'slide'; expected stainer or image"):
        stainer.network("slide")
    x = torch.rand(1, 3, 40, 40)
    assert torch.equal(stainer.network()(x), stainer.generator(x))
    own = measure(stainer.generator, [torch.rand(1, 3, 32, 32)])
    torch.testing.assert_close(stainer.network(statistics=own)(x), freeze(stainer.generator, own)(x))


def test_batch_norms_are_fixed_with_every_choice_and_the_card_says_so(tmp_path: Path) -> None:
    save_stainer(tmp_path / "s", UnetSpec(ngf=2, downs=3).build(), CARD)
    stainer = load_stainer(tmp_path / "s")
    assert stainer.fixed_with("image") and stainer.fixed_with("stainer")
    assert "part of the weights (averages of the training)" in (tmp_path / "s" / "README.md").read_text()


@pytest.mark.parametrize(("trained", "batch"), [({"batch": 4}, 4), ({"batch": "4"}, 1), ({"images_per_step": 3}, 3)])
def test_images_that_norms_met_together_are_a_number_or_one(
    tmp_path: Path, trained: dict[str, Any], batch: int
) -> None:
    save_stainer(tmp_path / "s", ResnetSpec(ngf=2, blocks=1).build(), dataclasses.replace(CARD, trained=trained))
    assert load_stainer(tmp_path / "s").batch == batch


@pytest.mark.parametrize("statistics", [True, False])
def test_a_stainer_stains_one_picture(tmp_path: Path, statistics: bool) -> None:
    """The same pixels as a file gives, and the type that was given."""
    generator = ResnetSpec(ngf=4, blocks=2, init="normal").build().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    found = None
    if statistics:
        crops = (torch.rand(1, 3, 32, 32) * 2 - 1 for _ in range(60))
        found = calibrated(generator, crops, data="data", fingerprint="f")[1]
    save_stainer(tmp_path / "stainer", generator, CARD, found)
    stainer = load_stainer(tmp_path / "stainer")
    write_png(tmp_path / "he" / "a.png", pixels)
    restain.stain(stainer, tmp_path / "he", tmp_path / "out", precision="32")
    expected = read_rgb(tmp_path / "out" / "a.png")
    array, picture = stainer(pixels), stainer(Image.fromarray(pixels))
    assert isinstance(array, np.ndarray) and isinstance(picture, Image.Image)
    # channels last rounds differently
    assert np.abs(array.astype(int) - expected).max() <= 1 and np.array_equal(np.asarray(picture), array)


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_stainer(tmp_path / "s", ResnetSpec(ngf=4, blocks=1).build(), CARD)
    stainer = load_stainer(tmp_path / "s")
    for wrong in (Image.new("L", (40, 40)), Image.new("RGBA", (40, 40)), np.zeros((40, 40, 3))):
        with pytest.raises(RestainError, match=r"picture: is .* of shape .*; expected 8-bit RGB"):
            stainer(wrong)
    with pytest.raises(RestainError, match="picture: "):
        stainer(np.zeros((2, 2, 3), dtype=np.uint8))
