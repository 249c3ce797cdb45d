"""What a comparison consists of: systems, seeds and jobs, and the folder that holds them. No torch.

OUT/bench.json  table.md  table.csv  table.tex  fields.jpg  index.html
OUT/SYSTEM/cost.json  seed-0/job.json  seed-0/run/  seed-0/virtual/  seed-0/evaluation/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restain.benchmarking.budget import Budget
from restain.benchmarking.records import Cost, EvaluationRecord, JobRecord, PlanRecord, read_record
from restain.data.layouts import find_pairs
from restain.data.records import Manifest
from restain.errors import RestainError
from restain.evaluation.grouping import group_images
from restain.evaluation.schema import SUMMARY
from restain.files import write_json
from restain.images import list_images
from restain.recipes import Recipe, differences, fields_of, load_recipe, recipe_names
from restain.recipes.recipe import dotted
from restain.run_folder import RunFolder

PLAN, LOCK = "bench.json", ".lock"
ASKED = "asked.json"
_VALIDATIONS, _SAMPLES, _LINES = 10, 4, 100  # of a run with a budget
_MOST_STEPS_BETWEEN_CHECKPOINTS = 1000
_WITHOUT_EFFECT = ("log.", "validation.", "engine.workers")  # on the weights with which a training ends


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

    def recipe_sha256(self, contender: Contender) -> str:
        """Hash of a system's recipe, before a training gets its seed and length, without what only watches it."""
        fields = dict(dotted(self.recipe(contender, batch_overrides(self.batch)).to_flat()))
        decisive = {name: value for name, value in fields.items() if not name.startswith(_WITHOUT_EFFECT)}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def cost(self, contender: Contender) -> Cost | None:
        """What was measured of a system before; None where nothing was."""
        path = self.folder(contender) / "cost.json"
        return read_record(path, Cost) if path.is_file() else None

    def needs_measuring(self, contender: Contender, device: str | None) -> bool:
        """Whether a system was not measured yet, or with another recipe or on another device.

        What was measured before a training began is kept: a budget in minutes became its number of steps by it.

        Args:
            contender: the system.
            device: name of the device that the trainings will have; None where that is not known.
        """
        cost = self.cost(contender)
        if cost is None:
            return True
        changed = cost.recipe_sha256 != self.recipe_sha256(contender) or device not in (None, cost.device)
        return changed and not any(job.has_begun() for job in self.jobs() if job.contender == contender)


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
        return read_record(path, JobRecord) if path.is_file() else None

    def note(self, record: JobRecord) -> JobRecord:
        """Write down what became of it."""
        write_json(self.folder / "job.json", record.model_dump(mode="json"))
        return record

    def has_begun(self) -> bool:
        """Whether there are weights that a training can go on from, or has ended with."""
        return self.run.checkpoints.is_dir() or self.run.stainer.is_dir()

    def is_done(self, manifest: Manifest, asked: EvaluationRecord) -> bool:
        """Whether it has ended, and well, and everything that follows from it is there and is what is asked for.

        Raises:
            RestainError: it has, with another recipe.
        """
        record, cost = self.record(), self.plan.cost(self.contender)
        if record is None or record.status != "done" or not self.run.stainer.is_dir() or cost is None:
            return False
        self.refuse_other_recipe(self.settings(manifest, cost))
        return self.is_evaluated(manifest, asked)

    def is_evaluated(self, manifest: Manifest, asked: EvaluationRecord) -> bool:
        """Whether every held-out field is stained, and evaluated as asked."""
        record = self.evaluation / ASKED
        if not record.is_file() or not (self.evaluation / SUMMARY).is_file() or not self.virtual.is_dir():
            return False
        stained = {path.relative_to(self.virtual).with_suffix("").as_posix() for path in list_images(self.virtual)}
        wanted = {pair.id for pair in manifest.pairs(self.plan.split)}
        return wanted <= stained and read_record(record, EvaluationRecord) == asked

    def refuse_other_recipe(self, settings: Sequence[str]) -> None:
        """A finished training of another recipe must not stand in the table as one of this recipe.

        Raises:
            RestainError: naming the fields that differ.
        """
        before, now = load_recipe(self.run.recipe), load_recipe(self.contender.recipe, settings)
        changed = [
            f"{field} was {old!r}, now {new!r}"
            for field, (old, new) in differences(before.to_flat(), now.to_flat()).items()
            if not field.startswith(_WITHOUT_EFFECT)
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


def check_plan(plan: Plan) -> Plan:
    """Check a plan against its data and against what its folder holds.

    Returns:
        the plan with absolute paths.

    Raises:
        RestainError: a change to the recipes that other choices decide, data without such a split, systems that learn
            different stains, groups that are wrong, or a folder that holds another comparison.
    """
    _refuse_decided(plan)
    targets = {contender.name: plan.recipe(contender).data.target for contender in plan.contenders}
    if len(set(targets.values())) > 1:
        listed = ", ".join(f"{name} {target}" for name, target in targets.items())
        raise RestainError(f"field data.target differs between recipes ({listed}); expected one IHC for all")
    manifest = plan.manifest()
    if not manifest.pairs(plan.split):
        there = ", ".join(split for split in manifest.splits() if split != "train") or "none"
        raise RestainError(
            f"{plan.data}: has no pairs in the split {plan.split!r}; held-out splits: {there}; --test-split names one"
        )
    group_images([pair.id for pair in manifest.pairs(plan.split)], plan.groups)  # refuses groups that are wrong
    path = plan.out / PLAN
    if path.is_file():
        if any(plan.out.glob("*/seed-*/run")):  # before that, nothing stands on the settings
            _refuse_other(path, read_record(path, PlanRecord), _record(plan))
    elif plan.out.exists() and (not plan.out.is_dir() or any(one.name != LOCK for one in plan.out.iterdir())):
        raise RestainError(f"{plan.out}: holds files that are no comparison; expected a new or an empty folder")
    return replace(plan, data=plan.data.resolve(), out=plan.out.resolve())


def write_plan(plan: Plan) -> None:
    """Write ``bench.json``, which makes the folder that of this comparison."""
    write_json(plan.out / PLAN, _record(plan).model_dump(mode="json"))


def _record(plan: Plan) -> PlanRecord:
    return PlanRecord(
        data=str(plan.data.resolve()),
        fingerprint=plan.manifest().fingerprint(),
        budget=None if plan.budget is None else str(plan.budget),
        batch=plan.batch,
        small=plan.small,
        overrides=plan.overrides,
        split=plan.split,
    )


def _refuse_decided(plan: Plan) -> None:
    """A change to every recipe must not undo what the comparison decides for each training."""
    decided = {"seed": "--seeds"}
    if plan.budget is not None:
        decided |= dict.fromkeys(("optim.steps", "optim.epochs", "optim.decay_epochs"), "--budget")
    if plan.batch is not None:
        decided |= dict.fromkeys(("optim.batch", "optim.accumulate"), "--batch")
    for field in fields_of(plan.overrides):
        if field in decided:
            raise RestainError(f"overrides: set {field}, which {decided[field]} decides; expected it there alone")


def _refuse_other(path: Path, found: PlanRecord, wanted: PlanRecord) -> None:
    old, new = found.model_dump(), wanted.model_dump()
    changed = [f"{name} was {old[name]!r}, now {new[name]!r}" for name in old if old[name] != new[name]]
    if changed:
        raise RestainError(
            f"{path}: was made with other settings ({', '.join(changed)}); expected the same, or another --out"
        )
