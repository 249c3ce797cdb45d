"""The stainer folder: the product of a training, with its weights, its statistics, its configuration and its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from restain.errors import RestainError, in_short
from restain.files import sha256, write_text
from restain.hub import HubReference, download, download_first, hub_reference
from restain.model_card import model_card
from restain.networks.generator import Generator, plain_state
from restain.networks.specs import GeneratorSpec
from restain.networks.statistics import Statistics, check_channels, load_statistics, save_statistics
from restain.stainer import Calibration, Stainer, StainerCard
from restain.stainer_config import CalibrationRecord, StainerConfig, first_problem, read_config, write_config
from restain.tensor_files import write_tensors

CONFIG, WEIGHTS, STATISTICS, CARD = "config.json", "model.safetensors", "statistics.safetensors", "README.md"


def save_stainer(folder: Path, generator: Generator, card: StainerCard, calibration: Calibration | None = None) -> None:
    """Write a stainer; one that is there is replaced in one step, and other files beside it stay.

    Args:
        folder: a new or empty folder, or a stainer that is to be replaced.
        generator: in any state; its spectral norms are folded into plain weights in the file. It is left as it is.
        card: what to say of it.
        calibration: what its norms are to be fixed to.

    Raises:
        RestainError: ``folder`` holds something that is not a stainer, which would be lost; or weights or statistics
            that are not finite, or that do not belong together.
    """
    folder = free_place(folder)
    weights = {name: tensor.cpu().contiguous() for name, tensor in plain_state(generator).items()}
    refuse_nonfinite(folder / WEIGHTS, weights)
    with _aside(folder) as aside:
        write_tensors(aside / WEIGHTS, weights, {"format": "pt"})
        record = None if calibration is None else _write_calibration(aside, generator, calibration)
        try:
            config = StainerConfig(
                restain=metadata.version("restain"),
                generator=generator.spec.plain(),
                **asdict(card),
                weights_sha256=sha256(aside / WEIGHTS),
                calibration=record,
            )
        except ValidationError as error:
            raise RestainError(f"{folder / CONFIG}: {first_problem(error)}") from None
        write_config(aside / CONFIG, config)
        write_text(aside / CARD, model_card(config, sum(p.numel() for p in generator.parameters())))


def _write_calibration(folder: Path, generator: Generator, calibration: Calibration) -> CalibrationRecord:
    check_channels(generator.norm_sites(), calibration.statistics.means)
    path, digest = folder / STATISTICS, None
    if calibration.statistics.means:
        save_statistics(path, calibration.statistics)
        load_statistics(path)  # refuses what is not finite
        digest = sha256(path)
    about = {name: getattr(calibration, name) for name in CalibrationRecord.model_fields if hasattr(calibration, name)}
    return CalibrationRecord(statistics_sha256=digest, **about)


def free_place(folder: Path) -> Path:
    """The folder without links.

    Raises:
        RestainError: it holds something that is not a stainer, which would be lost.
    """
    folder = folder.resolve()
    if folder.exists() and not _replaceable(folder):
        raise RestainError(f"{folder}: holds something that is not a stainer; expected a new or an empty folder")
    return folder


def _replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"spec_version", "weights_sha256"} <= config.keys()


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``folder`` once it is finished; other files move along."""
    new, old = (folder.with_name(f".{folder.name}-{word}") for word in ("new", "old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    if old.exists():
        for path in old.iterdir():
            if path.name not in (CONFIG, WEIGHTS, STATISTICS, CARD):
                path.replace(folder / path.name)
        shutil.rmtree(old)


def copy_stainer(source: Path, folder: Path) -> None:
    """Copy a stainer's own files; one that is there is replaced in one step, and other files beside it stay.

    Raises:
        RestainError: ``folder`` holds something that is not a stainer.
    """
    folder = free_place(folder)
    with _aside(folder) as aside:
        for name in (CONFIG, WEIGHTS, STATISTICS, CARD):
            if (source / name).is_file():
                shutil.copyfile(source / name, aside / name)


def stainer_folder(path: str | Path) -> Path:
    """The folder itself, or the ``stainer`` folder in it where it is that of a run, or the copy of one on the Hub.

    Raises:
        RestainError: there is no stainer.
    """
    if (reference := hub_reference(path)) is not None:
        return _downloaded(reference)
    folder = Path(path)
    if (folder / "stainer").is_dir():
        folder = folder / "stainer"
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            hint = "; the training run has not finished" if (folder / "checkpoints").is_dir() else ""
            raise RestainError(f"{folder}: has no {name}, so it is not a stainer folder{hint}")
    return folder


def _downloaded(reference: HubReference) -> Path:
    """Download the files of a stainer and nothing else; their hashes are compared when it is loaded."""
    config, commit = download_first(reference, CONFIG)
    made = read_config(config).calibration
    download(commit, WEIGHTS)
    if made is not None and made.statistics_sha256 is not None:
        download(commit, STATISTICS)
    download(commit, CARD)
    return config.parent


def load_stainer(path: str | Path, device: str | torch.device = "cpu") -> Stainer:
    """Load a stainer folder, or the one inside a run folder.

    Args:
        path: a folder with ``model.safetensors`` and ``config.json``, a run folder with ``stainer/`` in it, or
            hf://owner/name on the Hugging Face Hub, with @revision where it is to stay the same.
        device: where the generator is put.

    Raises:
        RestainError: a file is missing or broken, of an unknown version, or not the one that ``config.json`` names; or
            weights are not finite. Nothing is allocated before the weights' file is known to have the right shapes.
    """
    folder = stainer_folder(path)
    config = read_config(folder / CONFIG)
    _refuse_other_file(folder / WEIGHTS, config.weights_sha256)
    _refuse_other_shapes(folder / WEIGHTS, config.generator)
    weights = load_file(folder / WEIGHTS)
    refuse_nonfinite(folder / WEIGHTS, weights)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
        generator = config.generator.build()
    generator.load_state_dict(weights)
    generator.to(device).eval().requires_grad_(False)
    card = StainerCard(**{key: getattr(config, key) for key in StainerCard.__dataclass_fields__})
    return Stainer(generator, card, config.weights_sha256, _read_calibration(folder, config.calibration, generator))


def _read_calibration(folder: Path, record: CalibrationRecord | None, generator: Generator) -> Calibration | None:
    if record is None:
        return None
    path, statistics = folder / STATISTICS, Statistics((), ())
    if record.statistics_sha256 is not None:
        if not path.is_file():
            raise RestainError(f"{path}: no such file, but {CONFIG} names its hash")
        _refuse_other_file(path, record.statistics_sha256)
        statistics = load_statistics(path)
    try:
        check_channels(generator.norm_sites(), statistics.means)
    except RestainError as error:
        raise RestainError(f"{path}: {error}") from None
    about = {name: getattr(record, name) for name in CalibrationRecord.model_fields if name != "statistics_sha256"}
    return Calibration(statistics=statistics, **about)


def _refuse_other_file(path: Path, expected: str) -> None:
    found = sha256(path)
    if found != expected:
        raise RestainError(f"{path}: has SHA-256 {found[:12]}...; {CONFIG} expects {expected[:12]}...")


def _refuse_other_shapes(path: Path, spec: GeneratorSpec) -> None:
    with torch.device("meta"):  # shapes without memory
        wanted = {name: tuple(tensor.shape) for name, tensor in spec.build().state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise RestainError(f"{path}: holds no weights ({in_short(error)})") from None
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            there, expected = (shapes.get(name, "missing") for shapes in (found, wanted))
            there = "missing" if name not in found else there
            expected = "no such weight" if name not in wanted else expected
            raise RestainError(f"{path}: does not fit {CONFIG} ({name} is {there}; expected {expected})")


def refuse_nonfinite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite.

    Args:
        path: of their file, for the message.
        weights: by name.

    Raises:
        RestainError: a weight is infinite or NaN.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise RestainError(f"{path}: {name} holds values that are not finite")
