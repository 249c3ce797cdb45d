"""Stainers, imported weights, trainings, evaluations and slides; ``off`` is taken away where a case holds."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus.registry import Bad, case
from small import FAST, write_pairs

from restain.images import write_png

RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def write_stainer(folder: Path) -> Path:
    import torch

    from restain.networks.specs import ResnetSpec
    from restain.stainer import StainerCard
    from restain.stainer_files import save_stainer

    torch.manual_seed(0)
    made = folder / "stainer"
    network = ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build()
    save_stainer(made, network, StainerCard(stain="ER", mpp=0.5, tile_size=64, recipe="tiny", trained={}))
    return made


def _stain(folder: Path) -> list[str]:
    write_png(folder / "he.png", RGB)
    return ["stain", "--stainer", "stainer", "--input", "he.png", "--out", "out", "--device", "cpu"]


FIELDS: dict[str, tuple[str, Any]] = {
    "hash-number": ("weights_sha256", 7),
    "hash-of-others": ("weights_sha256", "0" * 64),
    "mpp-list": ("mpp", [0.5]),
    "mpp-zero": ("mpp", 0),
    "mpp-negative": ("mpp", -1),
    "mpp-infinite": ("mpp", float("inf")),
    "tile-null": ("tile_size", None),
    "tile-vast": ("tile_size", 10**12),
    "stain-number": ("stain", 3),
    "stain-lines": ("stain", "ER\n---\nlicense: none"),
    "recipe-null": ("recipe", None),
    "version": ("spec_version", "9.0"),
    "version-list": ("spec_version", [1]),
    "blocks": ("generator", {"kind": "resnet", "ngf": 4, "blocks": 10**9}),
    "width": ("generator", {"kind": "resnet", "ngf": 10**9, "blocks": 2}),
    "kind": ("generator", {"kind": "magic"}),
    "generator-list": ("generator", []),
}


@case("stainers", FIELDS)
def config(folder: Path, change: tuple[str, Any]) -> Bad:
    path = write_stainer(folder) / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {change[0]: change[1]}))
    return Bad(_stain(folder), ("stainer",))


CONFIGS = {"deep": '{"a": ' * 100_000, "digits": '{"a": ' + "7" * 5000 + "}", "list": "[]", "empty": "", "latin-1": "é"}


@case("stainers", CONFIGS)
def config_text(folder: Path, text: str) -> Bad:
    (write_stainer(folder) / "config.json").write_bytes(text.encode("latin-1"))
    return Bad(_stain(folder), ("config.json",))


@case("stainers")
def config_is_a_pipe(folder: Path) -> Bad:
    path = write_stainer(folder) / "config.json"
    path.unlink()
    os.mkfifo(path)
    return Bad(_stain(folder), ("config.json",))


@case("stainers", {"cut": 0.5, "empty": 0.0})
def weights(folder: Path, share: float) -> Bad:
    path = write_stainer(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return Bad(_stain(folder), ("model.safetensors",))


def _asp_state() -> dict[str, Any]:
    from test_published import Published

    return dict(Published(4, 6).state_dict())


def _nonfinite(state: dict[str, Any]) -> None:
    state["model.1.weight"][0] = float("nan")


def _other_shape(state: dict[str, Any]) -> None:
    import torch

    state["model.1.weight"] = torch.zeros(4, 3, 5, 5)


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "nan": _nonfinite,
    "shape": _other_shape,
    "missing": lambda state: state.pop("model.1.bias"),
    "number": lambda state: state.update(epoch=3),
}


@case("imports", STATES)
def state(folder: Path, change: Callable[[dict[str, Any]], object]) -> Bad:
    import torch

    values = _asp_state()
    change(values)
    torch.save(values, folder / "net_G.pth")
    return Bad(["import", "net_G.pth", "--from", "asp", "--out", "stainer"], ("net_G.pth",))


@case("imports", {"zero": "0", "negative": "-1", "infinite": "inf", "nan": "nan"})
def mpp(folder: Path, value: str) -> Bad:
    import torch

    torch.save(_asp_state(), folder / "net_G.pth")
    return Bad(["import", "net_G.pth", "--from", "asp", "--out", "stainer", "--mpp", value], ("mpp",))


@case("imports")
def out_holds_files(folder: Path) -> Bad:
    import torch

    torch.save(_asp_state(), folder / "net_G.pth")
    (folder / "mine").mkdir()
    for name in ("model.safetensors", "notes.txt"):
        (folder / "mine" / name).write_text("mine")
    return Bad(["import", "net_G.pth", "--from", "asp", "--out", "mine"], ("mine: holds",))


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@case("imports")
def a_pickle_that_runs(folder: Path) -> Bad:
    import torch

    torch.save({"model.1.weight": _Attack()}, folder / "net_G.pth")
    return Bad(["import", "net_G.pth", "--from", "asp", "--out", "stainer"], ("net_G.pth: cannot be loaded",))


TRAIN = ["train", "--data", "data", "--out", "run", "--device", "cpu"]
SMALL = ["--recipe", "tiny", *(word for change in FAST for word in ("--set", change))]


def _data(folder: Path) -> None:
    write_pairs(folder / "data", train=2, val=1)


@case("training")
def out_is_another_folder(folder: Path) -> Bad:
    _data(folder)
    (folder / "run").mkdir()
    (folder / "run" / "recipe.txt").write_text("mine")
    return Bad([*TRAIN, *SMALL], ("run: contains files that are not a run",))


@case("training")
def out_is_a_file(folder: Path) -> Bad:
    _data(folder)
    (folder / "run").touch()
    return Bad([*TRAIN, *SMALL], ("run: is a file",))


@case("training")
def a_million_processes(folder: Path) -> Bad:
    _data(folder)
    return Bad([*TRAIN, *SMALL, "--devices", "1000000"], ("devices is 1000000; expected at most",))


@case("training")
def a_vast_crop(folder: Path) -> Bad:
    _data(folder)
    return Bad([*TRAIN, *SMALL, "--set", "data.crop=4096"], ("expected at least the crop, 4096",))


@case("training")
def a_broken_image(folder: Path) -> Bad:
    _data(folder)
    next((folder / "data" / "trainA").iterdir()).write_text("none")
    return Bad([*TRAIN, *SMALL], ("cannot be read as an image",))


@case("training")
def partners_in_other_case(folder: Path) -> Bad:
    _data(folder)
    path = next((folder / "data" / "trainA").iterdir())
    path.rename(path.with_name(path.name.upper()))
    return Bad([*TRAIN, *SMALL], ("differ in upper and lower case",))


@case("training")
def a_full_disk(folder: Path) -> Bad:
    _data(folder)
    return Bad([*TRAIN, *SMALL], ("cannot be written (No space left on device)", "run"), leaves=("run",), full=True)


EVALUATE = ["evaluate", "--real", "data/valB", "--fake", "data/valB", "--out", "out", "--device", "cpu"]
OPTIONS = {
    "metrics": (["--metrics", "beauty"], "beauty"),
    "compare": (["--compare-with", "nobody"], "nobody"),
    "mpp-zero": (["--mpp", "0"], "mpp"),
    "mpp-nan": (["--mpp", "nan"], "mpp"),
    "groups": (["--groups", "(" * 50], "groups"),
    "seed": (["--seed", "-1"], "seed"),
    "name-twice": (["--fake", "a=data/valB", "--fake", "a=data/valB"], "--fake"),
}


@case("evaluation", OPTIONS)
def option(folder: Path, option: tuple[list[str], str]) -> Bad:
    _data(folder)
    return Bad([*EVALUATE, *option[0]], (option[1],))


@case("evaluation")
def a_full_disk_at_its_end(folder: Path) -> Bad:
    _data(folder)
    return Bad([*EVALUATE, "--metrics", "ssim"], ("cannot be written (No space left",), leaves=("out",), full=True)
