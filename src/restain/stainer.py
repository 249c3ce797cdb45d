"""The stainer folder: the product of a training, with its weights, its configuration and its model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from restain.errors import RestainError
from restain.files import sha256, write_json, write_text
from restain.networks.generator import Generator, plain_copy
from restain.networks.specs import ResnetSpec


@dataclass(frozen=True)
class StainerCard:
    """What a stainer says of itself, in ``config.json``."""

    stain: str | None  # name of the marker
    mpp: float | None  # microns per pixel of the images that it was trained on
    tile_size: int  # side of the training crops in pixels
    recipe: str
    trained: Mapping[str, Any]  # how: steps, pairs, data fingerprint, hardware, ...


@dataclass(frozen=True)
class Stainer:
    """A generator that is ready to use, and that knows its identity."""

    generator: nn.Module  # float image tensors (N, 3, H, W) in [-1, 1], in and out; in eval mode
    card: StainerCard
    weights_sha256: str


def save_stainer(folder: Path, generator: Generator, card: StainerCard) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``; replaces ``folder`` whole.

    Args:
        folder: a new or empty folder, or a stainer that is to be replaced.
        generator: in any state; its spectral norms are folded into plain weights in the file. It is left as it is.
        card: what to say of it.

    Raises:
        RestainError: ``folder`` holds something that is not a stainer, which would be lost.
    """
    folder = folder.resolve()
    replaceable = folder.is_dir() and ((folder / "model.safetensors").exists() or not any(folder.iterdir()))
    if folder.exists() and not replaceable:
        raise RestainError(f"{folder}: holds something that is not a stainer; expected a new or an empty folder")
    generator = plain_copy(generator)
    assert isinstance(generator.spec, ResnetSpec)
    aside = folder.with_name(f".{folder.name}-new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    weights = aside / "model.safetensors"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    digest = sha256(weights)
    config = {
        "spec_version": "1.0",
        "restain": metadata.version("restain"),
        "architecture": {"name": "resnet", "ngf": generator.spec.ngf, "blocks": generator.spec.blocks},
        **asdict(card),
        "weights_sha256": digest,
    }
    write_json(aside / "config.json", config)
    write_text(aside / "README.md", _model_card(card, generator, digest))
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)


def load_stainer(path: str | Path, device: str | torch.device = "cpu") -> Stainer:
    """Load a stainer folder, or the one inside a run folder.

    Args:
        path: a folder with ``model.safetensors`` and ``config.json``, or a run folder with ``stainer/`` in it.
        device: where the generator is put.

    Raises:
        RestainError: a file is missing or broken, or the weights are not those that ``config.json`` names.
    """
    folder = Path(path)
    if (folder / "stainer").is_dir():
        folder = folder / "stainer"
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            hint = "; the training run has not finished" if (folder / "checkpoints").is_dir() else ""
            raise RestainError(f"{folder}: has no {name}, so it is not a stainer folder{hint}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shape, expected = config["architecture"], config["weights_sha256"]
        if shape["name"] != "resnet":
            raise ValueError(f"architecture {shape['name']!r}, expected 'resnet'")
        generator = ResnetSpec(ngf=shape["ngf"], blocks=shape["blocks"], spectral_norm=False).build()
        card = StainerCard(**{key: config[key] for key in StainerCard.__dataclass_fields__})
    except (ValueError, KeyError, TypeError, RuntimeError, ArithmeticError) as error:
        raise RestainError(f"{folder / 'config.json'}: is not a stainer's configuration ({error!r})") from None
    found = sha256(folder / "model.safetensors")
    if found != expected:
        raise RestainError(
            f"{folder / 'model.safetensors'}: has SHA-256 {found[:12]}...; config.json expects {expected[:12]}..."
        )
    try:
        generator.load_state_dict(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RestainError(f"{folder / 'model.safetensors'}: does not fit config.json ({reason})") from None
    generator.to(device).eval().requires_grad_(False)
    return Stainer(generator, card, found)


def _model_card(card: StainerCard, generator: Generator, digest: str) -> str:
    assert isinstance(generator.spec, ResnetSpec)
    parameters = sum(p.numel() for p in generator.parameters())
    stain = card.stain or "IHC (marker not recorded)"
    mpp = f"{card.mpp} µm/px" if card.mpp else "not recorded"
    facts = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in card.trained.items())
    return f"""---
library_name: restain
pipeline_tag: image-to-image
tags: [virtual-staining, digital-pathology, histopathology]
---
# Virtual {stain} from H&E

A generator that turns an H&E image into a virtual {stain} image. Its output is **a virtual stain, not a real
immunohistochemistry**; it is a research tool and **not for clinical use**.

| | |
|---|---|
| recipe | {card.recipe} |
| network | ResNet, {generator.spec.blocks} blocks, ngf {generator.spec.ngf}, {parameters:,} parameters |
| resolution | {mpp} |
| training crops | {card.tile_size} px |
| weights SHA-256 | `{digest}` |
| written | {date.today().isoformat()} with restain {metadata.version("restain")} |
{facts}

## Use

```
restain stain --stainer . --input HE_IMAGES --out VIRTUAL_{stain.split()[0].upper()}
```

```python
import restain
stainer = restain.load_stainer(".")
ihc = stainer.generator(he)  # float tensors (N, 3, H, W) in [-1, 1]
```

## Limits

It knows the tissue, scanner, laboratory and resolution of its training images only. Nothing guarantees that a
positive cell here is positive in the tissue. Judge it on your own pairs with `restain evaluate` before you rely on it.
"""
