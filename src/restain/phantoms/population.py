"""The cells of a virtual slide: where they lie and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restain.phantoms.cells import Box, Cells, Kind
from restain.phantoms.field import Array, Integers, hash_normal, hash_uniform
from restain.phantoms.markers import RULES
from restain.phantoms.tissue import Anatomy
from restain.types import mix_seed

_IRREGULARITY = {Kind.FIBROBLAST: 0.15, Kind.LYMPHOCYTE: 0.05}  # of the nuclear outline


@dataclass(frozen=True)
class _Places:
    """Cells' hash places and positions, and which of them are others than in the first section."""

    iy: Integers
    ix: Integers
    y: Array
    x: Array
    replaced: npt.NDArray[np.bool_]

    def take(self, index: npt.NDArray[np.generic]) -> _Places:
        return _Places(**{name: column[index] for name, column in vars(self).items()})


class Population:
    """All cells of one slide stained for one marker, asked for by rectangle.

    Args:
        anatomy: the slide's tissue.
        marker: a key of ``RULES``.
        turnover: fraction of the cells that are others than in the section drawn with ``turnover=0``, as happens
            between consecutive sections a few microns apart.
    """

    def __init__(self, anatomy: Anatomy, marker: str, turnover: float = 0.0) -> None:
        self.anatomy = anatomy
        self.rule = RULES[marker]
        self.turnover = turnover
        self.spacing = 11.2 + 0.9 * anatomy.grade  # between tumour cells
        self._clone = anatomy.noise("clone", 90.0)
        self._clone_fine = anatomy.noise("clone-fine", 35.0)

    def inside(self, box: Box) -> Cells:
        """The cells whose centres lie in the rectangle, top and left edges included."""
        parts = [self._tumour(box), self._fibroblasts(box), self._lymphocytes(box)]
        return Cells(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])})

    def _scatter(self, name: str, spacing: float, box: Box) -> _Places:
        """Jittered lattice points pushed apart twice by their neighbours, so that nuclei do not pile up."""
        rows = np.arange(int(np.floor(box.top / spacing)) - 4, int(np.ceil(box.bottom / spacing)) + 5)
        columns = np.arange(int(np.floor(box.left / spacing)) - 4, int(np.ceil(box.right / spacing)) + 5)
        iy, ix = (grid.copy() for grid in np.meshgrid(rows, columns, indexing="ij"))
        key = self.anatomy.seed(name)
        y = iy + 0.9 * (hash_uniform(key, iy, ix) - 0.5)
        x = ix + 0.9 * (hash_uniform(key + 1, iy, ix) - 0.5) + 0.5 * (iy % 2)
        for _ in range(2):
            y, x = _push_apart(y, x)
            iy, ix = iy[1:-1, 1:-1], ix[1:-1, 1:-1]
        successor = self.anatomy.seed(f"{name}-successor")
        replaced = np.asarray(hash_uniform(successor, iy, ix) < self.turnover)
        y = (y + replaced * 0.5 * (hash_uniform(successor + 1, iy, ix) - 0.5)) * spacing
        x = (x + replaced * 0.5 * (hash_uniform(successor + 2, iy, ix) - 0.5)) * spacing
        keep = (y >= box.top) & (y < box.bottom) & (x >= box.left) & (x < box.right)
        return _Places(iy, ix, y, x, replaced).take(keep)

    def _draws(self, name: str, at: _Places) -> _Draws:
        """Random numbers of each cell; a replaced cell has those of its successor."""
        return _Draws(self.anatomy.seed(name), self.anatomy.seed(f"{name}-successor"), at)

    def _tumour(self, box: Box) -> Cells:
        at = self._scatter("tumour", self.spacing, box)
        plan = self.anatomy.plan(at.y, at.x)
        keep = (plan.depth > 2.5) & (plan.lumen < -3.0) & (plan.tissue > 0)
        at = at.take(keep)
        depth, lumen, solid, grade = (v[keep] for v in (plan.depth, plan.lumen, plan.solid, plan.grade))
        draws = self._draws("tumour", at)

        size = 0.6 * grade + 0.8 * draws.normal(0)
        coarseness = 0.6 * grade + 0.8 * draws.normal(1)
        radius = np.clip((4.0 + 0.3 * self.anatomy.grade) * (1.0 + 0.15 * size), 2.9, 5.9)
        # Cells at the border of a nest or a lumen stand on it: their nuclei point inwards.
        across, strength = self._palisade(at, depth, lumen)
        aspect = 1.15 + 0.13 * np.abs(draws.normal(2)) + 0.3 * strength
        angle = np.where(strength > 0.3, across + 0.3 * draws.normal(3), np.pi * draws.uniform(3))
        morphology = self.rule.score(size, coarseness, solid)
        return Cells(
            y=at.y,
            x=at.x,
            kind=np.full(len(at.y), Kind.TUMOUR, dtype=np.int64),
            long=radius * np.sqrt(aspect),
            short=radius / np.sqrt(aspect),
            angle=angle,
            bend=0.09 * draws.normal(4),
            taper=0.10 * draws.normal(5),
            coarseness=coarseness,
            darkness=np.clip(1.0 + 0.14 * draws.normal(6) - 0.05 * size, 0.6, 1.6),
            nucleolus_y=0.35 * radius * draws.normal(7),
            nucleolus_x=0.35 * radius * draws.normal(8),
            morphology=morphology,
            intensity=self.rule.intensity(morphology, self._hidden(at, draws)),
            replaced=at.replaced,
        )

    def _palisade(self, at: _Places, depth: Array, lumen: Array) -> tuple[Array, Array]:
        """Direction across the nearest border, and how much a nucleus follows it (0..1)."""
        step = 1.5

        def toward(dy: float, dx: float) -> Array:
            growth = self.anatomy.growth(at.y + dy, at.x + dx)
            return np.minimum(growth.depth, -growth.lumen)

        here = np.minimum(depth, -lumen)
        across = np.arctan2(toward(step, 0.0) - here, toward(0.0, step) - here)
        return across, np.clip((12.0 - here) / 8.0, 0.0, 1.0)

    def _hidden(self, at: _Places, draws: _Draws) -> Array:
        """What decides about the stain but does not show in H&E, about N(0, 1)."""
        region = 0.8 * self._clone.at(at.y, at.x) + 0.6 * self._clone_fine.at(at.y, at.x)
        hidden = np.sqrt(self.rule.clonal) * region + np.sqrt(1.0 - self.rule.clonal) * draws.normal(9)
        return np.asarray(hidden)

    def _fibroblasts(self, box: Box) -> Cells:
        at = self._scatter("fibroblast", 13.5, box)
        plan = self.anatomy.plan(at.y, at.x)
        crowd = 0.5 + 0.3 * np.exp(-np.abs(plan.depth + 8.0) / 14.0) + 0.4 * (np.abs(plan.vessel + 3.0) < 2.0)
        chance = np.where(plan.lymph > 0, 0.12, np.where(plan.fat > 0, 0.0, crowd))
        there = hash_uniform(self.anatomy.seed("fibroblast-there"), at.iy, at.ix) < chance
        keep = there & (plan.depth < -2.5) & (plan.vessel < -1.2) & (plan.tissue > 0)
        at = at.take(keep)
        draws = self._draws("fibroblast", at)

        step = 1.0

        def height(dy: float, dx: float) -> Array:
            y, x = at.y + dy, at.x + dx
            return self.anatomy.fibre_height(y, x, self.anatomy.growth(y, x).depth)

        here = height(0.0, 0.0)
        along = np.arctan2(height(step, 0.0) - here, height(0.0, step) - here) + np.pi / 2.0
        plump = draws.uniform(2)
        return _negative(
            Kind.FIBROBLAST,
            at,
            draws,
            long=np.clip(5.6 + 1.3 * draws.normal(0), 3.2, 9.0),
            short=1.1 + 1.2 * plump**2,
            angle=along + 0.16 * draws.normal(1),
            darkness=1.1 - 0.35 * plump,
        )

    def _lymphocytes(self, box: Box) -> Cells:
        at = self._scatter("lymphocyte", 7.4, box)
        plan = self.anatomy.plan(at.y, at.x)
        stroma = np.where(plan.fat > 0, 0.0, 0.03)
        chance = np.where(plan.lymph > 0, 0.8, np.where(plan.depth > 0, 0.012, stroma))
        there = hash_uniform(self.anatomy.seed("lymphocyte-there"), at.iy, at.ix) < chance
        keep = there & (plan.lumen < 0) & (plan.vessel < -2.0) & (np.abs(plan.depth) > 1.0) & (plan.tissue > 0)
        at = at.take(keep)
        draws = self._draws("lymphocyte", at)
        radius = np.clip(3.05 + 0.25 * draws.normal(0), 2.4, 3.9)
        aspect = 1.0 + 0.12 * np.abs(draws.normal(1))
        return _negative(
            Kind.LYMPHOCYTE,
            at,
            draws,
            long=radius * np.sqrt(aspect),
            short=radius / np.sqrt(aspect),
            angle=np.pi * draws.uniform(2),
            darkness=1.15 + 0.12 * draws.normal(3),
        )


class _Draws:
    """Independent random numbers of each cell, by channel."""

    def __init__(self, key: int, successor: int, at: _Places) -> None:
        self._keys, self._at = (key, successor), at

    def uniform(self, channel: int) -> Array:
        return self._pick(*(hash_uniform(mix_seed(k, channel, 0), self._at.iy, self._at.ix) for k in self._keys))

    def normal(self, channel: int) -> Array:
        return self._pick(*(hash_normal(mix_seed(k, channel, 1), self._at.iy, self._at.ix) for k in self._keys))

    def _pick(self, first: Array, second: Array) -> Array:
        return np.where(self._at.replaced, second, first)


def _negative(kind: Kind, at: _Places, draws: _Draws, **shape: Array) -> Cells:
    """Cells that the marker never stains."""
    zero = np.zeros(len(at.y))
    return Cells(
        y=at.y,
        x=at.x,
        kind=np.full(len(at.y), kind, dtype=np.int64),
        bend=_IRREGULARITY[kind] * draws.normal(10),
        taper=_IRREGULARITY[kind] * draws.normal(11),
        coarseness=zero,
        nucleolus_y=zero,
        nucleolus_x=zero,
        morphology=np.full(len(at.y), np.nan),
        intensity=np.zeros(len(at.y), dtype=np.int64),
        replaced=at.replaced,
        **shape,
    )


def _push_apart(y: Array, x: Array) -> tuple[Array, Array]:
    """One step of repulsion between points on a lattice, in lattice units; the outermost ring is lost."""
    moved_y, moved_x = y[1:-1, 1:-1].copy(), x[1:-1, 1:-1].copy()
    height, width = moved_y.shape
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if dy == dx == 1:
                continue
            away_y = y[1:-1, 1:-1] - y[dy : dy + height, dx : dx + width]
            away_x = x[1:-1, 1:-1] - x[dy : dy + height, dx : dx + width]
            distance = np.hypot(away_y, away_x) + 1e-6
            push = 0.5 * np.clip(0.95 - distance, 0.0, None) / distance
            moved_y += push * away_y
            moved_x += push * away_x
    return moved_y, moved_x
