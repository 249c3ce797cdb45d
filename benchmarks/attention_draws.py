"""How often A2SP draws its patches where the real IHC is positive, by layer, for several forms of the attention.

    python benchmarks/attention_draws.py --stainer RUN --ihc data/valB --set data.crop=96

For each field one crop is taken; the table has, for each contrastive layer, the share of DAB-positive pixels (optical
density of 0.2 and more) under the locations that are drawn, divided by their share in all crops: 1 is chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restain.crops import Image, draw_crops
from restain.images import list_images, read_rgb
from restain.losses.dab_amount import dab_optical_density
from restain.methods.contrastive_config import ContrastiveConfig
from restain.metrics.stain.dab import POSITIVE_OD
from restain.networks.resnet import ResnetGenerator
from restain.recipes import load_recipe
from restain.sampling import draw_locations
from restain.stainer_files import load_stainer
from restain.tensors import to_tensor
from restain.terms.a2sp import A2sp
from restain.terms.patches import PatchEmbedder

FORMS = {
    "Eq. 1": (),
    "power 4": ("a2sp.power=4",),
    "power 4, layer 0 uniform": ("a2sp.power=4", "a2sp.uniform_layers=[0]"),
    "tissue prior": ("a2sp.tissue_prior=true",),
    "DAB prior": ("a2sp.dab_prior=true",),
}


def main() -> None:
    """Print a row for each form of the attention."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", type=Path, required=True, help="a run or a stainer folder with a ResNet generator")
    parser.add_argument("--ihc", type=Path, required=True, help="folder of real IHC images")
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", help="section.field=value of asp-dgrank")
    arguments = parser.parse_args()
    generator = load_stainer(arguments.stainer).generator
    assert isinstance(generator, ResnetGenerator)
    recipe = load_recipe("asp-dgrank", (*arguments.overrides, f"generator.blocks={generator.spec.blocks}"))
    paths = list_images(arguments.ihc)
    images = [Image(str(path), lambda path=path: read_rgb(path)) for path in paths]  # type: ignore[misc]
    crops = [to_tensor(rgb)[None] for rgb in draw_crops(images, recipe.data.crop, len(images), seed=0)]
    print("| attention | " + " | ".join(f"layer {layer}" for layer in _method(()).patches.layers) + " |")
    for name, overrides in FORMS.items():
        method = _method((*arguments.overrides, *overrides))
        shares = np.mean([_shares(generator, method, crop, seed) for seed, crop in enumerate(crops)], axis=0)
        print(f"| {name} | " + " | ".join(f"{drawn / all_:.2f}" for drawn, all_ in shares) + " |")


def _method(overrides: tuple[str, ...]) -> ContrastiveConfig:
    method = load_recipe("asp-dgrank", overrides).method
    assert isinstance(method, ContrastiveConfig)
    return method


@torch.no_grad()
def _shares(
    generator: ResnetGenerator, method: ContrastiveConfig, crop: Tensor, seed: int
) -> list[tuple[float, float]]:
    """For each layer the positive share under the drawn locations and in the whole crop."""
    embedder = PatchEmbedder(method.patches, torch.nn.Identity())  # type: ignore[arg-type]  # nothing is embedded
    positive = (dab_optical_density(crop) >= POSITIVE_OD).float()
    found = []
    for map_ in A2sp(method.a2sp, embedder).attention(generator.encode(crop, method.patches.layers), crop):
        drawn = draw_locations(map_, method.patches.count, [torch.Generator().manual_seed(seed)])
        border = (map_.shape[1] - crop.shape[2]) // 2
        size = (map_.shape[1], map_.shape[2])
        below = F.pad(positive, (border,) * 4, mode="reflect") if border > 0 else F.adaptive_avg_pool2d(positive, size)
        flat = below.flatten()
        found.append((float(flat[drawn[0]].mean()), float(flat.mean())))
    return found


if __name__ == "__main__":
    main()
