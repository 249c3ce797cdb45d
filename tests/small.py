"""A small paired data set, and overrides with which a training step takes milliseconds."""

from pathlib import Path

import numpy as np

from restain.images import write_png

FAST = (
    "generator.ngf=4",
    "generator.blocks=5",
    "discriminator.ndf=4",
    "discriminator.layers=2",
    "patches.count=12",
    "patches.dim=8",
    "data.crop=40",
    "optim.epochs=2",
    "optim.decay_epochs=1",
    "log.every=2",
    "log.checkpoint=4",
    "log.trackers=[]",
    "validation.crops=2",
)


def write_pairs(root: Path, train: int = 6, val: int = 2, size: int = 48, seed: int = 0) -> Path:
    """A data set in MIST's layout of blurred noise; the IHC is the H&E with its colours swapped."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for index in range(count):
            coarse = rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
            source = coarse.repeat(8, axis=0).repeat(8, axis=1)
            write_png(root / f"{split}A" / f"s{index}_0_{index}.png", source)
            write_png(root / f"{split}B" / f"s{index}_0_{index}.png", 255 - source[..., ::-1] // 2)
    return root


# Narrow networks on small crops, by the kind of generator and by the method.
SMALL_NETWORKS = {
    "resnet": ("generator.ngf=4", "generator.blocks=5", "data.crop=40"),
    "unet": ("generator.ngf=4", "generator.downs=3", "data.crop=40"),
    "autoencoder": ("generator.ngf=4", "generator.blocks=1", "data.crop=40"),
    "denoiser": (
        "generator.ngf=4",
        "generator.blocks=1",
        "generator.steps=2",
        "generator.style=8",
        "generator.latent=4",
        "data.crop=40",
    ),
    "diffusive": ("discriminator.ndf=4", "discriminator.layers=2", "translator.ngf=4", "translator.blocks=1"),
    "decoupled": (
        "discriminator.ndf=4",
        "discriminator.layers=2",
        "patches.count=12",
        "patches.dim=8",
        "alignment.queue=20",
    ),
    "contrastive": ("discriminator.ndf=4", "discriminator.layers=2", "patches.count=12", "patches.dim=8"),
    "conditional": ("discriminator.ndf=4", "discriminator.layers=2"),
    "cycle": (
        "discriminator.ndf=4",
        "discriminator.layers=2",
        "cycle.pool=3",
        "confusion.slots=3",
        "classifier.width=4",
        "pathology.steps=2",
    ),
    "registered": ("discriminator.ndf=4", "discriminator.layers=2", "registration.downs=3", "registration.width=4"),
    "latent": ("discriminator.ndf=4", "discriminator.layers=2"),
    "guided": ("discriminator.ndf=4", "discriminator.layers=2", "discriminator.scales=2", "estimator.width=4"),
    "semantic": (
        "discriminator.ndf=4",
        "discriminator.layers=2",
        "patches.count=12",
        "patches.dim=8",
        "segmenter.width=4",
        "prototypes.steps=2",
        "structure.scales=2",
    ),
}
SHORT_RUN = (
    "optim.steps=6",
    "log.every=2",
    "log.checkpoint=2",
    "log.samples=6",
    "log.trackers=[]",
    "validation.every=3",
    "validation.crops=2",
    "engine.workers=0",
)
