"""The run folder: where everything lies that a training writes down, and what its small files say. No torch.

RUN/recipe.yaml  environment.json  data.json  logs/  samples/  attention/  checkpoints/  stainer/
"""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from restain.errors import RestainError
from restain.files import read_json, write_json


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GitState(_FileModel):
    """The commit of a development checkout of restain."""

    commit: str
    dirty: bool  # whether files had changed since


class Session(_FileModel):
    """One process, or group of processes, that worked on a run."""

    started: str  # UTC, ISO 8601
    first_step: int  # steps that were done before
    restain: str  # version
    torch: str
    python: str
    platform: str
    device: str
    processes: int
    threads: int  # of torch, per process
    git: GitState | None  # None where restain is installed, not checked out
    command: str


class Environment(_FileModel):
    """environment.json: every session of a run, the first one first."""

    sessions: tuple[Session, ...]


class DataUsed(_FileModel):
    """data.json: what was trained on."""

    root: str
    layout: str
    target: str  # which IHC
    splits: dict[str, int]  # pairs
    fingerprint: str  # of names and sizes


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Versions, hardware and commands of each session."""
        return self.root / "environment.json"

    @property
    def data(self) -> Path:
        """What was trained on."""
        return self.root / "data.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.root / "checkpoints"

    @property
    def stainer(self) -> Path:
        """The finished product."""
        return self.root / "stainer"

    @property
    def best_stainer(self) -> Path:
        """The stainer of the best checkpoint, where that is not the last one."""
        return self.root / "stainer-best"

    @property
    def log(self) -> Path:
        """The training log, one row per logging interval."""
        return self.root / "logs" / "train.csv"

    def read_environment(self) -> Environment:
        """The sessions so far; none where the file is absent.

        Raises:
            RestainError: the file is not one that restain wrote.
        """
        if not self.environment.is_file():
            return Environment(sessions=())
        content = read_json(self.environment)
        try:
            return Environment.model_validate(content)
        except ValidationError as error:
            raise RestainError(f"{self.environment}: does not list the sessions of a run ({_first(error)})") from None

    def add_session(self, *, first_step: int, device: str, processes: int, torch: str, threads: int) -> None:
        """Append this session to the environment file."""
        session = Session(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            first_step=first_step,
            restain=metadata.version("restain"),
            torch=torch,
            python=platform.python_version(),
            platform=platform.platform(),
            device=device,
            processes=processes,
            threads=threads,
            git=git_state(Path(__file__).resolve().parents[2]),
            command=" ".join(sys.argv),
        )
        before = self.read_environment().sessions
        write_json(self.environment, Environment(sessions=(*before, session)).model_dump(mode="json"))


def _first(error: ValidationError) -> str:
    """The first thing that a validation complains of."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def git_state(root: Path) -> GitState | None:
    """Commit of the checkout whose root is ``root`` and whether it has changes; None where it is no checkout."""
    if not (root / ".git").exists():  # an installed package may lie in somebody else's checkout
        return None
    git = ["git", "-c", "core.fsmonitor=false", "-C", str(root)]
    try:
        commit, status = (
            subprocess.run([*git, *command], capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return GitState(commit=commit.strip(), dirty=bool(status.strip()))
