"""Can this be used? Five sentences made from the numbers of an evaluation, each with a colour by a stated threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from restain.evaluation.schema import Score
from restain.metrics.statistics.agreement import agreement_icc
from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.readings import Reading, positivity
from restain.reporting.tables import Numbers

Colour: TypeAlias = Literal["green", "amber", "red", "grey"]  # grey: could not be computed

R_GREEN, R_RED = 0.9, 0.5  # Pearson's r of the amount over fields
PLACE_GREEN, PLACE_RED = 0.5, 0.2  # correlation of DAB over a grid in each field; chance is 0
BIAS_GREEN, BIAS_RED = 5.0, 15.0  # percentage points
LIMIT_GREEN, LIMIT_RED = 15.0, 30.0  # percentage points, of the further limit of agreement
WORDS = ((0.9, "excellent"), (0.75, "good"), (0.5, "moderate"), (-np.inf, "poor"))  # Koo and Li 2016
BASELINES_GREEN, BASELINES_RED = 0.9, 0.5  # share of the scores
FIELDS_GREEN, SLIDES_GREEN = 100, 20
FIELDS_RED, SLIDES_RED = 20, 5

THRESHOLDS = {
    "Amount and place": (
        f"green: r at least {R_GREEN:g} and grid correlation at least {PLACE_GREEN:g}; red: r below {R_RED:g}, or grid "
        f"correlation below {PLACE_RED:g}"
    ),
    "Bias": (
        f"green: bias within {BIAS_GREEN:g} and limits of agreement within {LIMIT_GREEN:g} percentage points; "
        f"red: bias beyond {BIAS_RED:g}, or a limit beyond {LIMIT_RED:g}"
    ),
    "Agreement": (
        "intraclass correlation, in the words of Koo and Li (2016): below 0.5 poor (red), to 0.75 moderate (amber), to "
        "0.9 good, above excellent (both green)"
    ),
    "Baselines": (
        f"green: better than every baseline in at least {100 * BASELINES_GREEN:g} % of the scores that vote; "
        f"red: in less than {100 * BASELINES_RED:g} %"
    ),
    "Evidence": (
        f"green: at least {FIELDS_GREEN} fields of {SLIDES_GREEN} slides; "
        f"red: fewer than {FIELDS_RED} fields, or fewer than {SLIDES_RED} slides"
    ),
}
_HEADLINES: dict[Colour, str] = {
    "green": "Nothing in these numbers speaks against it, for research",
    "amber": "Only with care",
    "red": "Not as it is",
    "grey": "The evaluation does not show it",
}


@dataclass(frozen=True)
class Finding:
    """One sentence and its colour; ``title`` is a key of ``THRESHOLDS``."""

    title: str
    colour: Colour
    sentence: str


@dataclass(frozen=True)
class Usability:
    """The box of one virtual stain."""

    stain: str
    findings: tuple[Finding, ...]

    @property
    def colour(self) -> Colour:
        """The worst of the sentences; amber where one could not be computed, grey where none but the evidence was."""
        colours = [finding.colour for finding in self.findings]
        if set(colours[:-1]) == {"grey"}:
            return "grey"
        return "red" if "red" in colours else "green" if set(colours) == {"green"} else "amber"

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        return _HEADLINES[self.colour]


def usability(evaluation: EvaluationFiles, stain: str) -> Usability:
    """The answer for one virtual stain."""
    reading, table = positivity(evaluation), evaluation.tables.get(stain)
    virtual = true = np.array([])
    if reading is not None and table is not None:
        virtual, true = reading.virtual(table), reading.true(table)
    names = table.columns["id"] if table is not None else ()
    known = np.isfinite(virtual) & np.isfinite(true)
    return Usability(
        stain,
        (
            _amount(evaluation, stain),
            _bias(reading, virtual[known], true[known]),
            _agreement(reading, virtual[known], true[known]),
            _baselines(evaluation, stain),
            _evidence(evaluation, reading, virtual, true, names),
        ),
    )


def limits_of_agreement(virtual: Numbers, true: Numbers) -> tuple[float, float, float]:
    """Bias, and the lower and upper limit: mean of the differences, and 1.96 standard deviations to both sides.

    Source: Bland and Altman, Lancet 327 (1986).
    """
    difference = virtual - true
    bias, spread = float(difference.mean()), float(1.96 * difference.std(ddof=1))
    return bias, bias - spread, bias + spread


def _score(evaluation: EvaluationFiles, stain: str, metric: str) -> Score | None:
    return next((row.scores.get(stain) for row in evaluation.rows if row.name == metric), None)


def _graded(value: float, green: float, red: float) -> Colour:
    """Colour of a number that is better when larger."""
    return "green" if value >= green else "red" if value < red else "amber"


def _amount(evaluation: EvaluationFiles, stain: str) -> Finding:
    title, r, place = "Amount and place", *(_score(evaluation, stain, name) for name in ("dab_pearson_r", "dab_grid_r"))
    if r is None:
        return Finding(title, "grey", "Whether the amount of stain follows the truth was not computed.")
    colours = [_graded(r.mean, R_GREEN, R_RED)]
    verb = {"green": "follows", "amber": "partly follows", "red": "hardly follows"}[colours[0]]
    text = f"The amount of stain {verb} the truth from field to field (r {r.mean:.2f}{_interval(r)})"
    if place is not None:
        colours.append(_graded(place.mean, PLACE_GREEN, PLACE_RED))
        where = {"green": "the right places", "amber": "partly the right places", "red": "the wrong places"}[colours[1]]
        text += f"; within a field it lies in {where} (grid correlation {place.mean:.2f}, chance is 0)"
    worst: Colour = "red" if "red" in colours else "amber" if "amber" in colours else "green"
    return Finding(title, worst, f"{text}.".replace("-", "−"))


def _interval(score: Score) -> str:
    return f", 95 % interval {score.ci95[0]:.2f} to {score.ci95[1]:.2f}" if score.ci95 else ""


def _bias(reading: Reading | None, virtual: Numbers, true: Numbers) -> Finding:
    if reading is None or len(virtual) < 2:
        return Finding("Bias", "grey", "The bias of positivity was not computed.")
    bias, low, high = limits_of_agreement(virtual, true)
    further = max(abs(low), abs(high))
    colour: Colour = "amber"
    if reading.unit == "%":
        if abs(bias) <= BIAS_GREEN and further <= LIMIT_GREEN:
            colour = "green"
        elif abs(bias) > BIAS_RED or further > LIMIT_RED:
            colour = "red"
    amount = reading.difference(abs(bias)).lstrip("+")
    nothing = amount == reading.difference(0.0)
    where = "off" if nothing else "too high" if bias > 0 else "too low"
    return Finding(
        "Bias",
        colour,
        f"{reading.title}: {amount} {where} on average; 95 % of fields differ from the truth by "
        f"{reading.difference(low)} to {reading.difference(high)}.",
    )


def _agreement(reading: Reading | None, virtual: Numbers, true: Numbers) -> Finding:
    if reading is None or len(virtual) < 3 or np.ptp(np.concatenate([virtual, true])) == 0:
        return Finding("Agreement", "grey", "The agreement with the truth was not computed.")
    icc = float(agreement_icc(virtual, true))
    word = next(word for least, word in WORDS if icc >= least)
    colour: Colour = {"poor": "red", "moderate": "amber"}.get(word, "green")  # type: ignore[assignment]
    text = f"Agreement of {reading.title.lower()} with the truth is {word} (intraclass correlation {icc:.2f})."
    return Finding("Agreement", colour, text.replace("-", "−").replace("dab", "DAB"))


def _baselines(evaluation: EvaluationFiles, stain: str) -> Finding:
    voting = set(evaluation.summary.ranking.metrics) if evaluation.summary.ranking else set()
    others = [name for name in evaluation.systems if name not in evaluation.stains]
    rows = [row for row in evaluation.rows if row.name in voting and stain in row.scores]
    if not others or not rows:
        return Finding("Baselines", "grey", "There was no baseline to compare with.")
    better = 0
    for row in rows:
        sign = -1 if row.described.direction == "lower" else 1
        better += all(
            sign * row.scores[stain].mean > sign * row.scores[name].mean for name in others if name in row.scores
        )
    colour = _graded(better / len(rows), BASELINES_GREEN, BASELINES_RED)
    names = " and ".join(others)
    return Finding(
        "Baselines",
        colour,
        f"It is better than what learns nothing ({names}) in {better} of {len(rows)} scores.",
    )


def _evidence(
    evaluation: EvaluationFiles, reading: Reading | None, virtual: Numbers, true: Numbers, names: tuple[str, ...]
) -> Finding:
    fields, slides = evaluation.summary.n, evaluation.summary.groups.count
    if fields < FIELDS_RED or (slides is not None and slides < SLIDES_RED):
        colour: Colour = "red"
    else:
        colour = "green" if fields >= FIELDS_GREEN and slides is not None and slides >= SLIDES_GREEN else "amber"
    of = f"of {slides} slides" if slides is not None else "of an unknown number of slides"
    text = f"This rests on {fields} fields {of}"
    errors = np.abs(virtual - true)
    if reading is not None and np.isfinite(errors).any():
        worst = int(np.nanargmax(errors))
        text += (
            f"; the worst field, {names[worst]}, has {reading.text(float(virtual[worst]))} instead of "
            f"{reading.text(float(true[worst]))} {reading.title.lower().replace('dab', 'DAB')}"
        )
    return Finding("Evidence", colour, f"{text}.")
