"""What an evaluation says in sentences: a verdict on every virtual stain, and warnings about the inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from restain.evaluation.inputs import UNCHANGED, role_of
from restain.evaluation.results import System
from restain.evaluation.schema import Ranks
from restain.metrics import Estimate, Metric
from restain.metrics.statistics.ranking import PLACEMENT

AMOUNT = "dab_mean_od"
_AMISS = 1.25  # ratio of the amounts of DAB from which a stain is called too strong, or too weak
_TOO_GOOD = 0.95  # Dice of the DAB to the pixel, beyond what a prediction from H&E reaches
_MOST_STAINED = 0.6  # share of the pixels: above it Dice is high by chance
_LISTED = 6  # names of metrics before "and n more"
_AREA_UM2 = (25.0, 70.0)  # median nuclear area that is usual in tissue


def verdict_on(
    system: System, baselines: Sequence[System], metrics: Sequence[Metric], ranking: Ranks | None, identical: bool
) -> str:
    """One or two sentences on a virtual stain.

    Args:
        system: the virtual stain.
        baselines: what it has to be better than.
        metrics: that were asked for.
        ranking: whose voting metrics are counted.
        identical: whether its files are those of the real stain.
    """
    if identical:
        return "is the real stain itself: its files are those of the real images"
    unchanged = next((one for one in baselines if one.name == UNCHANGED), None)
    if unchanged and _same(system, unchanged, metrics):
        return "equals the H&E in all scores: nothing was stained"
    parts = [
        _placement(system, ranking),
        _families(system, ranking),
        _amount(system),
        _against_baselines(system, baselines, metrics, ranking),
    ]
    return "; ".join(part for part in parts if part) or "has no score that votes, so it cannot be ranked"


def _same(system: System, other: System, metrics: Sequence[Metric]) -> bool:
    pairs = [(system.estimates.get(metric.name), other.estimates.get(metric.name)) for metric in metrics]
    known = [(one.value, two.value) for one, two in pairs if one and two]
    return bool(known) and all(one == two for one, two in known)


def _placement(system: System, ranking: Ranks | None) -> str:
    if ranking is None or system.name not in ranking.displaced:
        return ""
    found = system.estimates.get(PLACEMENT)
    r = f"{found.value:.2f}" if found else "no value"
    return f"stains the wrong places ({PLACEMENT} {r}, chance is 0), so it ranks behind all that do not"


def _families(system: System, ranking: Ranks | None) -> str:
    lost = ranking.failed.get(system.name, []) if ranking else []
    return f"is no better than the H&E unchanged in {' and '.join(lost)}" if lost else ""


def _amount(system: System) -> str:
    found = [system.estimates.get(name) for name in (AMOUNT, f"{AMOUNT}_real")]
    if found[0] is None or found[1] is None or found[1].value <= 0:
        return ""
    ratio = found[0].value / found[1].value
    if 1 / _AMISS <= ratio <= _AMISS:
        return ""
    word = "little" if ratio < 1 else "much"
    return f"stains too {word}: mean DAB {found[0].value:.3f} OD, the real stain has {found[1].value:.3f}"


def _against_baselines(
    system: System, baselines: Sequence[System], metrics: Sequence[Metric], ranking: Ranks | None
) -> str:
    voting = [metric for metric in metrics if ranking and metric.name in ranking.metrics]
    if not voting or not baselines:
        return ""
    lost = [metric.name for metric in voting if any(loses(metric, system, one) for one in baselines)]
    if not lost:
        return f"is better than the baselines in all {len(voting)} scores that vote"
    named = ", ".join(lost[:_LISTED]) + (f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else "")
    return f"is not better than a baseline in {len(lost)} of {len(voting)} scores that vote: {named}"


def loses(metric: Metric, system: System, baseline: System) -> bool:
    """Whether a system's score is not better than that of a baseline; a missing score loses to one that is there."""
    own, other = system.estimates.get(metric.name), baseline.estimates.get(metric.name)
    if other is None or metric.direction == "none":
        return False
    if own is None:
        return True
    return own.value <= other.value if metric.direction == "higher" else own.value >= other.value


def identical_systems(systems: Sequence[System], hashes: Mapping[tuple[str, str], str]) -> dict[str, int]:
    """How many files of each virtual stain are byte for byte those of the real stain, where any are."""
    ids = [name for role, name in hashes if role == "real"]
    counts = {
        system.name: sum(hashes[role_of(system.name), name] == hashes["real", name] for name in ids)
        for system in systems
    }
    return {name: count for name, count in counts.items() if count}


def warn_of_inputs(
    systems: Sequence[System],
    hashes: Mapping[tuple[str, str], str],
    reference: Mapping[str, str],
    mpp: float | None,
    mpp_source: str,
) -> list[str]:
    """What is suspicious about the inputs, a sentence each."""
    total = sum(role == "real" for role, _ in hashes)
    identical = identical_systems(systems, hashes)
    warnings = [
        f"{count} of {total} images of {name} are the real images themselves, byte for byte"
        for name, count in identical.items()
    ]
    warnings += [
        f"{system.name} agrees with the real stain to the pixel (dab_dice {dice.value:.2f}), which no prediction does: "
        "are its images the real ones, processed?"
        for system in systems
        if system.name not in identical and (dice := _too_good(system))
    ]
    evaluated = {digest for (role, _), digest in hashes.items() if role == "real"}
    shared = [name for name, digest in reference.items() if digest in evaluated]
    if shared:
        warnings.append(
            f"{len(shared)} of {len(reference)} reference images are among the real images that are evaluated "
            f"(such as {shared[0]}): the colour transfer has seen the truth"
        )
    if mpp is None:
        warnings.append(
            f"the pixel size is {mpp_source}; place is measured as if it were 0.5 µm, cells are not counted"
        )
    found = systems[0].estimates.get("nuclear_area_real")
    if found and math.isfinite(found.value) and not _AREA_UM2[0] <= found.value <= _AREA_UM2[1]:
        warnings.append(
            f"the nuclei of the real images have a median area of {found.value:.0f} µm², usual are "
            f"{_AREA_UM2[0]:.0f} to {_AREA_UM2[1]:.0f}: the pixel size of {mpp:g} µm ({mpp_source}) may be wrong"
        )
    return warnings


def _too_good(system: System) -> Estimate | None:
    """The Dice coefficient of the DAB, where it is higher than a prediction can be."""
    dice, area = (system.estimates.get(name) for name in ("dab_dice", "dab_positive_area_real"))
    return dice if dice and dice.value >= _TOO_GOOD and area and area.value <= _MOST_STAINED else None
