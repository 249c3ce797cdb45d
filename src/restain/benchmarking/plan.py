"""What a comparison consists of: systems, seeds and jobs, and the folder that holds them. No torch.

OUT/bench.json  table.md  table.csv  table.tex  fields.jpg  index.html
OUT/SYSTEM/cost.json  seed-0/job.json  seed-0/run/  seed-0/virtual/  seed-0/evaluation/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from restain.benchmarking.budget import Budget
from restain.data.layouts import find_pairs
from restain.data.records import Manifest
from restain.errors import RestainError
from restain.evaluation.schema import SUMMARY
from restain.files import read_json, write_json
from restain.recipes import Recipe, differences, load_recipe, recipe_names
from restain.recipes.recipe import MAY_DIFFER
from restain.run_folder import RunFolder

PLAN = "bench.json"
_VALIDATIONS, _SAMPLES, _LINES = 10, 4, 100  # of a run with a budget
_MOST_STEPS_BETWEEN_CHECKPOINTS = 1000


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(_FileModel):
    """What a system costs, measured before its training; the content of ``cost.json``."""

    seconds_per_step: float  # median
    peak_memory_mb: float | None  # of the process on a CPU, else of PyTorch on the GPU; None where it is not known
    parameters: int  # of the stainer
    parameters_trained: int  # of all networks that the training holds
    macs_512: float  # of the stainer, for an image of 512 x 512 pixels
    mpx_per_second: float  # of the stainer
    images_per_step: int
    device: str
    threads: int


class JobRecord(_FileModel):
    """What became of one training; the content of ``job.json``."""

    status: Literal["done", "failed"]
    reason: str = ""  # of a failure, one sentence
    steps: int | None = None  # of a training that is done


class PlanRecord(_FileModel):
    """What must be the same when a comparison is continued; the content of ``bench.json``."""

    data: str
    fingerprint: str
    budget: str | None
    batch: int | None
    small: bool
    overrides: tuple[str, ...]
    split: str
    truth: str | None
    protocol: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A system in a comparison: the name of its recipe, and where the recipe is read from."""

    name: str
    recipe: str  # a shipped name, or the path of a file


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides a comparison.

    Attributes:
        data: the data set.
        out: folder for the results.
        contenders: the systems; the others are tested against the first.
        seeds: one training of each system for each.
        budget: of each training; None: the length that the recipe states.
        batch: images per step; None: as the recipe states.
        overrides: changes to every recipe.
        split: held-out fields that are stained and evaluated.
        truth: which IHC they are compared with; None: the one that is learned.
        protocol: of the scores.
        metrics: names or families; empty for all.
        groups: which held-out fields belong together, as in ``EvaluationOptions``.
        compare_with: data set of the literature, or None.
        device: auto, cpu or cuda.
    """

    data: Path
    out: Path
    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    budget: Budget | None
    batch: int | None
    small: bool
    overrides: tuple[str, ...]
    split: str
    truth: str | None
    protocol: str
    metrics: tuple[str, ...]
    groups: str
    compare_with: str | None
    device: str

    def jobs(self) -> Iterator[Job]:
        """All trainings; every system has its first one before any has its second."""
        for seed in self.seeds:
            for contender in self.contenders:
                yield Job(self, contender, seed)

    def folder(self, contender: Contender) -> Path:
        """Where the results of a system lie."""
        return self.out / contender.name

    def recipe(self, contender: Contender, more: Sequence[str] = ()) -> Recipe:
        """The recipe of a system with the changes that every recipe gets, and ``more`` before them."""
        return load_recipe(contender.recipe, (*more, *self.overrides))

    def manifest(self) -> Manifest:
        """The data with the IHC that is learned."""
        return find_pairs(self.data, self.recipe(self.contenders[0]).data.target)

    def cost(self, contender: Contender) -> Cost | None:
        """What was measured of a system before; None where nothing was."""
        path = self.folder(contender) / "cost.json"
        return _read(path, Cost) if path.is_file() else None


@dataclass(frozen=True)
class Job:
    """One training of one system, and what follows from it."""

    plan: Plan
    contender: Contender
    seed: int

    @property
    def folder(self) -> Path:
        """Where its results lie."""
        return self.plan.folder(self.contender) / f"seed-{self.seed}"

    @property
    def run(self) -> RunFolder:
        """The training."""
        return RunFolder(self.folder / "run")

    @property
    def virtual(self) -> Path:
        """The held-out fields, stained."""
        return self.folder / "virtual"

    @property
    def evaluation(self) -> Path:
        """Scores of the virtual stains."""
        return self.folder / "evaluation"

    def record(self) -> JobRecord | None:
        """What became of it; None where it has not ended."""
        path = self.folder / "job.json"
        return _read(path, JobRecord) if path.is_file() else None

    def note(self, record: JobRecord) -> JobRecord:
        """Write down what became of it."""
        write_json(self.folder / "job.json", record.model_dump(mode="json"))
        return record

    def is_done(self, manifest: Manifest) -> bool:
        """Whether it has ended, and well.

        Raises:
            RestainError: it has, with another recipe.
        """
        record, cost = self.record(), self.plan.cost(self.contender)
        if record is None or record.status != "done" or not (self.evaluation / SUMMARY).is_file() or cost is None:
            return False
        self.refuse_other_recipe(self.settings(manifest, cost))
        return True

    def refuse_other_recipe(self, settings: Sequence[str]) -> None:
        """A finished training of another recipe must not stand in the table as one of this recipe.

        Raises:
            RestainError: naming the fields that differ.
        """
        before, now = load_recipe(self.run.recipe), load_recipe(self.contender.recipe, settings)
        changed = [
            f"{field} was {old!r}, now {new!r}"
            for field, (old, new) in differences(before.to_flat(), now.to_flat()).items()
            if not field.startswith(MAY_DIFFER)
        ]
        if changed:
            raise RestainError(
                f"{self.run.root}: was trained by another recipe ({', '.join(changed)}); remove {self.folder}, or name "
                "another --out"
            )

    def settings(self, manifest: Manifest, cost: Cost) -> tuple[str, ...]:
        """Overrides of the recipe: seed, images per step, length, and how often a run of this length writes."""
        plan = self.plan
        words = [f"seed={self.seed}", "log.trackers=[]", *batch_overrides(plan.batch)]
        if plan.budget is not None:
            recipe = plan.recipe(self.contender, words)
            images = len(manifest.pairs("train") if recipe.data.paired else manifest.sources("train"))
            batch = recipe.optim.batch * recipe.optim.accumulate
            steps = plan.budget.steps(images=images, batch=batch, seconds=cost.seconds_per_step)
            words += [
                f"optim.steps={steps}",
                f"log.every={max(1, min(recipe.log.every, steps // _LINES))}",
                f"log.samples={max(1, steps // _SAMPLES)}",
                f"log.checkpoint={max(1, min(_MOST_STEPS_BETWEEN_CHECKPOINTS, steps // _SAMPLES))}",
                f"validation.every={max(1, steps // _VALIDATIONS)}",
            ]
        return (*words, *plan.overrides)


def batch_overrides(batch: int | None) -> list[str]:
    """The overrides that give a recipe so many images per step; none where it keeps its own number."""
    return [] if batch is None else [f"optim.batch={batch}", "optim.accumulate=1"]


def contenders_of(recipes: Sequence[str], small: bool) -> tuple[Contender, ...]:
    """The systems of recipes, by name or file; with ``small``, the ``-small`` forms of shipped ones.

    Raises:
        RestainError: none, a recipe that cannot be read, one without small form, or two of one name.
    """
    names, found = recipe_names(), dict[str, Contender]()
    for word in recipes:
        chosen = f"{word}-small" if small and word in names and not word.endswith("-small") else word
        if chosen not in names and word in names:
            forms = ", ".join(name for name in names if name.endswith("-small"))
            raise RestainError(f"recipes: {word} has no small form; expected one of {forms}")
        name = load_recipe(chosen).name
        if chosen not in names:
            chosen = str(Path(chosen).absolute())  # workers on a cluster have folders of their own
        if name in found:
            raise RestainError(f"recipes: two are called {name}; expected a name of its own for each")
        if "/" in name or name.startswith("."):
            raise RestainError(f"recipes: {chosen} is called {name!r}; expected a name that can be a folder's")
        found[name] = Contender(name=name, recipe=chosen)
    if not found:
        raise RestainError("recipes: none is named; expected at least one")
    return tuple(found.values())


def open_plan(plan: Plan) -> Plan:
    """Check a plan against its data and against what its folder holds, and write it down.

    Returns:
        the plan with absolute paths and with the split that is there.

    Raises:
        RestainError: the data have no such split, systems learn different stains, or the folder holds another
            comparison.
    """
    targets = {contender.name: plan.recipe(contender).data.target for contender in plan.contenders}
    if len(set(targets.values())) > 1:
        listed = ", ".join(f"{name} {target}" for name, target in targets.items())
        raise RestainError(f"field data.target differs between recipes ({listed}); expected one IHC for all")
    manifest = plan.manifest()
    if not manifest.pairs(plan.split):
        there = ", ".join(split for split in manifest.splits() if split != "train") or "none"
        raise RestainError(f"{plan.data}: has no pairs in the split {plan.split!r}; held-out splits: {there}")
    record = PlanRecord(
        data=str(plan.data.resolve()),
        fingerprint=manifest.fingerprint(),
        budget=None if plan.budget is None else str(plan.budget),
        batch=plan.batch,
        small=plan.small,
        overrides=plan.overrides,
        split=plan.split,
        truth=plan.truth,
        protocol=plan.protocol,
        metrics=plan.metrics,
    )
    path = plan.out / PLAN
    if path.is_file():
        _refuse_other(path, _read(path, PlanRecord), record)
    elif plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        raise RestainError(f"{plan.out}: holds files that are no comparison; expected a new or an empty folder")
    write_json(path, record.model_dump(mode="json"))
    return replace(plan, data=plan.data.resolve(), out=plan.out.resolve())


def _refuse_other(path: Path, found: PlanRecord, wanted: PlanRecord) -> None:
    old, new = found.model_dump(), wanted.model_dump()
    changed = [f"{name} was {old[name]!r}, now {new[name]!r}" for name in old if old[name] != new[name]]
    if changed:
        raise RestainError(
            f"{path}: was made with other settings ({', '.join(changed)}); expected the same, or another --out"
        )


def _read(path: Path, model: type[Any]) -> Any:
    content = read_json(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise RestainError(
            f"{path}: was not written by this version of restain bench ({field}: {first['msg']})"
        ) from None
