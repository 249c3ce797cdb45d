"""Released generator weights (``latest_net_G.pth``) -> a stainer folder.

Three layouts are known, all plain state dicts; shapes are read off the file:

- *anti-aliased ResNet* (CUT, ASP, PSPStain): ``model.N.*``, which is ``layers.N.*`` here, with ``.filt`` buffers for
  the blur layers and, in ASP and PSPStain, ``weight_orig``, ``weight_u`` and ``weight_v`` where spectral norm was on.
- *strided ResNet* (CycleGAN; pix2pix as BCI runs it; CUT with --no_antialias): ``model.N.*`` without filters.
- *U-Net* (pix2pix): nested, ``model.model.1.model.3.model...``, a level inside another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import torch
from pydantic import ValidationError
from torch import Tensor

from restain.errors import RestainError, in_short
from restain.files import require_file, sha256
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.stainer import StainerCard
from restain.stainer_config import first_problem
from restain.stainer_files import refuse_nonfinite, save_stainer

Family: TypeAlias = Literal["cyclegan", "pix2pix", "pspstain", "asp", "cut"]
Layout: TypeAlias = Literal["anti-aliased ResNet", "strided ResNet", "U-Net"]

_LAYOUTS: Mapping[Family, tuple[Layout, ...]] = {
    "cyclegan": ("strided ResNet",),
    "pix2pix": ("U-Net", "strided ResNet"),
    "pspstain": ("anti-aliased ResNet",),
    "asp": ("anti-aliased ResNet", "strided ResNet"),
    "cut": ("anti-aliased ResNet", "strided ResNet"),
}
_CROPS: Mapping[Family, int] = {"cyclegan": 256, "pix2pix": 256, "pspstain": 512, "asp": 512, "cut": 256}
_OF_AN_IMAGE = ("running_mean", "running_var", "num_batches_tracked")  # old releases hold them for instance norms, too


def import_weights(
    family: Family, weights: str | Path, out: str | Path, *, stain: str | None = None, mpp: float | None = None
) -> Path:
    """Read a published generator and write it as a stainer.

    Args:
        family: whose release it is: decides the layouts that are expected, the card's name and training crop.
        weights: the ``latest_net_G.pth`` file; loaded as plain tensors, never unpickled as code.
        out: the stainer folder to write.
        stain: name of the marker, for the card.
        mpp: microns per pixel of the images that it was trained on (MIST: 0.4661).

    Returns:
        ``out``.

    Raises:
        RestainError: not a plain state dict, of another layout than this family publishes, or not this network.
    """
    if family not in get_args(Family):
        raise RestainError(f"family is {family!r}; expected one of {', '.join(get_args(Family))}")
    path = Path(weights)
    state_of_file = _read_state(path)
    refuse_nonfinite(path, state_of_file)
    published = {re.sub(r"^(module\.)?model\.", "", key): value for key, value in state_of_file.items()}
    layout = _layout_of(published, path)
    if layout not in _LAYOUTS[family]:
        fitting = ", ".join(name for name, layouts in _LAYOUTS.items() if layout in layouts)
        raise RestainError(
            f"{path}: holds a generator of the layout {layout}; {family} publishes {' or '.join(_LAYOUTS[family])} "
            f"(this layout is read with --from {fitting})"
        )
    spec, state = _unet(published, path) if layout == "U-Net" else _resnet(published, path, layout)
    generator = spec.build()
    try:
        generator.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RestainError(f"{path}: is not the generator of {family} ({reason})") from None
    card = StainerCard(
        stain=stain,
        mpp=mpp,
        tile_size=_CROPS[family],
        recipe=family,
        trained={"imported_from": path.name, "file_sha256": sha256(path)},
    )
    save_stainer(Path(out), generator, card)
    return Path(out)


def _read_state(path: Path) -> dict[str, Tensor]:
    require_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip, key and runtime errors for a foreign file
        # Of a file that holds more than tensors it advises to load it all the same, which would run it as a program;
        # of other files it often says no more than the number of a character.
        readable = isinstance(error, RuntimeError | OSError) and "weights_only" not in str(error)
        unknown = "it is no PyTorch weights file, holds more than tensors, or is damaged"
        reason = in_short(error) if readable else unknown
        raise RestainError(f"{path}: cannot be loaded as plain weights ({reason})") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RestainError(f"{path}: holds {type(state).__name__}; expected a state dict of tensors")
    return dict(state)


def _layout_of(names: Mapping[str, Tensor], path: Path) -> Layout:
    """Which of the known layouts a state dict has, by the names in it."""
    if "model.0.weight" in names and "model.3.weight" in names:
        return "U-Net"
    first = names.get("1.weight", names.get("1.weight_orig"))
    if first is None or first.ndim != 4 or tuple(first.shape[1:]) != (3, 7, 7):
        seen = ", ".join(list(names)[:3]) or "nothing"
        raise RestainError(
            f"{path}: has no 7x7 convolution from RGB at model.1, and no U-Net's layers at model.model; it holds "
            f"{seen}, expected the generator of {', '.join(get_args(Family))}"
        )
    if not any(".conv_block." in name for name in names):
        raise RestainError(f"{path}: has no residual blocks (keys model.N.conv_block.*)")
    filters = sum(name.endswith(".filt") for name in names)
    if filters not in (0, 4):
        raise RestainError(f"{path}: has {filters} blur filters (keys ending in .filt); expected 4, or none")
    return "anti-aliased ResNet" if filters else "strided ResNet"


def _resnet(names: Mapping[str, Tensor], path: Path, layout: Layout) -> tuple[GeneratorSpec, dict[str, Tensor]]:
    """The network, and its state under our names: spectral norms folded, blur filters dropped."""
    folded = _fold_spectral_norms(names, path)
    blocks = {int(match[1]) for name in folded if (match := re.match(r"(\d+)\.conv_block\.", name))}
    batch = "2.weight" in folded
    try:
        spec = ResnetSpec(
            ngf=len(folded["1.weight"]),
            blocks=len(blocks),
            spectral_norm=False,
            norm="batch" if batch else "instance",
            antialias=layout == "anti-aliased ResNet",
        )
    except ValidationError as error:
        raise RestainError(f"{path}: {first_problem(error)}") from None
    # A block made with dropout holds its second convolution, and the norm behind it, one place later.
    second = folded.get(f"{min(blocks)}.conv_block.6.weight")
    late = second is not None and second.ndim == 4
    state = {}
    for name, value in folded.items():
        if late and (match := re.match(r"(\d+\.conv_block\.)([67])(\..*)", name)):
            name = f"{match[1]}{int(match[2]) - 1}{match[3]}"
        state[f"layers.{name}"] = value
    return spec, _norms_as_torch_has_them(state, batch)


def _fold_spectral_norms(names: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Spectral norm as torch defines it: weight = weight_orig / (u^T W v).

    W is weight_orig as a matrix with a row for each output channel: the second axis of a transposed convolution.
    """
    folded: dict[str, Tensor] = {}
    for name, value in names.items():
        if name.endswith("weight_orig"):
            stem = name.removesuffix("weight_orig")
            try:
                u, v = names[f"{stem}weight_u"], names[f"{stem}weight_v"]
            except KeyError as error:
                raise RestainError(f"{path}: has model.{name} but not model.{error.args[0]}") from None
            rows = value if len(u) == len(value) else value.transpose(0, 1)
            folded[f"{stem}weight"] = value / (u @ rows.flatten(1) @ v)
        elif not name.endswith((".filt", "weight_u", "weight_v")):
            folded[name] = value
    return folded


def _unet(names: Mapping[str, Tensor], path: Path) -> tuple[GeneratorSpec, dict[str, Tensor]]:
    """The network, and its state under our names: the nested levels laid out side by side."""
    places = {"model.0.": "downs.0.0.", "model.3.": "ups.0.1."}
    level, prefix = 1, "model.1.model."
    while f"{prefix}1.weight" in names:
        innermost = f"{prefix}3.weight" in names  # in place of a further level: the way back up
        up = 3 if innermost else 5
        places |= {f"{prefix}1.": f"downs.{level}.1.", f"{prefix}{up}.": f"ups.{level}.1."}
        places |= {f"{prefix}{up + 1}.": f"ups.{level}.2."}
        places |= {} if innermost else {f"{prefix}2.": f"downs.{level}.2."}
        level, prefix = level + 1, f"{prefix}3.model."
    batch = "model.1.model.2.weight" in names
    try:
        spec = UnetSpec(ngf=len(names["model.0.weight"]), downs=level, norm="batch" if batch else "instance")
    except ValidationError as error:
        raise RestainError(f"{path}: {first_problem(error)}") from None
    state = {}
    for name, value in names.items():
        stem, dot, last = name.rpartition(".")
        state[places.get(stem + dot, f"model.{stem}{dot}") + last] = value  # a foreign name is refused under its own
    return spec, _norms_as_torch_has_them(state, batch)


def _norms_as_torch_has_them(state: dict[str, Tensor], batch: bool) -> dict[str, Tensor]:
    """Without what old releases hold for instance norms; with the counters that they lack for batch norms."""
    if not batch:
        return {name: value for name, value in state.items() if not name.endswith(_OF_AN_IMAGE)}
    counters = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
        for name in state
        if name.endswith("running_mean")
    }
    return counters | state
