"""A generator that draws noise stains a slide alike however it is cut: the noise follows the slide's coordinates."""

from pathlib import Path

import numpy as np
import tifffile
import torch
from small_slides import MPP, draw_tissue, write_slide

import restain
from restain.networks.denoising import DenoisingGenerator
from restain.networks.specs import DenoiserSpec
from restain.stainer import StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.tensors import to_rgb, to_tensor


def test_two_sizes_of_tiles_give_one_slide_and_it_is_that_of_the_whole_image(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = DenoisingGenerator(DenoiserSpec(ngf=4, blocks=1, downs=1, style=8, latent=4))
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("weight") and weight.ndim == 4:
                weight *= 30  # an image that is more than grey
    card = StainerCard(stain="HER2", mpp=MPP, tile_size=64, recipe="test", trained={})
    save_stainer(tmp_path / "stainer", generator, card)
    tissue = draw_tissue(110, 150)
    he = write_slide(tmp_path / "he.tif", tissue)
    slides = []
    for tile in (64, 96):
        out = tmp_path / f"tiles-{tile}"
        options = restain.SlideOptions(tile=tile, seams="exact", lossless=True, stain_background=True, precision="32")
        assert not restain.slide(tmp_path / "stainer", he, out, options=options).failed
        slides.append(np.asarray(tifffile.imread(out / "he.ome.tif")).astype(int))
    assert np.abs(slides[0] - slides[1]).max() <= 1 and slides[0].std() > 2
    with torch.no_grad():
        whole = load_stainer(tmp_path / "stainer").generator(to_tensor(tissue)[None])[0]
    assert np.abs(slides[0] - to_rgb(whole).astype(int)).max() <= 1
