"""Stainers as files for other engines, checked against PyTorch before they get their name."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.errors import RestainError
from restain.files import write_aside
from restain.networks.generator import replace_module
from restain.networks.resnet import ResnetGenerator
from restain.stainer import Stainer, load_stainer

if TYPE_CHECKING:
    import onnx

LIMIT = 1.0  # grey levels by which an exported file may differ from PyTorch, at most, anywhere
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_OPSET = 18  # the one that PyTorch's exporter is written for
_SIZES = ((2, 64, 96), (1, 131, 74))  # images, height, width; 4 divides the sides of the first only


@dataclass(frozen=True)
class Exported:
    """A written file, and how far its results were from PyTorch's."""

    path: Path
    largest_difference: float  # grey levels


def export(stainer: str | Path | Stainer, out: str | Path, to: str = "onnx") -> Exported:
    """Write a stainer for another engine.

    The ONNX file takes ``he`` and gives ``ihc``: float32 (N, 3, H, W), RGB as x / 127.5 - 1, of any number and of any
    size from 16 pixels. Its metadata say what it is. Each image is normalised by itself, as ``restain stain`` does it.

    Args:
        stainer: a stainer folder, a run folder, or a loaded stainer.
        out: the file, ``.onnx``. It is replaced once the new one has been run by ONNX Runtime, on noise and on colours
            of tissue, and differs from PyTorch by at most a grey level.
        to: ``onnx``.

    Raises:
        RestainError: another target or ending, no usable stainer, packages that are missing, or results that differ.
    """
    path = Path(out)
    if to != "onnx":
        raise RestainError(f"to is {to!r}; expected onnx")
    if path.suffix != ".onnx":
        raise RestainError(f"{path}: ends in {path.suffix or 'nothing'!r}; expected .onnx")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise RestainError(f"export to onnx needs {', '.join(missing)}: pip install 'restain[export]'")
    ready = stainer if isinstance(stainer, Stainer) else load_stainer(stainer)
    network = _Portable(ready.generator)
    model = _to_onnx(network, _facts(ready))
    import onnx

    with write_aside(path) as temporary:
        onnx.save(model, temporary)
        difference = _largest_difference(temporary, network)
        if not difference <= LIMIT:
            raise RestainError(
                f"{path}: ONNX Runtime's result differs from PyTorch's by {difference:.2f} grey levels; expected at "
                f"most {LIMIT:g}, so nothing was written"
            )
    return Exported(path, difference)


class _Portable(nn.Module):
    """The generator without a branch on the size of its input: what one trace cannot hold."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        if not isinstance(generator, ResnetGenerator):
            raise TypeError(f"only a ResnetGenerator can be exported, not a {type(generator).__name__}")
        self.layers = copy.deepcopy(generator.layers).cpu().float()
        for site in generator.norm_sites():  # an operator of ONNX, as ours written out is not
            replace_module(self, site.name, nn.InstanceNorm2d(site.channels))
        self.eval().requires_grad_(False)

    def forward(self, he: Tensor) -> Tensor:
        height, width = he.shape[-2:]
        x = F.pad(he, (0, -width % 4, 0, -height % 4), mode="reflect")
        for layer in self.layers:
            x = layer(x)
        return x[..., :height, :width]


def _facts(stainer: Stainer) -> dict[str, str]:
    card = stainer.card
    return {
        "restain": metadata.version("restain"),
        "kind": "virtual stain, not a real IHC; research only, not for clinical use",
        "stain": card.stain or "not recorded",
        "mpp": f"{card.mpp:g}" if card.mpp else "not recorded",
        "tile_size": str(card.tile_size),
        "recipe": card.recipe,
        "weights_sha256": stainer.weights_sha256,
        "input": "he: float32 (N, 3, H, W), RGB, x / 127.5 - 1, H and W from 16",
        "output": "ihc: the same; (y + 1) * 127.5, rounded and clipped to 0..255",
    }


def _to_onnx(network: nn.Module, facts: dict[str, str]) -> onnx.ModelProto:
    import onnx

    axes = ("images", "height", "width")
    free = {0: torch.export.Dim("images"), 2: torch.export.Dim("height", min=16), 3: torch.export.Dim("width", min=16)}
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, 50, 71),),  # a side or a number of 1 would be taken for a constant
            dynamo=True,
            dynamic_shapes={"he": free},
            input_names=["he"],
            output_names=["ihc"],
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None  # as it is asked for without a file
    model: onnx.ModelProto = program.model_proto
    for axis, name in zip((0, 2, 3), axes, strict=True):  # a trace calls them by formulas
        model.graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.ClearField("metadata_props")  # stack traces, with the paths of this machine
    onnx.helper.set_model_props(model, facts)
    model.doc_string = facts["kind"]
    model.producer_name = "restain"
    return model


def _largest_difference(path: Path, network: nn.Module) -> float:
    """Between ONNX Runtime and PyTorch over a few images, in grey levels; NaN where a result is."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = []
    for he in _probes():
        with torch.inference_mode():
            expected = network(he).numpy()
        found: Any = session.run(["ihc"], {"he": he.numpy()})[0]
        worst.append(float(np.abs(found - expected).max()) * 127.5)
    return float(np.max(worst))


def _probes() -> Iterator[Tensor]:
    """Noise, and patches in the colours of glass, stroma, cytoplasm and nuclei, each in two sizes."""
    draw = torch.Generator().manual_seed(0)
    colours = torch.tensor([[242, 241, 243], [231, 178, 205], [201, 135, 178], [98, 64, 137]]) / 127.5 - 1
    for images, height, width in _SIZES:
        yield torch.rand(images, 3, height, width, generator=draw) * 2 - 1
        patches = torch.randint(len(colours), (images, height // 8, width // 8), generator=draw)
        tissue = colours[patches].permute(0, 3, 1, 2)
        yield F.interpolate(tissue, (height, width), mode="bilinear", align_corners=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of operators of other packages and of its own deprecations; none of it is the user's."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
