"""Stainers as files for other engines, checked against PyTorch before they get their name."""

from __future__ import annotations

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
from restain.networks.batch_norms import batch_norms
from restain.networks.generator import Generator, plain_copy, replace_module
from restain.networks.norms import ChannelScale
from restain.stainer import Norm, Stainer
from restain.stainer_files import load_stainer

if TYPE_CHECKING:
    import onnx

LIMIT = 1.0  # grey levels by which an exported file may differ from PyTorch, at most, anywhere
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_OPSET = 18  # the one that PyTorch's exporter is written for


@dataclass(frozen=True)
class Exported:
    """A written file, and how far its results were from PyTorch's."""

    path: Path
    largest_difference: float  # grey levels


def export(stainer: str | Path | Stainer, out: str | Path, *, to: str = "onnx", norm: Norm | None = None) -> Exported:
    """Write a stainer for another engine.

    The ONNX file takes ``he`` and gives ``ihc``: float32 (N, 3, H, W), RGB as x / 127.5 - 1, of any number and of any
    size from the generator's smallest. Its metadata say what it is.

    Args:
        stainer: a stainer folder, a run folder, or a loaded stainer.
        out: the file, ``.onnx``. It is replaced once the new one has been run by ONNX Runtime, on noise and on colours
            of tissue, and differs from PyTorch by at most a grey level.
        to: ``onnx``.
        norm: ``stainer`` folds the stainer's statistics into the weights, ``image`` normalises each image by itself;
            as ``restain stain`` does it where left out. Batch norms hold averages of the training: ``stainer`` alone.

    Raises:
        RestainError: another target or ending, no usable stainer, a norm that it has no statistics for or that its
            batch norms rule out, packages that are missing, or results that differ.
    """
    path = Path(out)
    if to != "onnx":
        raise RestainError(f"to is {to!r}; expected onnx")
    if path.suffix != ".onnx":
        raise RestainError(f"{path}: ends in {path.suffix or 'nothing'!r}; expected .onnx")
    if path.is_dir():
        raise RestainError(f"{path}: is a folder; expected the name of a file")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise RestainError(f"export to onnx needs {', '.join(missing)}: pip install 'restain[export]'")
    ready = stainer if isinstance(stainer, Stainer) else load_stainer(stainer)
    chosen = norm or ready.default_norm
    if chosen == "image" and batch_norms(ready.generator):
        raise RestainError(
            "norm is 'image', but the batch norms of this stainer hold averages of the training, which no image "
            "replaces; expected 'stainer', or none"
        )
    network = _Portable(ready.network(chosen))
    model = _to_onnx(network, _facts(ready, chosen))
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

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = plain_copy(generator).cpu().float()
        for site in self.generator.norm_sites():  # an operator of ONNX, as ours written out is not
            if not site.joint:
                replace_module(self.generator, site.name, nn.InstanceNorm2d(site.channels))
        for name, layer in list(self.generator.named_modules()):
            if isinstance(layer, nn.BatchNorm2d):
                replace_module(self.generator, name, _fixed(layer))
        self.stride = generator.receptive_field().stride
        self.smallest = generator.smallest
        self.eval()

    def forward(self, he: Tensor) -> Tensor:
        """As the generator's; reflected and cropped by indices, since padding and slicing look at the size."""
        x = he
        for axis in (2, 3):
            side = he.shape[axis]
            index = torch.arange((side + self.stride - 1) // self.stride * self.stride)
            x = x.index_select(axis, torch.where(index < side, index, 2 * (side - 1) - index))
        x = self.generator.paint(x)
        for axis in (2, 3):
            x = x.index_select(axis, torch.arange(he.shape[axis]))
        return x

    def multiple(self, side: int) -> int:
        """A side of at least so many pixels that the stride divides."""
        return -(-side // self.stride) * self.stride


def _fixed(norm: nn.BatchNorm2d) -> ChannelScale:
    """The batch norm in eval mode as a weight and a bias for each channel, which every exporter knows."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = ChannelScale(norm.num_features)
    scale.weight.data = norm.weight.data * torch.rsqrt(norm.running_var + norm.eps)
    scale.bias.data = norm.bias.data - scale.weight.data * norm.running_mean
    return scale


def _facts(stainer: Stainer, norm: Norm) -> dict[str, str]:
    card = stainer.card
    return {
        "restain": metadata.version("restain"),
        "kind": "virtual stain, not a real IHC; research only, not for clinical use",
        "stain": card.stain or "not recorded",
        "mpp": f"{card.mpp:g}" if card.mpp else "not recorded",
        "tile_size": str(card.tile_size),
        "recipe": card.recipe,
        "weights_sha256": stainer.weights_sha256,
        "identity": stainer.identity if norm == "stainer" else stainer.weights_sha256,
        "normalisation": "fixed" if stainer.fixed_with(norm) else "each image by itself",
        "input": f"he: float32 (N, 3, H, W), RGB, x / 127.5 - 1, H and W from {stainer.generator.smallest}",
        "output": "ihc: the same; (y + 1) * 127.5, rounded and clipped to 0..255",
    }


def _to_onnx(network: _Portable, facts: dict[str, str]) -> onnx.ModelProto:
    import onnx

    axes = ("images", "height", "width")
    # A side or a number of 1, in any layer, would be taken for a constant; the file holds for smaller sides too.
    least = max(network.smallest, network.stride + 1)
    rows, columns = (torch.export.Dim(name, min=least) for name in axes[1:])
    free = {0: torch.export.Dim("images"), 2: rows, 3: columns}
    height, width = network.multiple(2 * network.stride + 40) + 2, network.multiple(3 * network.stride + 60) - 1
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, height, width),),
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


def _largest_difference(path: Path, network: _Portable) -> float:
    """Between ONNX Runtime and PyTorch over a few images, in grey levels; NaN where a result is."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = []
    for he in _probes(network):
        with torch.inference_mode():
            expected = network(he).numpy()
        found: Any = session.run(["ihc"], {"he": he.numpy()})[0]
        worst.append(float(np.abs(found - expected).max()) * 127.5)
    return float(np.max(worst))


def _probes(network: _Portable) -> Iterator[Tensor]:
    """Noise, and patches in the colours of glass, stroma, cytoplasm and nuclei, each in three sizes."""
    draw = torch.Generator().manual_seed(0)
    colours = torch.tensor([[242, 241, 243], [231, 178, 205], [201, 135, 178], [98, 64, 137]]) / 127.5 - 1
    even, odd = (network.multiple(64), network.multiple(96)), (network.multiple(128) + 3, network.multiple(72) + 2)
    least = (network.smallest, network.smallest)
    for images, height, width in ((2, *even), (1, *odd), (1, *least)):  # the stride divides the sides of the first
        yield torch.rand(images, 3, height, width, generator=draw) * 2 - 1
        patches = torch.randint(len(colours), (images, -(-height // 8), -(-width // 8)), generator=draw)
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
