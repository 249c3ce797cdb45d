"""Where a place of the H&E slide is found on the IHC slide, and the file that says so.

Places are x, y in microns from a slide's upper left corner. A transform is applied in three steps, each of which is
kept: a smooth field (optional) and an affine correction in the H&E's microns, then the rigid motion, perhaps with a
mirror, that carries the H&E onto the IHC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.ndimage import map_coordinates

from restain.alignment.fitting import Affine
from restain.errors import RestainError
from restain.files import read_bytes, write_json
from restain.stains import Floats

VERSION: Literal[1] = 1
_TURNS = 20  # fixed-point steps of the inverse; a field's slope is far below 1
_Pair: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class ShiftField:
    """Shifts on a regular grid, interpolated by cubic splines; the edge's values outside.

    Attributes:
        origin: x and y of the first node, microns.
        spacing: microns between nodes.
        shifts: float64 (rows, columns, 2), x and y in microns.
    """

    origin: _Pair
    spacing: float
    shifts: Floats

    def at(self, points: Floats) -> Floats:
        """Shifts (n, 2) at points (n, 2)."""
        limit = np.array(self.shifts.shape[1::-1]) - 1
        x, y = np.clip((points - self.origin) / self.spacing, 0, limit).T
        return np.stack([map_coordinates(self.shifts[..., axis], (y, x), mode="nearest") for axis in (0, 1)], axis=1)


@dataclass(frozen=True)
class Transform:
    """From places on the H&E to places on the IHC: rigid(affine(place + field(place))), all in microns."""

    rigid: Affine
    affine: Affine
    field: ShiftField | None = None

    @property
    def linear(self) -> Affine:
        """The rigid motion after the affine correction."""
        return self.rigid.after(self.affine)

    @property
    def mirrored(self) -> bool:
        """Whether one of the sections lies face down."""
        return bool(np.linalg.det(self.rigid.matrix) < 0)

    @property
    def rotation(self) -> float:
        """Degrees by which the IHC lies turned against the H&E (after the mirror, left to right, where there is one).

        Clockwise on the screen, -180 to 180.
        """
        return float(np.degrees(np.arctan2(-self.rigid.matrix[0, 1], self.rigid.matrix[1, 1])))

    def at(self, points: Floats) -> Floats:
        """IHC places (n, 2) of H&E places (n, 2), microns."""
        return self.linear.at(points if self.field is None else points + self.field.at(points))

    def inverse_at(self, points: Floats) -> Floats:
        """H&E places (n, 2) of IHC places (n, 2), microns."""
        moved = self.linear.inverse().at(points)
        if self.field is None:
            return moved
        found = moved
        for _ in range(_TURNS):
            found = moved - self.field.at(found)
        return found

    def local(self, point: Floats, reach: float) -> Affine:
        """The affine map that equals the transform at a place (2,), with its mean slope over ``reach`` microns."""
        if self.field is None:
            return self.linear
        steps = np.array([(-reach, 0), (reach, 0), (0, -reach), (0, reach)], dtype=float) / 2
        left, right, up, down, middle = self.at(point + np.concatenate([steps, np.zeros((1, 2))]))
        matrix = np.stack([right - left, down - up], axis=1) / reach
        return Affine(matrix, middle - matrix @ point)

    def write(self, path: Path, he: str, ihc: str) -> None:
        """Write ``transform.json``; ``he`` and ``ihc`` name the slides that it belongs to."""
        steps: list[_FieldStep | _AffineStep | _RigidStep] = []
        if self.field is not None:
            steps.append(
                _FieldStep(
                    kind="field",
                    origin=self.field.origin,
                    spacing=self.field.spacing,
                    dx=self.field.shifts[..., 0].round(4).tolist(),
                    dy=self.field.shifts[..., 1].round(4).tolist(),
                )
            )
        steps.append(_AffineStep(kind="affine", matrix=_rows(self.affine)))
        steps.append(
            _RigidStep(kind="rigid", matrix=_rows(self.rigid), mirrored=self.mirrored, rotation_deg=self.rotation)
        )
        file = _File(version=VERSION, unit="micron", maps="he to ihc", he=he, ihc=ihc, steps=steps)
        write_json(path, file.model_dump(mode="json"))

    @staticmethod
    def read(path: Path) -> Transform:
        """Read ``transform.json``.

        Raises:
            RestainError: no such file, of another version, or not what ``write`` writes.
        """
        content = read_bytes(path)
        try:
            file = _File.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise RestainError(
                f"{path}: {where} is not as a transform of version {VERSION} has it ({first['msg']})"
            ) from (error)
        found: dict[str, Affine] = {"affine": Affine.identity(), "rigid": Affine.identity()}
        field = None
        for step in file.steps:
            if isinstance(step, _FieldStep):
                field = ShiftField(step.origin, step.spacing, np.stack([step.dx, step.dy], axis=-1).astype(np.float64))
            else:
                rows = np.array(step.matrix)
                found[step.kind] = Affine(rows[:, :2], rows[:, 2])
        return Transform(found["rigid"], found["affine"], field)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _FieldStep(_Model):
    kind: Literal["field"]
    origin: _Pair
    spacing: Annotated[float, Field(gt=0)]
    dx: list[list[float]]
    dy: list[list[float]]

    @model_validator(mode="after")
    def _grids(self) -> _FieldStep:
        columns = {len(row) for row in (*self.dx, *self.dy)}
        if len(self.dx) != len(self.dy) or not self.dx or len(columns) != 1 or 0 in columns:
            raise ValueError("dx and dy are not two grids of one size")
        return self


class _AffineStep(_Model):
    kind: Literal["affine"]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]


class _RigidStep(_Model):
    kind: Literal["rigid"]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    mirrored: bool
    rotation_deg: float


class _File(_Model):
    version: Literal[1]
    unit: Literal["micron"]
    maps: Literal["he to ihc"]
    he: str
    ihc: str
    steps: list[Annotated[_FieldStep | _AffineStep | _RigidStep, Field(discriminator="kind")]]


def _rows(affine: Affine) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    (a, b), (d, e) = affine.matrix.tolist()
    c, f = affine.offset.tolist()
    return (a, b, c), (d, e, f)
