"""What the training loop needs of a method, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from restain.networks.generator import Generator
from restain.schedules import Schedule
from restain.sections import Betas
from restain.types import Batch, mix_seed

Pass = TypeVar("Pass")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One optimizer and its part of a step. Phases are stepped in the order in which a method gives them."""

    name: str  # of its loss in the log
    networks: tuple[str, ...]  # whose parameters it steps; the others are frozen meanwhile
    lr_factor: float = 1.0  # on the recipe's learning rate
    betas: Betas | None = None  # of Adam; None: the recipe's
    weight_decay: float = 0.0
    every: int = 1  # steps
    schedule: Schedule | None = None  # of the learning rate; None: the recipe's


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int  # steps that are done
    total: int
    decay_start: float  # share of the run at which the learning rate starts to decay

    @property
    def fraction(self) -> float:
        """Share of the run that is done, in [0, 1)."""
        return self.step / self.total


@dataclass(frozen=True)
class Step:
    """What one phase of a training step gives back."""

    loss: Tensor  # scalar; the loop differentiates it
    terms: dict[str, Tensor]  # detached scalars by name, for the log
    carried: dict[str, Tensor] = field(default_factory=dict)  # one row per image, for ``after_step``


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """A network that is learned from the training images before the first step, and fixed from then on."""

    network: nn.Module  # none of the method's ``networks``; fixed when this is asked for
    loss: Callable[[Batch], Tensor]  # a batch -> scalar
    steps: int
    lr: float  # of Adam
    settings: Mapping[str, Any]  # plain values that decide what is learned, beside the data: the key of its cache


class Method(nn.Module, ABC, Generic[Pass]):
    """Networks and their losses. A method knows no engine, no logger and no file system.

    ``networks`` are saved, optimised and averaged by name; each belongs to exactly one of the ``phases``. What is
    ``pretrained`` is saved, too, but no phase steps it.
    """

    networks: nn.ModuleDict
    phases: Sequence[Phase]
    pretrained: Pretraining | None = None

    @abstractmethod
    def forward_pass(self, batch: Batch) -> Pass:
        """What the phases of a step share, such as the translated images. At most one of them differentiates it."""

    @abstractmethod
    def loss(self, phase: Phase, batch: Batch, shared: Pass, progress: Progress) -> Step:
        """Loss of a phase. The parameters of other phases' networks collect no gradient meanwhile."""

    @abstractmethod
    def stainer(self) -> Generator:
        """The network that is being learned for its own sake: the same object at each call."""

    def after_step(
        self, terms: Mapping[str, Tensor], carried: Mapping[str, Tensor], images: int, progress: Progress
    ) -> None:
        """Adapt to a finished step.

        Args:
            terms: means over all images and processes.
            carried: what the phases' steps carried, the rows of all images of all processes, in one order everywhere.
            images: how many were shown.
            progress: as the step's losses got it.
        """

    def pictures(self, batch: Batch) -> Mapping[str, Tensor]:
        """What is worth a look at the end: maps (N, h, w), white where largest, by the name of their file."""
        return {}

    def train(self, mode: bool = True) -> Self:
        """As usual, but a pretrained network stays as it is applied."""
        super().train(mode)
        if self.pretrained is not None:
            self.pretrained.network.eval()
        return self

    def parameters_of(self, phase: Phase) -> Iterator[nn.Parameter]:
        """Parameters that a phase steps, each once where networks share some."""
        yield from nn.ModuleList(self.networks[name] for name in phase.networks).parameters()

    @contextmanager
    def only(self, phase: Phase) -> Iterator[None]:
        """Let gradients pass through the networks of other phases without collecting any for their parameters."""
        others = [
            parameter
            for name, network in self.networks.items()
            if name not in phase.networks
            for parameter in network.parameters()
            if parameter.requires_grad
        ]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)


def seeded(seed: int, name: str, build: Callable[[], Network]) -> Network:
    """Build a network whose initial weights follow from the seed and its name, whatever else is built."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(seed, name))
        return build()


def without_graph(shared: Any) -> Any:
    """What a forward pass gave (a tensor, or a dataclass or list of such), cut off from its graph."""
    if isinstance(shared, Tensor):
        return shared.detach()
    if isinstance(shared, list):
        return [without_graph(part) for part in shared]
    if is_dataclass(shared) and not isinstance(shared, type):
        return replace(shared, **{part.name: without_graph(getattr(shared, part.name)) for part in fields(shared)})
    return shared


def has_graph(shared: Any) -> bool:
    """Whether a gradient can flow through what a forward pass gave."""
    if isinstance(shared, Tensor):
        return shared.requires_grad
    if isinstance(shared, list):
        return any(map(has_graph, shared))
    return is_dataclass(shared) and any(has_graph(getattr(shared, part.name)) for part in fields(shared))


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The terms without their graphs, for the log."""
    return {name: value.detach() for name, value in terms.items()}
