"""The page: what the readers found, chosen, drawn and put into words, in one self-contained HTML file."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from restain.errors import RestainError
from restain.files import write_text
from restain.reporting.belonging import Belonging, belonging
from restain.reporting.evaluation_files import EvaluationFiles, half_width, read_evaluation, shown_name
from restain.reporting.fields import fields_section
from restain.reporting.history import attention_section, curves_uri, sample_section
from restain.reporting.labels import FAMILIES, label, number, without_paths
from restain.reporting.plots import agreement_plots, her2_confusions
from restain.reporting.provenance import facts, provenance
from restain.reporting.readings import relevant_metrics
from restain.reporting.run_files import RunFiles, read_run
from restain.reporting.score_table import (
    differences_table,
    distributions_uri,
    published_table,
    scores_table,
)
from restain.reporting.slide_pictures import SlideView, slide_views
from restain.reporting.tables import as_number
from restain.reporting.usability import THRESHOLDS, usability


def report(
    out: str | Path,
    *,
    run: str | Path | None = None,
    evaluation: str | Path | None = None,
    slides: str | Path | None = None,
    images: int = 6,
    force: bool = False,
) -> Path:
    """Write one HTML page that shows what a stainer does: fields, scores, attention, training, origin.

    The page holds every picture inside itself and asks nothing of a network. It reads files only: a run or an
    evaluation made on another machine serves as well.

    Args:
        out: the page to write, ``*.html``; replaced whole or not at all.
        run: run folder of ``restain train``; without it the page states that it has no training part.
        evaluation: folder of ``restain evaluate``; without it the page states that it has no fields and scores.
        slides: folder of ``restain slide``; the page shows its first slides.
        images: fields of view shown side by side, >= 1.
        force: write the page although the evaluated images were made by another stainer than the run's; the page
            states this.

    Returns:
        ``out``.

    Raises:
        RestainError: neither part was given, a folder is not what it should be, a file in it is broken, or the run and
            the evaluation do not belong together.
    """
    out = Path(out)
    if run is None and evaluation is None:
        raise RestainError("report: neither a run nor an evaluation was given; expected at least one of the two")
    if images < 1:
        raise RestainError(f"report: images is {images}; expected at least 1")
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise RestainError(f"{out}: is no name for a page; expected a file that ends in .html")
    files = read_run(Path(run)) if run is not None else None
    scores = read_evaluation(Path(evaluation)) if evaluation is not None else None
    related = belonging(files, scores) if files and scores else None
    if related and related.state == "no" and not force:
        raise RestainError(f"{related.sentence} Give --force to write the page with this sentence on it.")
    views = slide_views(Path(slides)) if slides is not None else ()
    write_text(out, _render(files, scores, related, views, images))
    return out


def page_templates(*packages: str) -> Environment:
    """The templates of this package and of others, with what every page needs."""
    pages = Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in ("restain.reporting", *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["without_paths"] = without_paths
    pages.globals.update(number=number, label=label)
    return pages


def _render(
    run: RunFiles | None,
    evaluation: EvaluationFiles | None,
    related: Belonging | None,
    slides: tuple[SlideView, ...],
    images: int,
) -> str:
    pages = page_templates()
    pages.globals.update(families=FAMILIES, half_width=half_width, shown_name=shown_name, thresholds=THRESHOLDS)
    stain = _stain(run, evaluation)
    fields = fields_section(evaluation, images, _mpp(run, evaluation)) if evaluation else None
    return pages.get_template("page.html.j2").render(
        title=f"Virtual {stain or 'IHC'} stain",
        date=datetime.now().astimezone(),
        recipe=run.recipe_name if run else "",
        facts=facts(run, evaluation),
        run=run,
        evaluation=evaluation,
        related=related,
        fields=fields,
        table=scores_table(evaluation) if evaluation else None,
        differences=differences_table(evaluation) if evaluation else ([], []),
        published=published_table(evaluation) if evaluation else ([], []),
        distributions=distributions_uri(evaluation) if evaluation else None,
        boxes=[usability(evaluation, stain) for stain in evaluation.stains] if evaluation else [],
        plots=agreement_plots(evaluation, fields.marks) if evaluation and fields else [],
        confusions=her2_confusions(evaluation) if evaluation else [],
        relevant=relevant_metrics(evaluation) if evaluation else set(),
        slides=slides,
        attention=attention_section(run) if run else None,
        curves=curves_uri(run) if run else None,
        samples=sample_section(run) if run else None,
        provenance=provenance(run, evaluation),
    )


def _stain(run: RunFiles | None, evaluation: EvaluationFiles | None) -> str:
    """The marker's name, as the run has it, or else as the stainers of the evaluated images have it."""
    if run and run.stainer.get("stain"):
        return str(run.stainer["stain"])
    names = {one.stain for one in evaluation.summary.stainers.values()} if evaluation else set()
    return (names.pop() or "") if len(names) == 1 else ""


def _mpp(run: RunFiles | None, evaluation: EvaluationFiles) -> float | None:
    """Of the images, as the evaluation knows it, or else as the run does."""
    value = evaluation.summary.mpp or (as_number(run.stainer.get("mpp")) if run else math.nan)
    return value if 0 < value < math.inf else None
