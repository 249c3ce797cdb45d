"""One Adam per phase with its learning rate, and the moving average of the stainer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from restain.errors import RestainError
from restain.methods.base import Method, Phase, Progress
from restain.networks.generator import Generator
from restain.recipes.common import OptimConfig
from restain.training.distributed import Processes


class Optimizers:
    """The optimizers of a method's phases, in their order."""

    def __init__(self, method: Method[Any], config: OptimConfig, processes: Processes) -> None:
        self._method, self._config, self._processes = method, config, processes
        self.adams = {
            phase.name: torch.optim.Adam(
                method.parameters_of(phase),
                config.lr * phase.lr_factor,
                phase.betas or config.betas,
                weight_decay=phase.weight_decay,
                fused=True,
            )
            for phase in method.phases
        }
        self._looked_at: set[str] = set()  # phases whose gradients were seen to reach every parameter

    def set_rates(self, progress: Progress) -> float:
        """Set the learning rate of every phase for this step.

        Returns:
            the recipe's own rate, before the factors of the phases.
        """
        usual = self._config.schedule.factor(progress.fraction, progress.decay_start)
        for phase in self._method.phases:
            schedule = phase.schedule
            factor = usual if schedule is None else schedule.factor(progress.fraction, progress.decay_start)
            for group in self.adams[phase.name].param_groups:
                group["lr"] = self._config.lr * phase.lr_factor * factor
        return self._config.lr * usual

    def step(self, phase: Phase) -> None:
        """Average, clip and apply the gradients of a phase, then drop them.

        Raises:
            RestainError: at the first step of the phase, a parameter that got no gradient.
        """
        if phase.name not in self._looked_at:
            self._refuse_missing_gradients(phase)
            self._looked_at.add(phase.name)
        parameters = [p for p in self._method.parameters_of(phase) if p.grad is not None]
        if self._processes.count > 1:
            self._processes.average_gradients(parameters)
        if self._config.clip is not None:
            nn.utils.clip_grad_norm_(parameters, self._config.clip)
        self.adams[phase.name].step()
        self.adams[phase.name].zero_grad(set_to_none=True)

    def _refuse_missing_gradients(self, phase: Phase) -> None:
        missing = [
            f"{network}.{name}"
            for network in phase.networks
            for name, parameter in self._method.networks[network].named_parameters()
            if parameter.grad is None
        ]
        if missing:
            raise RestainError(
                f"phase {phase.name}: {len(missing)} parameters got no gradient at the first step, such as "
                f"{missing[0]}; expected one for each, or they would never be trained"
            )

    def state_dict(self) -> dict[str, Any]:
        """The state of each optimizer by the name of its phase."""
        return {name: adam.state_dict() for name, adam in self.adams.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        for name, adam in self.adams.items():
            adam.load_state_dict(state[name])


def moving_average(stainer: Generator, decay: float) -> AveragedModel:
    """An exponential moving average of a stainer's weights; its buffers follow those of the stainer."""
    return AveragedModel(stainer, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
