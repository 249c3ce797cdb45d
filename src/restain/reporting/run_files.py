"""What a training run left in its folder, as far as it is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restain.errors import RestainError
from restain.files import read_json, read_text
from restain.reporting.tables import Table, read_table
from restain.run_folder import RunFolder
from restain.yaml_text import load_yaml


@dataclass(frozen=True)
class AttentionFiles:
    """Attention maps of one field: the IHC they were computed from, and one grey map per layer."""

    id: str
    ihc: Path
    layers: dict[str, Path]


@dataclass(frozen=True)
class RunFiles:
    """A run folder; what is absent is empty, and ``missing`` names it."""

    folder: Path
    recipe: str
    environment: dict[str, Any]
    data: dict[str, Any]
    stainer: dict[str, Any]
    stainer_hashes: tuple[str, ...]  # SHA-256 of the weights of the last stainer and of the best
    log: Table | None
    samples: tuple[tuple[int, Path], ...]  # (step, grid), by step
    attention: tuple[AttentionFiles, ...]
    missing: tuple[str, ...]

    @property
    def recipe_name(self) -> str:
        """The recipe's name as the stainer or the recipe itself gives it; empty where neither does."""
        for holder in (self.stainer.get("recipe"), self._recipe_fields()):
            name = holder.get("name") if isinstance(holder, dict) else holder
            if isinstance(name, str):
                return name
        return ""

    def _recipe_fields(self) -> Any:
        return load_yaml(self.recipe, str(self.folder / "recipe.yaml"))


def read_run(folder: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        RestainError: the folder is absent or is no run folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise RestainError(f"{folder}: no such run folder")
    wanted = ("recipe.yaml", "environment.json", "data.json", "stainer/config.json", "logs/train.csv")
    present = {name: folder / name for name in wanted if (folder / name).is_file()}
    if not present:
        raise RestainError(f"{folder}: is not a run folder; expected at least one of {', '.join(wanted)}")
    samples, attention = _samples(folder), _attention(folder)
    missing = [name for name in wanted if name not in present]
    missing += [] if samples else ["samples/step-*.png"]
    missing += [] if attention else ["attention/*-ihc.png"]

    def values(name: str) -> dict[str, Any]:
        return read_json(present[name]) if name in present else {}

    return RunFiles(
        folder=folder,
        recipe=read_text(present["recipe.yaml"]) if "recipe.yaml" in present else "",
        environment=_first_session(folder),
        data=values("data.json"),
        stainer=values("stainer/config.json"),
        stainer_hashes=_stainer_hashes(folder),
        log=read_table(present["logs/train.csv"]) if "logs/train.csv" in present else None,
        samples=samples,
        attention=attention,
        missing=tuple(missing),
    )


def _first_session(folder: Path) -> dict[str, Any]:
    """Where and when the run began; nothing where that is not recorded."""
    sessions = RunFolder(folder).read_environment().sessions
    return sessions[0].model_dump(mode="json") if sessions else {}


def _stainer_hashes(folder: Path) -> tuple[str, ...]:
    run = RunFolder(folder)
    configs = [place / "config.json" for place in (run.stainer, run.best_stainer)]
    hashes = [read_json(path).get("weights_sha256") for path in configs if path.is_file()]
    return tuple(one for one in hashes if isinstance(one, str))


def _samples(folder: Path) -> tuple[tuple[int, Path], ...]:
    found = []
    for path in (folder / "samples").glob("step-*.png"):
        match = re.fullmatch(r"step-(\d+)", path.stem)
        if match:
            found.append((int(match[1]), path))
    return tuple(sorted(found))


def _attention(folder: Path) -> tuple[AttentionFiles, ...]:
    root = folder / "attention"
    fields = []
    for ihc in sorted(root.rglob("*-ihc.png")):
        stem = ihc.name.removesuffix("-ihc.png")
        layers = {}
        for path in sorted(ihc.parent.iterdir()):  # a glob would trip over brackets in a field's name
            match = re.fullmatch(re.escape(stem) + r"-layer(\d+)\.png", path.name)
            if match:
                layers[f"layer {int(match[1])}"] = path
        if layers:
            name = (ihc.parent.relative_to(root) / stem).as_posix()
            fields.append(AttentionFiles(id=name, ihc=ihc, layers=layers))
    return tuple(fields)
