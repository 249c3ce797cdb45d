"""What the training loop needs of a method, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from restain.types import Batch


@dataclass(frozen=True)
class Step:
    """What one half of a training step gives back."""

    loss: Tensor  # scalar; the loop differentiates it
    terms: dict[str, Tensor]  # detached scalars by name, for the log


@dataclass(frozen=True)
class Translation:
    """One pass of the generator over a batch, shared by both halves of a step."""

    fake: Tensor  # virtual IHC, image tensor
    features: list[Tensor]  # the source's features at the contrastive layers, from the same pass
    identity: Tensor | None = None  # the real IHC translated, where the method asks for it
    identity_features: list[Tensor] | None = None


class Method(nn.Module, ABC):
    """Networks and their losses. A method knows no engine, no logger and no file system.

    ``networks`` are saved, optimised and averaged by name: those in ``generator_side`` by the generator's
    optimizer, the others by the discriminator's.
    """

    networks: nn.ModuleDict
    generator_side: ClassVar[tuple[str, ...]] = ("generator",)

    @abstractmethod
    def translate(self, batch: Batch) -> Translation:
        """Run the generator once; call it under no_grad when only the discriminator will look."""

    @abstractmethod
    def discriminator_step(self, batch: Batch, translation: Translation, progress: float) -> Step:
        """Loss of the discriminators; the fake images carry no gradient here. ``progress`` is in [0, 1]."""

    @abstractmethod
    def generator_step(self, batch: Batch, translation: Translation, progress: float) -> Step:
        """Loss of the generator and its helpers; the discriminators' parameters get no gradient here."""

    def observe(self, terms: Mapping[str, Tensor], images: int) -> None:
        """Adapt to a finished step: ``terms`` averaged over all devices, ``images`` shown over all of them."""

    def attention_maps(self, target: Tensor) -> dict[int, Tensor]:
        """For a look at what is attended to: a map (N, h, w) per layer, or nothing where a method has none."""
        return {}

    def parameters_of(self, side: str) -> Iterator[nn.Parameter]:
        """Parameters of the ``generator`` side or of the ``discriminator`` side."""
        for name, network in self.networks.items():
            if (name in self.generator_side) == (side == "generator"):
                yield from network.parameters()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through a network without collecting any for its parameters."""
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
