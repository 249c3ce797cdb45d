"""What a study ends in: ratings compared, choices counted, and non-inferiority within the margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from restain.metrics.statistics.significance import holm
from restain.stains import Floats
from restain.studies.agreements import Readings, arms_of, classes_of
from restain.studies.questions import Measure
from restain.studies.reader_statistics import (
    Labels,
    Paired,
    against_half,
    exact_share,
    kappa_difference,
    mean_difference,
    share_over_groups,
    signed_rank,
    stack,
)
from restain.studies.results import Choice, Estimate, Noninferiority, Rating

_LEAST = 1e-9  # of a mean difference: what is smaller is rounding


def ratings(of: Readings) -> Iterator[Rating]:
    """Second arm minus first arm of each measure, of the pool and of each reader; Holm over the measures."""
    if of.study.chosen:
        return
    groups = [(of.readers, True)] if len(of.readers) > 1 else []
    groups += [((reader,), False) for reader in of.readers]
    for readers, pooled in groups:
        made = [one for measure in of.measures if (one := _rating(of, measure, readers, pooled)) is not None]
        tested = [one for one in made if one.p is not None]
        corrected = dict(zip((one.measure for one in tested), holm([one.p or 0.0 for one in tested]), strict=True))
        for one in made:
            yield one.model_copy(update={"p_holm": corrected.get(one.measure)})


def _rating(of: Readings, measure: Measure, readers: tuple[str, ...], pooled: bool) -> Rating | None:
    numbers = stack([arms_of(of, measure.name, reader) for reader in readers])
    if not numbers.n:
        return None
    p, test = signed_rank(_group_means(numbers))
    return Rating(
        measure=measure.name,
        title=measure.title,
        readers=readers,
        pooled=pooled,
        first=float(numbers.first.mean()),
        second=float(numbers.second.mean()),
        difference=mean_difference(numbers, of.study.seed),
        first_counts=_counts(measure, numbers.first),
        second_counts=_counts(measure, numbers.second),
        p=p,
        p_holm=None,
        test=test,
    )


def _group_means(numbers: Paired) -> Floats:
    """Mean of second - first over the readings of each group of cases; exactly 0 where they cancel."""
    labels: Labels = np.unique(numbers.groups, return_inverse=True)[1]
    means = np.bincount(labels, weights=numbers.second - numbers.first) / np.bincount(labels)
    return np.asarray(np.where(np.abs(means) < _LEAST, 0.0, np.round(means, 9)))


def _counts(measure: Measure, values: Floats) -> tuple[int, ...]:
    if not measure.classes:
        return ()
    found = np.bincount([measure.class_of(value) for value in values], minlength=len(measure.classes))
    return tuple(int(count) for count in found)


def choices(of: Readings) -> Iterator[Choice]:
    """How often the real image was found (2AFC), single images were recognised, or the second arm preferred."""
    if not of.study.chosen:
        return
    count = _recognised if of.study.design == "single" else _choice
    groups = [(of.readers, True)] if len(of.readers) > 1 else []
    groups += [((reader,), False) for reader in of.readers]
    for readers, pooled in groups:
        made = count(of, readers, pooled)
        if made is not None:
            yield made


def _choice(of: Readings, readers: tuple[str, ...], pooled: bool) -> Choice | None:
    parts = [of.values("chosen", reader, None) for reader in readers]
    all_chosen = stack([of.paired(part, part) for part in parts])
    if not all_chosen.n:
        return None
    decided = all_chosen.first != 0.5
    hits = all_chosen.first[decided]
    if of.study.design == "2afc":  # the first arm is the real one
        hits = 1.0 - hits
    groups = all_chosen.groups[decided]
    count = int(hits.sum())
    return Choice(
        readers=readers,
        pooled=pooled,
        chosen=count,
        decided=len(hits),
        undecided=int((~decided).sum()),
        rate=exact_share(count, len(hits), len(np.unique(groups))),
        over_groups=share_over_groups(hits, groups, of.study.seed) if pooled else None,
        called_real={},
        p=against_half(count, len(hits)),
    )


def _recognised(of: Readings, readers: tuple[str, ...], pooled: bool) -> Choice | None:
    """Single images that were called what they are; a reader reads both images of a case, so cases are resampled."""
    name = of.measures[0].name
    real, virtual = (
        stack([of.paired(part, part) for part in (of.values(name, reader, arm) for reader in readers)])
        for arm in ("first", "second")
    )
    hits = np.concatenate([1.0 - real.first, virtual.first])  # 0 is "real", 1 "virtual"
    if not len(hits):
        return None
    groups = np.concatenate([real.groups, virtual.groups])
    count = int(hits.sum())
    return Choice(
        readers=readers,
        pooled=pooled,
        chosen=count,
        decided=len(hits),
        undecided=0,
        rate=exact_share(count, len(hits), len(np.unique(groups))),
        over_groups=share_over_groups(hits, groups, of.study.seed),
        called_real={
            arm: exact_share(int((1.0 - part.first).sum()), part.n, part.group_count)
            for arm, part in zip(of.names.values(), (real, virtual), strict=True)
        },
        p=against_half(count, len(hits)),
    )


def noninferiority(of: Readings, choices: Sequence[Choice]) -> Iterator[Noninferiority]:
    """Virtual against real within the margin of ``study.yaml``; nothing where two systems are compared."""
    if of.names["first"] != "real":
        return
    if of.study.design == "score":
        yield from (_interchange(of, measure) for measure in of.measures if measure.classes)
    elif of.study.design == "quality":
        for measure in of.measures:
            numbers = stack([arms_of(of, measure.name, reader) for reader in of.readers])
            estimate = mean_difference(numbers, of.study.seed)
            yield _above(f"{measure.title}: virtual minus real, points", estimate, -of.study.margin, of.study.margin)
    elif choices:
        pool = choices[0]  # or the only reader
        # Where all cases gave the same share, resampling them says nothing; the exact interval does.
        estimate = pool.over_groups if pool.over_groups and pool.over_groups.ci95 else pool.rate
        if of.study.design == "2afc":
            yield _below("Share of pairs in which the real image was found", estimate, of.study.margin)
        elif of.study.design == "single":
            yield _below("Share of images that were called what they are", estimate, of.study.margin)
        else:
            what = "Share of decided pairs in which virtual was preferred"
            yield _above(what, estimate, 0.5 - of.study.margin, of.study.margin)


def _interchange(of: Readings, measure: Measure) -> Noninferiority:
    """What agreement between readers loses when one of them reads virtual in place of real images.

    Source: Obuchowski, Subhas, Schoenhagen, Academic Radiology 21 (2014), interchangeability, with kappa as the
    agreement.
    """
    new, old = [], []
    for reader, other in permutations(of.readers, 2):
        virtual, real = (of.values(measure.name, reader, arm) for arm in ("second", "first"))
        reference = of.values(measure.name, other, "first")
        common = {case for case in virtual if case in real and case in reference}
        keep = [{case: value for case, value in one.items() if case in common} for one in (virtual, real, reference)]
        new.append(classes_of(measure, of.paired(keep[2], keep[0])))
        old.append(classes_of(measure, of.paired(keep[2], keep[1])))
    what = f"{measure.title}: kappa between readers, one on virtual, minus both on real"
    if not new:
        estimate = Estimate(value=None, ci95=None, n=0, groups=0, note="needs at least two readers")
    else:
        estimate = kappa_difference(stack(new), stack(old), of.study.seed)
    return _above(what, estimate, -of.study.margin, of.study.margin)


def _above(what: str, estimate: Estimate, limit: float, margin: float) -> Noninferiority:
    bound = estimate.ci95[0] if estimate.ci95 else None
    return _conclude(what, estimate, margin, bound, None if bound is None else bound > limit, limit)


def _below(what: str, estimate: Estimate, margin: float) -> Noninferiority:
    bound, limit = estimate.ci95[1] if estimate.ci95 else None, 0.5 + margin
    return _conclude(what, estimate, margin, bound, None if bound is None else bound < limit, limit)


def _conclude(
    what: str, estimate: Estimate, margin: float, bound: float | None, shown: bool | None, limit: float
) -> Noninferiority:
    if bound is None:
        sentence = f"Not computed: {estimate.note}."
    else:
        ends = f"(end of the interval {bound:.3f}, limit {limit:.3f})"
        sentence = f"Within the margin of {margin:g} {ends}." if shown else f"Not shown within {margin:g} {ends}."
    return Noninferiority(what=what, estimate=estimate, margin=margin, bound=bound, shown=shown, sentence=sentence)
