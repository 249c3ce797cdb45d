"""The processes of a run, and what they exchange."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restain.errors import RestainError
from restain.recipes import Recipe
from restain.tensors import check_devices, find_device


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a run takes place; under torchrun or SLURM, give the same counts to both."""

    device: str = "auto"  # auto, cpu or cuda
    devices: int = 1  # processes on each node, one per GPU
    nodes: int = 1


def launch(recipe: Recipe, machine: Machine) -> Fabric:
    """Start the processes of a run.

    Raises:
        RestainError: a device that is not there, or counts that do not fit.
    """
    device = find_device(machine.device)
    check_devices(machine.devices, device)
    if machine.nodes < 1:
        raise RestainError(f"nodes is {machine.nodes}; expected at least 1")
    started = os.environ.get("WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None
    if started is not None and int(started) != machine.devices * machine.nodes:
        # Each process would take itself for the only one, and all would write into one run folder.
        raise RestainError(
            f"torchrun started {started} processes, but devices is {machine.devices} and nodes {machine.nodes}; "
            "give the same counts to both"
        )
    fabric = Fabric(
        accelerator=device,
        devices=machine.devices,
        num_nodes=machine.nodes,
        strategy="ddp" if machine.devices * machine.nodes > 1 else "auto",
        precision="bf16-mixed" if recipe.engine.precision == "bf16" else "32-true",
    )
    fabric.launch()
    torch.backends.cudnn.benchmark = True  # crops have one size
    return fabric


class Processes:
    """What the processes of a run exchange; with one process, nothing."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.count, self.rank = fabric.world_size, fabric.global_rank
        # Flags go through the hosts' memory: a look at them must not wait for the GPUs.
        self._hosts = torch.distributed.new_group(backend="gloo") if self.count > 1 else None

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over all processes."""
        return cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="mean")) if self.count > 1 else tensor

    def rows(self, tensor: Tensor) -> Tensor:
        """The rows of all processes, (N, ...) -> (count * N, ...), in the order of the processes."""
        if self.count == 1:
            return tensor
        return cast(Tensor, self._fabric.all_gather(tensor)).flatten(0, 1)

    def largest(self, flag: int) -> int:
        """The largest of a small number that each process gives."""
        if self._hosts is None:
            return flag
        shared = torch.tensor(flag)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX, self._hosts)
        return int(shared)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        # Plain averaging in place of a DistributedDataParallel wrapper: several passes of one network in a step
        # and half of the networks frozen in turn are what such wrappers handle badly.
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def broadcast(self, module: nn.Module) -> None:
        """Give every process the weights and buffers of the first."""
        if self.count > 1:
            with torch.no_grad():
                for tensor in (*module.parameters(), *module.buffers()):
                    torch.distributed.broadcast(tensor, src=0)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self._fabric.barrier()

    def leave(self) -> None:
        """Leave together: a process that goes first takes the connections of the others with it."""
        if self.count > 1:
            self._fabric.barrier()
            torch.distributed.destroy_process_group()
