"""How fast the generator runs on this machine, in which form, and what that costs in grey levels.

    python benchmarks/inference.py --stainer RUN --images FOLDER --ngf 64 --size 512 --norm slide --threads 2

Time is taken with a generator of ``--ngf`` and random weights, which convolutions do not notice; difference with the
stainer, against float32 as PyTorch runs it, over the images, in grey levels. The variants run in turns, round after
round, and the least time of each counts, by the clock and of the processor: other work can only add to it.
``--norm slide`` folds the norms into convolutions, as on a whole slide; ``tile`` leaves them, as in ``restain stain``.
Engines that are not installed are left out, and it is said.
"""

from __future__ import annotations

import argparse
import copy
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restain.exporting import export
from restain.files import write_json
from restain.images import RGB, list_images, read_rgb
from restain.inference import prepare
from restain.networks.generator import Generator
from restain.networks.specs import ResnetSpec
from restain.networks.statistics import freeze, measure
from restain.stainer import Stainer, StainerCard
from restain.stainer_files import load_stainer
from restain.tensors import to_tensor

Run = Callable[[Tensor], Tensor]
LAST = torch.channels_last


def plain(network: nn.Module) -> Run:
    return network


def channels_last(network: nn.Module) -> Run:
    laid_out = copy.deepcopy(network).to(memory_format=LAST)
    return lambda x: laid_out(x.contiguous(memory_format=LAST))


def bf16(network: nn.Module) -> Run:
    narrow = copy.deepcopy(network).to(torch.bfloat16)
    return lambda x: narrow(x.to(torch.bfloat16)).float()


def bf16_channels_last(network: nn.Module) -> Run:
    narrow = copy.deepcopy(network).to(torch.bfloat16).to(memory_format=LAST)
    return lambda x: narrow(x.to(torch.bfloat16).contiguous(memory_format=LAST)).float()


def autocast(network: nn.Module) -> Run:
    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(x).float()

    return run


def compiled(network: nn.Module) -> Run:
    return torch.compile(copy.deepcopy(network))


def compiled_bf16(network: nn.Module) -> Run:
    fast = torch.compile(copy.deepcopy(network).to(torch.bfloat16).to(memory_format=LAST))
    return lambda x: fast(x.to(torch.bfloat16).contiguous(memory_format=LAST)).float()


def onnx_runtime(network: nn.Module) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(_onnx(network), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"he": x.numpy()})[0])


def openvino(network: nn.Module, precision: str = "f32") -> Run:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(openvino.Core().read_model(_onnx(network)), "CPU", settings)
    return lambda x: torch.from_numpy(model([x.numpy()])[0].astype(np.float32))


VARIANTS: dict[str, Callable[[nn.Module], Run]] = {
    "float32": plain,
    "float32, channels last": channels_last,
    "bf16 autocast": autocast,
    "bf16": bf16,
    "bf16, channels last": bf16_channels_last,
    "torch.compile": compiled,
    "torch.compile, bf16, channels last": compiled_bf16,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "OpenVINO, bf16": lambda network: openvino(network, "bf16"),
    "restain, 32": lambda network: prepare(network, "32"),
    "restain, bf16": lambda network: prepare(network, "bf16"),
}
NEEDS = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "OpenVINO, bf16": "openvino"}


@cache
def _onnx(network: nn.Module) -> bytes:
    stainer = Stainer(network, StainerCard(None, None, 0, "benchmark", {}), "")
    with tempfile.TemporaryDirectory() as folder:
        return export(stainer, Path(folder) / "network.onnx").path.read_bytes()


def differences(network: nn.Module, run: Run, images: list[RGB]) -> dict[str, float]:
    """Mean, 99.9th percentile and maximum of |run - network| over all images, grey levels before rounding."""
    found = []
    for rgb in images:
        x = to_tensor(rgb)[None]
        found.append(((run(x) - network(x)) * 127.5).flatten())
    error = torch.cat(found)
    size = error.abs()
    return {
        "mean": size.mean().item(),
        "p99.9": float(np.quantile(size.numpy(), 0.999)),
        "max": size.max().item(),
        "bias": error.mean().item(),
    }


def seconds(runs: dict[str, Run], x: Tensor, rounds: int) -> dict[str, tuple[float, float]]:
    """The least time of each, by the clock and of the processor, in turns, after a pass that does not count."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            clock, busy = time.perf_counter(), time.process_time()
            run(x)
            taken = time.perf_counter() - clock, time.process_time() - busy
            if round_:
                best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    return best


def _tissue(size: int) -> RGB:
    rng = np.random.default_rng(0)
    return rng.integers(60, 256, (size, size, 3), dtype=np.uint8)


def _normalised(generator: Generator, norm: str, samples: list[RGB]) -> Generator:
    crops = (to_tensor(sample)[None] for sample in samples)
    return freeze(generator, measure(generator, crops)) if norm == "slide" else generator


def _chosen(wanted: list[str] | None) -> Iterator[str]:
    for name in wanted or VARIANTS:
        if name in NEEDS and find_spec(NEEDS[name]) is None:
            print(f"{name}: {NEEDS[name]} is not installed, left out")
        else:
            yield name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", type=Path, help="a trained one, for the difference")
    parser.add_argument("--images", type=Path, help="H&E images, for the difference; sides multiples of 4")
    parser.add_argument("--count", type=int, default=8, help="how many of them")
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--norm", choices=("slide", "tile"), default="slide")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="all of them by default; float32 always")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = list(_chosen(arguments.variants and list(dict.fromkeys(["float32", *arguments.variants]))))
    rows: dict[str, dict[str, Any]] = {name: {} for name in names}
    with torch.inference_mode():
        if arguments.stainer and arguments.images:
            images = [read_rgb(path).copy() for path in list_images(arguments.images)[: arguments.count]]
            trained = _normalised(load_stainer(arguments.stainer).generator, arguments.norm, images)
            for name in names:
                rows[name] |= differences(trained, VARIANTS[name](trained), images)
        torch.manual_seed(0)
        generator = (
            ResnetSpec(ngf=arguments.ngf, blocks=arguments.blocks, spectral_norm=False)
            .build()
            .eval()
            .requires_grad_(False)
        )
        network = _normalised(generator, arguments.norm, [_tissue(256)])
        runs = {name: VARIANTS[name](network) for name in names}
        least = seconds(runs, to_tensor(_tissue(arguments.size))[None], arguments.rounds)
    for name, (clock, busy) in least.items():
        rows[name] |= {
            "ms": 1000 * clock,
            "cpu ms": 1000 * busy,
            "speedup": least["float32"][0] / clock,
            "cpu speedup": least["float32"][1] / busy,
            "Mpx/s": arguments.size**2 / clock / 1e6,
        }
    _show(arguments, rows)
    if arguments.json:
        versions = {
            name: metadata.version(name) for name in ("torch", "onnxruntime", "openvino") if find_spec(name) is not None
        }
        settings = {name: str(value) for name, value in vars(arguments).items() if name != "json"}
        write_json(arguments.json, {"settings": settings, "versions": versions, "cpu": _cpu(), "rows": rows})


def _cpu() -> str:
    return platform.processor() or platform.machine()


def _show(arguments: argparse.Namespace, rows: dict[str, dict[str, Any]]) -> None:
    words = ("ngf", "blocks", "size", "norm", "threads", "rounds")
    print(", ".join(f"{word} {getattr(arguments, word)}" for word in words), "on", _cpu())
    columns = list(next(iter(rows.values())))
    print(f"{'':36}" + "".join(f"{column:>12}" for column in columns))
    for name, row in rows.items():
        print(f"{name:36}" + "".join(f"{row[column]:12.3f}" for column in columns))


if __name__ == "__main__":
    main()
