"""One job of a comparison: train, stain the held-out fields, evaluate them. What is done is not done again."""

from __future__ import annotations

import shutil
import traceback

from filelock import FileLock

from restain.benchmarking.held_out import HeldOut
from restain.benchmarking.plan import ASKED, Job, Plan
from restain.benchmarking.records import EvaluationRecord, JobRecord
from restain.errors import RestainError, Stopped, in_short
from restain.evaluation import EvaluationOptions, evaluate
from restain.files import write_json, write_text
from restain.metrics import find_protocol, select_metrics
from restain.metrics.learned.networks import LearnedMetrics
from restain.stainer_config import read_config
from restain.stainer_files import CONFIG
from restain.staining import stain
from restain.training.distributed import Machine
from restain.training.session import train

_PATIENCE = 120  # seconds that a job waits for a process of an earlier, killed comparison to end


def run_job(job: Job, held_out: HeldOut) -> JobRecord:
    """Bring a job to its end, from wherever it stands.

    Returns:
        what became of it, as it stands in ``job.json``; a failure is a result, too.

    Raises:
        Stopped: the process was told to stop; the state of the training is saved.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.folder / ".lock", timeout=_PATIENCE):
            return job.note(_run(job, held_out))
    except Stopped:
        raise
    except RestainError as error:
        return job.note(JobRecord(status="failed", reason=str(error)))
    except Exception as error:  # a fault of one method must not end the comparison of the others
        write_text(job.folder / "error.txt", traceback.format_exc())
        where = job.folder / "error.txt"
        return job.note(JobRecord(status="failed", reason=f"{type(error).__name__}: {in_short(error)} (see {where})"))


def _run(job: Job, held_out: HeldOut) -> JobRecord:
    plan = job.plan
    cost = plan.cost(job.contender)
    if cost is None:
        raise RestainError(f"{plan.folder(job.contender)}: has no cost.json; expected that the cost is measured first")
    manifest, asked = plan.manifest(), asked_of(plan)
    settings = job.settings(manifest, cost)
    if (job.run.stainer / CONFIG).is_file():
        job.refuse_other_recipe(settings)
    else:
        shutil.rmtree(job.evaluation, ignore_errors=True)  # where it is there, of weights that are gone
        machine = Machine(device=plan.device)
        train(plan.data, job.run.root, job.contender.recipe, overrides=settings, resume=True, machine=machine)
    if not job.is_evaluated(manifest, asked):
        _evaluate(job, held_out, asked)
    steps = read_config(job.run.stainer / CONFIG).trained["steps"]
    assert isinstance(steps, int)  # of a stainer that restain trained
    return JobRecord(status="done", steps=steps)


def asked_of(plan: Plan) -> EvaluationRecord:
    """What is asked of the evaluations of a comparison, with the weights that this machine has for it."""
    metrics, protocol = select_metrics(plan.metrics), find_protocol(plan.protocol)
    return EvaluationRecord(
        truth=plan.truth,
        protocol=plan.protocol,
        metrics=tuple(metric.name for metric in metrics),
        groups=plan.groups,
        compare_with=plan.compare_with,
        weights=LearnedMetrics(protocol, metrics, seed=0, device="cpu").weights,
    )


def _evaluate(job: Job, held_out: HeldOut, asked: EvaluationRecord) -> None:
    plan = job.plan
    stained = stain(job.run.root, held_out.source, job.virtual, device=plan.device)
    if stained.failed:
        raise RestainError(next(iter(stained.failed.values())))
    aside = job.folder / ".evaluation-new"
    shutil.rmtree(aside, ignore_errors=True)
    evaluate(
        held_out.real,
        {job.contender.name: job.virtual},
        out=aside,
        source=held_out.source,
        reference=held_out.reference,
        protocol=plan.protocol,
        options=EvaluationOptions(
            metrics=plan.metrics,
            groups=plan.groups,
            compare_with=plan.compare_with,
            stainer=job.run.root,
            device=plan.device,
        ),
    )
    write_json(aside / ASKED, asked.model_dump(mode="json"))
    shutil.rmtree(job.evaluation, ignore_errors=True)
    aside.replace(job.evaluation)
