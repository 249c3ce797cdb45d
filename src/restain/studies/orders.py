"""Who reads what, in which order: drawn once, from the seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restain.studies.study_files import Item, ReaderOrder

Pair = tuple[str, str]  # the images of a case: of the first arm, of the second


def crossover(pairs: Sequence[Pair], repeats: int, generator: np.random.Generator) -> ReaderOrder:
    """Sessions of single images: each case once in each session, half the cases first in one arm, half in the other.

    No session shows a case twice, so that a reader cannot compare the two images of a case. The repeats are a third
    session, half of them of each arm.
    """
    starts = _halves(len(pairs), generator)
    sessions = [
        _shuffled([(pair[start],) for pair, start in zip(pairs, starts, strict=True)], generator),
        _shuffled([(pair[1 - start],) for pair, start in zip(pairs, starts, strict=True)], generator),
    ]
    if repeats:
        again = generator.permutation(len(pairs))[:repeats]
        arms = _halves(repeats, generator)
        sessions.append(_shuffled([(pairs[index][arm],) for index, arm in zip(again, arms, strict=True)], generator))
    return ReaderOrder(sessions=tuple(sessions))


def side_by_side(pairs: Sequence[Pair], repeats: int, generator: np.random.Generator) -> ReaderOrder:
    """One session of pairs, each arm on the left in half the cases; the repeats are a second one, sides drawn again."""
    sessions = [place_sides(pairs, generator)]
    if repeats:
        again = generator.permutation(len(pairs))[:repeats]
        sessions.append(place_sides([pairs[index] for index in again], generator))
    return ReaderOrder(sessions=tuple(sessions))


def place_sides(pairs: Sequence[Pair], generator: np.random.Generator) -> tuple[Item, ...]:
    """Pairs in random order, with one arm on the left in half of them."""
    turned = _halves(len(pairs), generator)
    return _shuffled([pair[::-1] if turn else pair for pair, turn in zip(pairs, turned, strict=True)], generator)


def _halves(count: int, generator: np.random.Generator) -> list[int]:
    """0 and 1 equally often (one more of either where the count is odd), in random order."""
    odd = int(generator.integers(2))
    return [int(value) for value in generator.permutation([(place + odd) % 2 for place in range(count)])]


def _shuffled(items: Sequence[Item], generator: np.random.Generator) -> tuple[Item, ...]:
    return tuple(items[index] for index in generator.permutation(len(items)))
