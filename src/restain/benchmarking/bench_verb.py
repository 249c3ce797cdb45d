"""``restain bench``: systems trained under one budget on one data set, and compared on the same held-out fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from restain.benchmarking.budget import Budget, read_budget
from restain.benchmarking.comparison_page import write_page
from restain.benchmarking.field_sheet import draw_sheet
from restain.benchmarking.held_out import HeldOut, held_out_folders
from restain.benchmarking.options import BenchOptions
from restain.benchmarking.papers import PaperTable, paper_table
from restain.benchmarking.plan import LOCK, Contender, Job, Plan, check_plan, contenders_of, write_plan
from restain.benchmarking.processes import in_own_process, refuse_second_start
from restain.benchmarking.records import Cost, JobRecord
from restain.benchmarking.result_tables import write_tables
from restain.benchmarking.seed_scores import gather
from restain.data.layouts import find_pairs
from restain.data.records import Manifest
from restain.errors import RestainError, Stopped, refuse_text
from restain.evaluation.datasets import recognise
from restain.evaluation.literature import known_data_sets, published
from restain.images import list_images
from restain.metrics import find_protocol, select_metrics
from restain.progress import console
from restain.recipes import load_recipe
from restain.reporting.score_sheet import ScoreSheet


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a system will take, and how much memory; ``problem``: why it cannot be trained."""

    name: str
    steps: int | None  # of one training
    seconds: float | None  # of all its trainings, without staining and evaluation
    peak_memory_mb: float | None
    problem: str = ""


@dataclass(frozen=True)
class BenchRun:
    """What a comparison has given: ``table`` is None after a dry run."""

    out: Path
    estimates: tuple[Estimate, ...]
    table: ScoreSheet | None = None
    page: Path | None = None
    done: int = 0  # trainings


def bench(
    data: str | Path,
    recipes: Sequence[str] = (),
    *,
    budget: str | None = None,
    seeds: int = 3,
    out: str | Path = "bench",
    paper: str | None = None,
    engine: Literal["local", "ray"] = "local",
    dry_run: bool = False,
    options: BenchOptions = BenchOptions(),  # noqa: B008 - frozen
) -> BenchRun:
    """Train recipes under one budget, stain and evaluate the same held-out fields, and compare them.

    Written to ``out``: ``table.md``, ``table.csv``, ``table.tex``, ``fields.jpg``, ``index.html``, and a folder for
    each system. They are written again after each training. What is done is not done again: the same call continues a
    comparison that was killed, adds recipes and seeds to one that is done, and evaluates again what was evaluated with
    other metrics, weights or published scores. A recipe that fails does not stop the others; the table says why it
    failed.

    Each training runs in a process that imports the script again: call it under ``if __name__ == "__main__":``.

    Args:
        data: a data set with a held-out split.
        recipes: names or files; the first is the one that the others are tested against.
        budget: "2000steps", "2epochs" or "10min" of training; None: as long as each recipe states.
        seeds: trainings of each recipe, with the seeds 0, 1, ...
        out: folder for the results; new, empty, or that of the same comparison.
        paper: "table2", "table3", "table4", "table5" or "table7": the paper's recipes, metrics and published rows.
        engine: "local": one training after another, each in a process of its own; "ray": spread over a Ray cluster.
        dry_run: only measures a few steps of each recipe, and estimates time and memory.
        options: see ``BenchOptions``.

    Raises:
        RestainError: a choice, a recipe or the data set is wrong, or ``out`` holds another comparison.
        Stopped: a training was stopped, after its state was saved.
    """
    refuse_second_start()
    table = paper_table(paper) if paper is not None else None
    if engine not in ("local", "ray"):
        raise RestainError(f"engine is {engine!r}; expected local or ray")
    plan = check_plan(_plan(data, recipes, budget, seeds, Path(out), table, options))
    device = _device(plan, engine)
    plan.out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(plan.out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RestainError(
            f"{plan.out}: another comparison is running in this folder; wait for it or stop it"
        ) from None
    try:
        write_plan(plan)
        held_out = held_out_folders(plan)
        if table is not None and plan.compare_with is None:
            plan = replace(plan, compare_with=_recognised(held_out))
        problems = _measure_costs(plan, engine, device, options.workers)
        estimates = tuple(_estimate(plan, contender, problems) for contender in plan.contenders)
        if dry_run:
            return BenchRun(plan.out, estimates)
        for job in plan.jobs():
            if job.contender in problems:
                job.note(JobRecord(status="failed", reason=problems[job.contender]))
        done = _done_before(plan)
        shown = _write_results(plan, held_out, done)
        for job, record in _run_jobs(plan, held_out, done, problems, engine, options.workers):
            outcome = "done" if record.status == "done" else f"failed: {record.reason}"
            console.print(f"bench: {job.contender.name}, seed {job.seed}: {outcome}", soft_wrap=True)
            if record.status == "done":
                done.add(job)
            shown = _write_results(plan, held_out, done)
        return BenchRun(plan.out, estimates, *shown, done=len(done))
    finally:
        lock.release()


def _device(plan: Plan, engine: str) -> str | None:
    """The name of the device that the trainings will have; None with Ray, whose machines have their own.

    Raises:
        RestainError: the device is unknown, or this machine has none.
    """
    import torch

    from restain.tensors import find_device
    from restain.training.outline import device_name

    if engine == "ray":
        if plan.device not in ("auto", "cpu", "cuda"):
            raise RestainError(f"device is {plan.device!r}; expected auto, cpu or cuda with Ray")
        return None
    return device_name(torch.device(find_device(plan.device)))


def _images_per_step(batch: int | Literal["own"] | None, budget: Budget | None) -> int | None:
    if batch is None:
        return None if budget is None else 1
    if batch == "own":
        return None
    if not isinstance(batch, int) or batch < 1:
        raise RestainError(f"batch: is {batch!r}; expected at least 1, or own")
    return batch


def _plan(
    data: str | Path,
    recipes: Sequence[str],
    budget: str | None,
    seeds: int,
    out: Path,
    paper: PaperTable | None,
    options: BenchOptions,
) -> Plan:
    for name, words in (("recipes", recipes), ("overrides", options.overrides), ("metrics", options.metrics)):
        refuse_text(name, words)
    if not isinstance(seeds, int) or seeds < 1:
        raise RestainError(f"seeds: is {seeds!r}; expected at least 1")
    if options.test_split not in (None, "val", "test"):
        raise RestainError(f"test_split: is {options.test_split!r}; expected val or test")
    length = None if budget is None else read_budget(budget)
    metrics = tuple(word.strip() for word in options.metrics if word.strip()) or (tuple(paper.metrics) if paper else ())
    select_metrics(metrics)
    find_protocol(options.protocol)
    compare_with = options.compare_with or (paper.compare_with if paper else None)
    if compare_with is not None:
        published(compare_with)
    contenders = contenders_of(tuple(recipes) or (tuple(paper.recipes) if paper else ()), options.small)
    target = load_recipe(contenders[0].recipe, options.overrides).data.target
    return Plan(
        data=Path(data),
        out=out,
        contenders=contenders,
        seeds=tuple(range(seeds)),
        budget=length,
        batch=_images_per_step(options.batch, length),
        small=options.small,
        overrides=tuple(options.overrides),
        split=options.test_split or _usual_split(find_pairs(Path(data), target)),
        truth=options.truth,
        protocol=options.protocol,
        metrics=metrics,
        groups=options.groups,
        compare_with=compare_with,
        device=options.device,
    )


def _usual_split(manifest: Manifest) -> str:
    """``val`` unless only a test split is held out, as in BCI."""
    return "test" if manifest.pairs("test") and not manifest.pairs("val") else "val"


def _recognised(held_out: HeldOut) -> str | None:
    """The data set of the literature that the held-out fields are of; None where they are of no known one."""
    ids = [path.relative_to(held_out.real).with_suffix("").as_posix() for path in list_images(held_out.real)]
    name = recognise(ids, held_out.real).name
    return name if name in known_data_sets() else None


def _measure_costs(plan: Plan, engine: str, device: str | None, workers: int | None) -> dict[Contender, str]:
    """Measure what was not measured before; returns why a system cannot be trained."""
    from restain.benchmarking.probe import measure_cost

    wanted = {one: (plan, one) for one in plan.contenders if plan.needs_measuring(one, device)}
    found = _calls(measure_cost, wanted, engine, plan.device, workers)
    return {contender: str(outcome) for contender, outcome in found if isinstance(outcome, RestainError)}


def _estimate(plan: Plan, contender: Contender, problems: Mapping[Contender, str]) -> Estimate:
    cost = plan.cost(contender)
    if contender in problems or cost is None:
        problem = problems[contender]
        return Estimate(name=contender.name, steps=None, seconds=None, peak_memory_mb=None, problem=problem)
    steps = _steps(plan, contender, cost)
    return Estimate(
        name=contender.name,
        steps=steps,
        seconds=steps * cost.seconds_per_step * len(plan.seeds),
        peak_memory_mb=cost.peak_memory_mb,
    )


def _steps(plan: Plan, contender: Contender, cost: Cost) -> int:
    manifest = plan.manifest()
    recipe = plan.recipe(contender, Job(plan, contender, plan.seeds[0]).settings(manifest, cost))
    if recipe.optim.steps is not None:
        return recipe.optim.steps
    images = len(manifest.pairs("train") if recipe.data.paired else manifest.sources("train"))
    return -(-images // cost.images_per_step) * (recipe.optim.epochs + recipe.optim.decay_epochs)


def _done_before(plan: Plan) -> set[Job]:
    """The trainings that need nothing more."""
    from restain.benchmarking.training_job import asked_of

    manifest, asked = plan.manifest(), asked_of(plan)
    return {job for job in plan.jobs() if job.is_done(manifest, asked)}


def _run_jobs(
    plan: Plan,
    held_out: HeldOut,
    done: Collection[Job],
    problems: Mapping[Contender, str],
    engine: str,
    workers: int | None,
) -> Iterator[tuple[Job, JobRecord]]:
    from restain.benchmarking.training_job import run_job

    wanted = {job: (job, held_out) for job in plan.jobs() if job.contender not in problems and job not in done}
    for job, outcome in _calls(run_job, wanted, engine, plan.device, workers):
        if isinstance(outcome, RestainError):
            outcome = job.note(JobRecord(status="failed", reason=str(outcome)))
        yield job, outcome


def _calls(
    function: Any, calls: Mapping[Any, tuple[Any, ...]], engine: str, device: str, workers: int | None
) -> Iterator[tuple[Any, Any]]:
    """Each call with what it gave, or with the RestainError that it ended in.

    Raises:
        Stopped: a call was told to stop; none is made after it.
    """
    if engine == "ray" and calls:
        from restain.benchmarking.ray_tasks import on_ray

        yield from on_ray(function, calls, device=device, workers=workers)
        return
    for key, arguments in calls.items():
        try:
            outcome = in_own_process(function, *arguments)
        except Stopped:
            raise Stopped("stopped; what is done is kept, and the same command continues") from None
        except RestainError as error:  # a fault of one method must not end the comparison of the others
            outcome = error
        yield key, outcome


def _write_results(plan: Plan, held_out: HeldOut, done: Collection[Job]) -> tuple[ScoreSheet, Path]:
    found = gather(plan, done)
    table = write_tables(plan, found)
    sheet = None if found is None else draw_sheet(plan, found, held_out)
    return table, write_page(plan, table, sheet)
