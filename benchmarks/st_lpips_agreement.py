"""ST-LPIPS on real weights: restain's values beside those of the package stlpips-pytorch, for the same pairs.

    pip download --no-deps stlpips-pytorch==0.0.2 && unzip -d PACKAGE stlpips_pytorch-0.0.2-py3-none-any.whl
    restain weights add stlpips_pytorch-0.0.2-py3-none-any.whl
    python benchmarks/st_lpips_agreement.py --package PACKAGE

The package is only imported from its folder. It imports torchvision, IPython and torchsummary, of which both networks
use nothing; where these are missing, empty modules take their place. The pairs are those of ``lpips_agreement.py``.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from lpips_agreement import pairs

from restain.metrics.learned.extractor import PerceptualDistance
from restain.tensors import to_tensor
from restain.weights import find_weights


def package_distance(folder: Path, network: str) -> Any:
    """The package's own module: two tensors (1, 3, H, W) in [-1, 1] -> distance."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    for name in ("torchvision", "IPython", "torchsummary"):
        if name not in sys.modules and find_spec(name) is None:
            stand_in: Any = ModuleType(name)
            stand_in.models = stand_in.embed = stand_in.summary = None
            sys.modules[name] = stand_in
    return import_module("stlpips_pytorch.stlpips").LPIPS(net=network, variant="shift_tolerant", verbose=False)


def main() -> None:
    """Print both values of each pair and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="folder that holds stlpips_pytorch/")
    folder = parser.parse_args().package
    largest = 0.0
    print(f"{'pair':26}{'alex':>12}{'package':>12}{'vgg':>12}{'package':>12}")
    table: dict[str, list[float]] = {}
    for network in ("alex", "vgg"):
        held = find_weights(f"st-lpips-{network}")
        ours, theirs = PerceptualDistance(held, held), package_distance(folder, network)
        for name, image, worse in pairs():
            with torch.no_grad():
                package = float(theirs(to_tensor(image)[None], to_tensor(worse)[None]))
            table.setdefault(name, []).extend((ours(image, worse), package))
    for name, values in table.items():
        largest = max(largest, abs(values[0] - values[1]), abs(values[2] - values[3]))
        print(f"{name:26}" + "".join(f"{value:12.7f}" for value in values))
    print(f"largest difference: {largest:.1e}")


if __name__ == "__main__":
    main()
