"""How a network runs when it only stains: the precision and the memory layout that are fastest on its device.

Measured by ``benchmarks/inference.py``; docs/performance.md says what else was tried.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from restain.errors import RestainError

Precision: TypeAlias = Literal["32", "bf16"]


def find_precision(name: str, device: str | torch.device) -> Precision:
    """``auto``, ``32`` or ``bf16`` -> ``32`` or ``bf16``; auto takes bf16 where the device multiplies it natively.

    It goes by what the device says of itself, not by a stopwatch, so that the same machine always decides the same.
    On a CPU that is AVX512-BF16 or AMX-BF16; an older PyTorch does not tell, and auto is 32 there.

    Raises:
        RestainError: another name.
    """
    if name == "32" or name == "bf16":
        return "bf16" if name == "bf16" else "32"
    if name != "auto":
        raise RestainError(f"precision is {name!r}; expected auto, 32 or bf16")
    if torch.device(device).type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif torch.device(device).type == "mps":  # not measured
        native = False
    else:
        features: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        native = any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16" if native else "32"


def prepare(network: nn.Module, precision: str = "auto") -> Callable[[Tensor], Tensor]:
    """A network as it is run: the same function, to rounding, and faster.

    - Feature maps are laid out channels last, which convolutions want on both kinds of device.
    - Rectifiers write over their input, which nobody else reads.
    - With bf16, convolutions, transposed ones too, take and give it. Their sums are float32 inside, so are a norm's
      statistics, and so is the last activation, since bf16 has only half a grey level near white.

    The result is the same bit by bit each time, for the same batch, on the same machine and number of threads.

    Args:
        network: a generator, as it is or with its norms replaced, in eval mode, on its device. It is left as it is.
        precision: ``auto``, ``32`` or ``bf16``, see ``find_precision``.

    Returns:
        float32 (N, 3, H, W) in [-1, 1], on any device -> the same, on the network's.

    Raises:
        RestainError: another precision.
    """
    device = next(network.parameters()).device
    chosen = find_precision(precision, device)
    prepared = copy.deepcopy(network).requires_grad_(False)
    for module in prepared.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    if chosen == "bf16":
        _narrow_convolutions(prepared)
    prepared = prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(x: Tensor) -> Tensor:
        with torch.inference_mode():
            image: Tensor = prepared(x.to(device).contiguous(memory_format=torch.channels_last))
            return image.contiguous()

    return run


def _narrow_convolutions(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_to_bf16)
        elif isinstance(module, nn.Tanh):
            module.register_forward_pre_hook(_to_float32)


def _to_bf16(_: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
    x: Tensor = inputs[0]
    return x.to(torch.bfloat16)


def _to_float32(_: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
    x: Tensor = inputs[0]
    return x.float()
