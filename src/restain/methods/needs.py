"""What a method needs of the data and of other sections, said by its settings. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from restain.networks.specs import GeneratorSpec, ResnetSpec
from restain.sections import Section


@dataclass(frozen=True, kw_only=True)
class DataNeeds:
    """What must be there, or be prepared, before the first step."""

    maps: bool = False  # where DAB is, and how dense nuclei are, for each real IHC: ``Batch.maps``
    labels: tuple[
        str, ...
    ] = ()  # of which each training field must have one: ``Batch.labels``; none where none is needed


class MethodSection(Section):
    """The base of a method's settings."""

    @property
    def needs(self) -> DataNeeds:
        """What must be there, or be prepared."""
        return DataNeeds()


def needs_pairs(paired: bool) -> Iterator[str]:
    """A sentence where the data are not paired."""
    if not paired:
        yield "field data.paired is false; expected true, since this method compares with the real IHC"


def needs_crop(crop: int, least: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each field whose network or term needs a larger crop; ``least``: field and value -> pixels."""
    for field, side in least.items():
        if crop < side:
            yield f"field data.crop is {crop}; {field} needs at least {side} pixels"


def needs_contrastive_layers(generator: GeneratorSpec, layers: Sequence[int]) -> Iterator[str]:
    """A sentence where the generator's encoder lacks one of the layers that are compared."""
    if not isinstance(generator, ResnetSpec):
        yield f"field generator.kind is {generator.kind!r}; expected 'resnet', whose encoder has contrastive layers"
        return
    for layer in layers:
        try:
            generator.contrastive_channels(layer)
        except ValueError as error:
            yield f"field patches.layers: {error}"
