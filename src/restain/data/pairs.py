"""Training images: what a sample holds follows from its key alone, so a resumed run sees the same images.

The sampler hands out keys (which image, which seed); the data sets keep no state. An epoch visits every image
at least once, and the images of an optimizer step do not depend on how the step is divided over processes and
micro-batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from restain.data.records import ImageRef, Manifest, Record
from restain.data.transforms import Jitter, check_crop, draw_crop, rescale, scaled_size
from restain.errors import RestainError
from restain.images import RGB, read_rgb
from restain.tensors import to_tensor
from restain.types import Batch, mix_seed

NO_JITTER = Jitter()
MAP_BANDS = ("dab", "nuclei")  # the maps of a field are the first bands of one picture


def map_path(folder: Path, name: str) -> Path:
    """Where the maps of a field lie: an RGB PNG of the IHC's size, 255 for 1, see ``MAP_BANDS``."""
    return folder / f"{name}.png"


@dataclass(frozen=True)
class SampleKey:
    """What a sampler yields: the record's index, and the seed of everything random about this visit to it."""

    index: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """One image of a batch: float32 (3, crop, crop) in [-1, 1] on both sides."""

    source: torch.Tensor
    target: torch.Tensor
    id: str
    seed: int
    maps: Mapping[str, torch.Tensor] = field(default_factory=dict)  # float32 (1, crop, crop) in [0, 1]
    weight: float = 1.0  # how much the pair counts where its two sides are compared
    label: str = ""  # of the H&E; see ``Record``
    target_label: str = ""  # of the IHC


class PairedImages(Dataset[Sample]):
    """H&E and IHC of the same field of view under the same crop and flip.

    Args:
        records: pairs.
        crop, flip, turns, scale, jitter, maps: see ``training_images``.
        weighted: whether samples carry the weights of their records.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        crop: int,
        flip: bool,
        turns: bool = False,
        scale: float = 1.0,
        jitter: Jitter = NO_JITTER,
        maps: Path | None = None,
        weighted: bool = True,
    ) -> None:
        self.maps, self.turns = maps, turns
        self.pairs = [(record.id, _side(record, "source"), _side(record, "target")) for record in records]
        self.weights = [record.weight if weighted else 1.0 for record in records]
        self.labels = [record.label for record in records]
        if not self.pairs:
            raise RestainError("no H&E/IHC pairs to train on; paired training needs both sides of a name")
        self.crop, self.flip, self.scale, self.jitter = crop, flip, scale, jitter

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def he(self) -> list[ImageRef]:
        """The H&E that is trained on."""
        return [source for _, source, _ in self.pairs]

    def __getitem__(self, key: SampleKey) -> Sample:
        name, source, target = self.pairs[key.index]
        he, ihc = source.read(), target.read()
        if he.shape != ihc.shape:
            sizes = " and ".join(f"{height} x {width}" for height, width, _ in (he.shape, ihc.shape))
            raise RestainError(f"{source} and {target}: are {sizes} pixels; a pair must have one size")
        he, ihc = rescale(he, self.scale), rescale(ihc, self.scale)
        check_crop(he.shape[:2], self.crop, str(source))
        window = draw_crop(he.shape[:2], self.crop, self.flip, _random(key.seed, 0), turns=self.turns)
        he = self.jitter.apply(window.apply(he), _random(key.seed, 2))
        maps = {}
        if self.maps is not None:
            values = window.apply(rescale(read_rgb(map_path(self.maps, name)), self.scale))
            maps = {title: (to_tensor(values)[[band]] + 1) / 2 for band, title in enumerate(MAP_BANDS)}
        weight, label = self.weights[key.index], self.labels[key.index]
        return Sample(to_tensor(he), to_tensor(window.apply(ihc)), name, key.seed, maps, weight, label, label)


class UnpairedImages(Dataset[Sample]):
    """An H&E image with an independently drawn IHC image; the index runs over the H&E images."""

    def __init__(
        self,
        sources: Sequence[Record],
        targets: Sequence[Record],
        *,
        crop: int,
        flip: bool,
        turns: bool = False,
        scale: float = 1.0,
        jitter: Jitter = NO_JITTER,
    ) -> None:
        self.sources = [(record.id, _side(record, "source")) for record in sources]
        self.targets = [_side(record, "target") for record in targets]
        self.labels = [record.label for record in sources]
        self.target_labels = [record.label for record in targets]
        if not self.sources or not self.targets:
            missing = "H&E" if not self.sources else "IHC"
            raise RestainError(f"no {missing} images to train on; unpaired training needs both stains")
        self.crop, self.flip, self.turns, self.scale, self.jitter = crop, flip, turns, scale, jitter

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def he(self) -> list[ImageRef]:
        """The H&E that is trained on."""
        return [source for _, source in self.sources]

    def __getitem__(self, key: SampleKey) -> Sample:
        name, source = self.sources[key.index]
        rng = _random(key.seed, 1)
        drawn = int(rng.integers(0, len(self.targets)))
        target = self.targets[drawn]
        he = self.jitter.apply(self._crop(source, _random(key.seed, 0)), _random(key.seed, 2))
        return Sample(
            to_tensor(he),
            to_tensor(self._crop(target, rng)),
            name,
            key.seed,
            label=self.labels[key.index],
            target_label=self.target_labels[drawn],
        )

    def _crop(self, image: ImageRef, rng: np.random.Generator) -> RGB:
        rgb = rescale(image.read(), self.scale)
        check_crop(rgb.shape[:2], self.crop, str(image))
        return draw_crop(rgb.shape[:2], self.crop, self.flip, rng, turns=self.turns).apply(rgb)


def training_images(
    manifest: Manifest,
    *,
    paired: bool,
    crop: int,
    flip: bool,
    turns: bool = False,
    scale: float = 1.0,
    jitter: Jitter = NO_JITTER,
    maps: Path | None = None,
    weighted: bool = True,
    min_weight: float = 0.0,
) -> PairedImages | UnpairedImages:
    """The training split as a data set, after a look at every header: an image too small is found now, not later.

    Args:
        manifest: see ``restain.data.layouts``.
        paired: whether H&E and IHC of a field are drawn together.
        crop: side of a crop, pixels.
        flip: whether half of the crops are mirrored.
        turns: whether crops are turned by 0 to 3 quarters.
        scale: enlargement of each image before the crop.
        jitter: how much the colours of the H&E vary.
        maps: folder of the maps of each field (see ``map_path``), for paired training; None where there are none.
        weighted: paired training: whether samples carry the weights of the manifest.
        min_weight: paired training: pairs of less weight are left out.

    Raises:
        RestainError: no image is left, or one is too small or cannot be read.
    """
    images: PairedImages | UnpairedImages
    if paired:
        records = trusted_pairs(manifest, min_weight)
        images = PairedImages(
            records, crop=crop, flip=flip, turns=turns, scale=scale, jitter=jitter, maps=maps, weighted=weighted
        )
    else:
        sources, targets = manifest.sources("train"), manifest.targets("train")
        records = sources + targets
        images = UnpairedImages(sources, targets, crop=crop, flip=flip, turns=turns, scale=scale, jitter=jitter)
    for image in {ref for record in records for ref in (record.source, record.target) if ref is not None}:
        height, width = image.size()
        check_crop(scaled_size((height, width), scale), crop, str(image))
    return images


def require_labels(manifest: Manifest, names: Sequence[str]) -> None:
    """Refuse training images without a label, or with another one, before any of them is read.

    Raises:
        RestainError: names the first image, and what its label is.
    """
    for record in (record for record in manifest.records if record.split == "train"):
        if record.label not in names:
            found = f"the label {record.label!r}" if record.label else "no label"
            raise RestainError(
                f"{manifest.root}: the field {record.id} has {found}; "
                f"expected {' or '.join(names)} for each training field, in the column label of a manifest.csv"
            )


def trusted_pairs(manifest: Manifest, min_weight: float) -> list[Record]:
    """The training pairs of at least this weight.

    Raises:
        RestainError: there are pairs, and all have less.
    """
    pairs = manifest.pairs("train")
    kept = [record for record in pairs if record.weight >= min_weight]
    if pairs and not kept:
        largest = max(record.weight for record in pairs)
        raise RestainError(
            f"field data.min_weight is {min_weight:g}, and no training pair of {manifest.root} has that weight; "
            f"expected at most {largest:g}"
        )
    return kept


class EpochSampler(Sampler[list[SampleKey]]):
    """The micro-batches of one process in one epoch, in the order in which they are trained on.

    One permutation per (seed, epoch). An optimizer step takes ``batch * accumulate * world`` consecutive
    places of it, so two processes with one image each, one with two, and two accumulated micro-batches
    of one see the same images with the same seeds in the same step. The last step is filled up from the start
    of the permutation, with fresh seeds.

    Args:
        length: number of records.
        batch: images per process and micro-batch.
        seed: the run's seed.
        epoch: counted from 0.
        rank: this process; ``world``: how many there are.
        accumulate: micro-batches per optimizer step.
        start_step: optimizer steps of this epoch that are already done (exact resume).
    """

    def __init__(
        self,
        length: int,
        batch: int,
        seed: int,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        start_step: int = 0,
    ) -> None:
        self.length, self.batch, self.seed, self.epoch = length, batch, seed, epoch
        self.rank, self.world, self.accumulate, self.start_step = rank, world, accumulate, start_step

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in a whole epoch, wherever this sampler starts."""
        return -(-self.length // (self.batch * self.accumulate * self.world))

    def __len__(self) -> int:
        return (self.steps_per_epoch - self.start_step) * self.accumulate

    def __iter__(self) -> Iterator[list[SampleKey]]:
        order = np.random.default_rng(mix_seed(self.seed, self.epoch)).permutation(self.length)
        for micro in range(self.start_step * self.accumulate, self.steps_per_epoch * self.accumulate):
            first = (micro * self.world + self.rank) * self.batch
            yield [
                SampleKey(int(order[place % self.length]), mix_seed(self.seed, self.epoch, place))
                for place in range(first, first + self.batch)
            ]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch of image tensors (N, 3, crop, crop)."""
    weights = torch.tensor([sample.weight for sample in samples])
    return Batch(
        source=torch.stack([sample.source for sample in samples]),
        target=torch.stack([sample.target for sample in samples]),
        ids=tuple(sample.id for sample in samples),
        seeds=tuple(sample.seed for sample in samples),
        labels=tuple(sample.label for sample in samples),
        target_labels=tuple(sample.target_label for sample in samples),
        maps={name: torch.stack([sample.maps[name] for sample in samples]) for name in samples[0].maps},
        weights=None if (weights == 1).all() else weights,
    )


def _random(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(mix_seed(seed, purpose))


def _side(record: Record, side: str) -> ImageRef:
    image: ImageRef | None = getattr(record, side)
    if image is None:
        raise RestainError(f"{record.id}: has no {side} image in split {record.split!r}")
    return image
