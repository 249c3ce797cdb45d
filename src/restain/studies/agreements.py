"""Agreement, confusion, ratings, choices and non-inferiority, from the readings of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from restain.stains import Floats
from restain.studies.questions import Measure
from restain.studies.reader_statistics import (
    Paired,
    exact_share,
    icc,
    kappa,
    mean_difference,
    stack,
)
from restain.studies.readings import Arm, Reading
from restain.studies.results import Agreement, AtCutoff, Confusion, Estimate
from restain.studies.study_files import Study

Parts: TypeAlias = dict[tuple[str, ...], Paired]  # by the readers


@dataclass(frozen=True)
class Readings:
    """The readings of a study, looked up by reader, arm and case.

    Attributes:
        study: what was decided.
        names: of the arms.
        readings: all of them, without training cases.
    """

    study: Study
    names: Mapping[Arm, str]
    readings: tuple[Reading, ...]

    @property
    def readers(self) -> tuple[str, ...]:
        """In the order of ``study.yaml``."""
        return tuple(self.study.readers)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Numbers that the questions give."""
        return tuple(measure for question in self.study.questions for measure in question.measures())

    def values(self, measure: str, reader: str, arm: Arm | None, *, repeat: bool = False) -> dict[str, float]:
        """Numbers of a reader by case; of pairs where ``arm`` is None. Repeats are apart from first readings."""
        return {
            one.case: one.values[measure]
            for one in self.readings
            if one.reader == reader
            and one.repeat == repeat
            and measure in one.values
            and (arm is None or one.arm == arm)
        }

    def paired(self, first: Mapping[str, float], second: Mapping[str, float]) -> Paired:
        """The cases that both have."""
        common = [case for case in first if case in second]
        return Paired(
            np.array([first[case] for case in common], dtype=np.float64),
            np.array([second[case] for case in common], dtype=np.float64),
            np.array([self.study.cases[case].group for case in common], dtype=np.int64),
        )


def agreements(of: Readings) -> Iterator[Agreement]:
    """Arm against arm, reader against reader on each arm, and each reader with himself or herself."""
    first, second = of.names["first"], of.names["second"]
    for measure in of.measures:
        between_arms: Parts = {(reader,): arms_of(of, measure.name, reader) for reader in of.readers}
        if of.study.design == "score":
            yield from _with_pool(of, measure, f"{second} and {first}, same reader", between_arms)
        for arm, name in of.names.items():
            between_readers: Parts = {
                pair: of.paired(*(of.values(measure.name, reader, arm) for reader in pair))
                for pair in combinations(of.readers, 2)
            }
            yield from _with_pool(of, measure, f"different readers, {name}", between_readers)
        within: Parts = {
            (reader,): stack([_again(of, measure.name, reader, arm) for arm in of.names]) for reader in of.readers
        }
        yield from _with_pool(of, measure, "same reader, same image read twice", within)
    if of.study.paired:
        again: Parts = {(reader,): _again(of, "chosen", reader, None) for reader in of.readers}
        chosen = Measure("chosen", "Choice", "", (first, "neither", second), (0.5, 1.0))
        yield from _with_pool(of, chosen, "same reader, same pair read twice", again)


def arms_of(of: Readings, measure: str, reader: str) -> Paired:
    """A reader's numbers on the first arm and on the second, of the same cases."""
    return of.paired(of.values(measure, reader, "first"), of.values(measure, reader, "second"))


def _again(of: Readings, measure: str, reader: str, arm: Arm | None) -> Paired:
    return of.paired(of.values(measure, reader, arm), of.values(measure, reader, arm, repeat=True))


def _with_pool(of: Readings, measure: Measure, comparison: str, parts: Parts) -> Iterator[Agreement]:
    """One row for each entry that has readings, and one for all of them together where there are several."""
    held = {readers: part for readers, part in parts.items() if part.n}
    for readers, part in held.items():
        yield _agreement(of, measure, comparison, readers, part, pooled=False)
    if len(held) > 1:
        everybody = tuple(sorted({reader for readers in held for reader in readers}, key=of.readers.index))
        yield _agreement(of, measure, comparison, everybody, stack(list(held.values())), pooled=True)


def _agreement(
    of: Readings, measure: Measure, comparison: str, readers: tuple[str, ...], numbers: Paired, *, pooled: bool
) -> Agreement:
    seed = of.study.seed
    classes = classes_of(measure, numbers) if measure.classes else None
    same = int((classes.first == classes.second).sum()) if classes else 0
    is_number = bool(measure.unit) or not measure.classes
    return Agreement(
        measure=measure.name,
        title=measure.title,
        comparison=comparison,
        readers=readers,
        pooled=pooled,
        kappa=kappa(classes, seed) if classes else None,
        icc=icc(numbers, seed) if is_number else None,
        identical=exact_share(same, numbers.n, numbers.group_count) if classes else None,
        bias=mean_difference(numbers, seed) if is_number else None,
    )


def classes_of(measure: Measure, numbers: Paired) -> Paired:
    """The classes that numbers fall into, as 0, 1, 2 and so on."""

    def classified(values: Floats) -> Floats:
        return np.array([measure.class_of(value) for value in values], dtype=np.float64)

    return Paired(classified(numbers.first), classified(numbers.second), numbers.groups)


def confusions(of: Readings) -> Iterator[Confusion]:
    """Classes of the first arm against those of the second, of each reader and of all."""
    if of.study.design != "score":
        return
    for measure in of.measures:
        parts = {(reader,): arms_of(of, measure.name, reader) for reader in of.readers}
        held = {readers: part for readers, part in parts.items() if part.n}
        if measure.classes and held:
            yield _confusion(of, measure, of.readers, classes_of(measure, stack(list(held.values()))))
            for readers, part in held.items() if len(held) > 1 else ():
                yield _confusion(of, measure, readers, classes_of(measure, part))


def _confusion(of: Readings, measure: Measure, readers: tuple[str, ...], classes: Paired) -> Confusion:
    count = len(measure.classes)
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (classes.first.astype(np.int64), classes.second.astype(np.int64)), 1)
    return Confusion(
        measure=measure.name,
        title=measure.title,
        readers=readers,
        classes=measure.classes,
        table=tuple(tuple(int(cell) for cell in row) for row in table),
        cutoffs=tuple(_at_cutoff(measure, classes, cutoff) for cutoff in _cutoffs(of.study, measure)),
    )


def _cutoffs(study: Study, measure: Measure) -> tuple[int, ...]:
    """Classes from which on a reading counts as positive."""
    for question in study.questions:
        if question.kind == "choice" and question.id == measure.name:
            return question.cutoffs
    return tuple(range(1, len(measure.classes)))


def _at_cutoff(measure: Measure, classes: Paired, cutoff: int) -> AtCutoff:
    reference, other = classes.first >= cutoff, classes.second >= cutoff

    def share(hits: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> Estimate:
        return exact_share(int((hits & among).sum()), int(among.sum()), len(np.unique(classes.groups[among])))

    return AtCutoff(
        cutoff=measure.classes[cutoff],
        positive=share(other, reference),
        negative=share(~other, ~reference),
        overall=share(other == reference, np.ones_like(reference)),
    )
