"""Published generator weights of CUT and ASP (``latest_net_G.pth``) -> a stainer folder.

Both release the state dict of CUT's ResNet: ``model.N.*``, which is ``layers.N.*`` here, with ``.filt`` buffers for the
blur layers (none where it was trained with --no_antialias and --no_antialias_up) and, in ASP, ``weight_orig``,
``weight_u`` and ``weight_v`` where spectral norm was on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from pydantic import ValidationError
from torch import Tensor

from restain.errors import RestainError, in_short
from restain.files import sha256
from restain.networks.specs import ResnetSpec
from restain.stainer import StainerCard, refuse_nonfinite, save_stainer
from restain.stainer_config import first_problem

Family: TypeAlias = Literal["asp", "cut"]


def import_weights(
    family: Family, weights: str | Path, out: str | Path, *, stain: str | None = None, mpp: float | None = None
) -> Path:
    """Read a published generator and write it as a stainer.

    Args:
        family: whose release it is; they share the network and differ in name and training crop.
        weights: the ``latest_net_G.pth`` file; loaded as plain tensors, never unpickled as code.
        out: the stainer folder to write.
        stain: name of the marker, for the card.
        mpp: microns per pixel of the images that it was trained on (MIST: 0.4661).

    Returns:
        ``out``.

    Raises:
        RestainError: not a plain state dict, or not this network.
    """
    path = Path(weights)
    published = _read_state(path)
    refuse_nonfinite(path, published)
    state = fold_state(published, path)
    generator = find_spec(published, path).build()
    try:
        generator.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RestainError(f"{path}: is not the generator of {family} ({reason})") from None
    card = StainerCard(
        stain=stain,
        mpp=mpp,
        tile_size=256 if family == "cut" else 512,
        recipe=family,
        trained={"imported_from": path.name, "file_sha256": sha256(path)},
    )
    save_stainer(Path(out), generator, card)
    return Path(out)


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RestainError(f"{path}: no such file") from None
    except Exception as error:  # torch raises pickle, zip, key and runtime errors for a foreign file
        raise RestainError(f"{path}: cannot be loaded as plain weights ({in_short(error)})") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RestainError(f"{path}: holds {type(state).__name__}; expected a state dict of tensors")
    return dict(state)


def fold_state(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Rename ``model.N`` to ``layers.N``, fold spectral norms, and drop the blur filters.

    Spectral norm as torch defines it: weight = weight_orig / (u^T W v), W being weight_orig as a matrix with a row for
    each output channel, which are the second axis of a transposed convolution.
    """
    folded: dict[str, Tensor] = {}
    for key, value in state.items():
        name = re.sub(r"^(module\.)?model\.", "layers.", key)
        if name.endswith("weight_orig"):
            stem = key.removesuffix("weight_orig")
            try:
                u, v = state[f"{stem}weight_u"], state[f"{stem}weight_v"]
            except KeyError as error:
                raise RestainError(f"{path}: has {key} but not {error.args[0]}") from None
            rows = value if len(u) == len(value) else value.transpose(0, 1)
            sigma = u @ rows.flatten(1) @ v
            folded[name.removesuffix("_orig")] = value / sigma
        elif not name.endswith((".filt", "weight_u", "weight_v")):
            folded[name] = value
    # A block made with dropout holds its second convolution one place later.
    return {re.sub(r"conv_block\.6\.", "conv_block.5.", name): value for name, value in folded.items()}


def find_spec(state: Mapping[str, Tensor], path: Path) -> ResnetSpec:
    """What network a published state dict is of, read off its keys and the shapes of its weights."""
    names = {re.sub(r"^(module\.)?model\.", "", key): value for key, value in state.items()}
    first = names.get("1.weight", names.get("1.weight_orig"))
    if first is None or first.ndim != 4 or tuple(first.shape[1:]) != (3, 7, 7):
        raise RestainError(f"{path}: has no 7x7 convolution from RGB at model.1; expected CUT's ResNet generator")
    blocks = {int(match[1]) for name in names if (match := re.match(r"(\d+)\.conv_block\.", name))}
    if not blocks:
        raise RestainError(f"{path}: has no residual blocks (keys model.N.conv_block.*)")
    filters = sum(name.endswith(".filt") for name in names)
    if filters not in (0, 4):
        raise RestainError(f"{path}: has {filters} blur filters (keys ending in .filt); expected 4, or none")
    try:
        return ResnetSpec(ngf=len(first), blocks=len(blocks), spectral_norm=False, antialias=filters == 4)
    except ValidationError as error:
        raise RestainError(f"{path}: {first_problem(error)}") from None
