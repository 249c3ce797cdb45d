"""What the user's own models made, as evidence: label images of nuclei, and feature vectors of an encoder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError, in_short, quoted
from restain.evaluation.inputs import CEILING, TRANSFER, UNCHANGED, Match, listed, role_of
from restain.evaluation.measure import Plan, as_estimate
from restain.evaluation.results import Evidence
from restain.evaluation.workers import in_threads
from restain.files import read_text, sha256
from restain.label_images import LABEL_SUFFIXES, find_beside, read_labels
from restain.metrics import NotComputed
from restain.metrics.cells.given_nuclei import compare_cells, density_under_labels
from restain.metrics.learned.given_features import given_frechet, given_kernel, probe_classes
from restain.metrics.stain.place import ASSUMED_MPP
from restain.metrics.statistics.bootstrap import Groups
from restain.stains import Floats

_PROBED = ("features_probe", "features_probe_real")
_DISTANCES = {"features_frechet": given_frechet, "features_kid": given_kernel}


@dataclass(frozen=True)
class Given:
    """What was found with the user's own models, by system, and what identifies their files."""

    evidence: Mapping[str, Evidence]
    hashes: Mapping[str, str]


def under_nuclei(folder: Path, matches: Sequence[Match], plan: Plan) -> Given:
    """Lay one set of masks on the real stain and on every system, cell by cell.

    Args:
        folder: label images, ``ID.png``, ``.tif`` or ``.npy``.
        matches: fields of view.
        plan: of the evaluation.

    Raises:
        RestainError: the folder or a label image is missing or wrong.
    """
    if not folder.is_dir():
        raise RestainError(f"nuclei: {folder}: no such folder; expected one of label images")
    if plan.protocol.crop:
        raise RestainError(
            f"nuclei: the protocol {plan.protocol.name} crops images, and label images are whole; expected another one"
        )
    files = {match.id: find_beside(folder, match.id) for match in matches}
    absent = [name for name, path in files.items() if path is None]
    if absent:
        kinds = ", ".join(LABEL_SUFFIXES)
        raise RestainError(f"nuclei: {folder} has no label image ({kinds}) of {listed(absent)}")

    def densities(match: Match) -> tuple[dict[str, Floats], str]:
        path = files[match.id]
        assert path is not None
        labels = read_labels(path, match.size)
        found = {
            name: density_under_labels(plan.image(match, name), labels, plan.mpp or ASSUMED_MPP, plan.marker)
            for name in ("real", *plan.names)
        }
        return found, sha256(path)

    rows, digests = zip(*in_threads(densities, matches, "measuring given nuclei"), strict=True)
    real = [row["real"] for row in rows]
    evidence = {name: Evidence(compare_cells(real, [row[name] for row in rows]), {}, {}) for name in plan.names}
    return Given(evidence, {f"nuclei/{match.id}": digest for match, digest in zip(matches, digests, strict=True)})


def from_features(path: Path, matches: Sequence[Match], plan: Plan, groups: Groups | None) -> Given:
    """Distances of sets and a linear probe, from features that an encoder gave for the images.

    Args:
        path: NPY file, float (n, d). A CSV file of the same name beside it says what each row is: ``system`` ("real", a
            virtual stain's name, "source" for the H&E, "repeat" for the second section), ``id`` (relative path without
            suffix), and optionally ``class`` of the rows of "real". Rows of other images or systems are passed over.
        matches: fields of view.
        plan: of the evaluation.
        groups: the group of each image; folds of the probe keep groups together.

    Raises:
        RestainError: a file is missing or wrong, or has no row for an image.
    """
    vectors, index = _read_vectors(path), path.with_suffix(".csv")
    places, classes = _read_index(index, len(vectors))
    ids = [match.id for match in matches]

    def rows_of(role: str) -> Floats:
        absent = [one for one in ids if (role, one) not in places]
        if absent:
            raise RestainError(f"features: {index}: has no row of {quoted(role)} for {listed(absent)}")
        return np.asarray(vectors[[places[role, one] for one in ids]], dtype=np.float64)

    real = rows_of("real")
    known = [classes.get(one, "") for one in ids]
    evidence = {}
    for name in plan.names:
        role = name if name in plan.systems else role_of(name)
        optional = name in (UNCHANGED, CEILING) and not any(system == role for system, _ in places)
        if name == TRANSFER or optional:
            reason = f"{index.name} has no rows of it"
            evidence[name] = Evidence({}, {}, dict.fromkeys([*_DISTANCES, *_PROBED], reason))
            continue
        evidence[name] = _compare(real, rows_of(role), known, groups)
    return Given(evidence, {one.name: sha256(one) for one in (path, index)})


def _compare(real: Floats, fake: Floats, classes: Sequence[str], groups: Groups | None) -> Evidence:
    scores, missing, columns = {}, {}, {}
    for name, distance in _DISTANCES.items():
        try:
            scores[name] = as_estimate(distance(real, fake), len(real))
        except NotComputed as reason:
            missing[name] = str(reason)
    try:
        if not all(classes):
            raise NotComputed("needs the class of every real image; give it in a column 'class' of the index")
        columns = dict(zip(_PROBED, probe_classes(real, fake, classes, groups), strict=True))
    except NotComputed as reason:
        missing |= dict.fromkeys(_PROBED, str(reason))
    return Evidence(columns, scores, missing)


def _read_vectors(path: Path) -> npt.NDArray[np.generic]:
    if not path.is_file():
        raise RestainError(f"features: {path}: no such file; expected an NPY file of shape (images, features)")
    try:
        vectors: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RestainError(f"features: {path}: cannot be read as NPY ({in_short(error)})") from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or 0 in vectors.shape:
        raise RestainError(
            f"features: {path}: is {vectors.dtype} of shape {vectors.shape}; expected numbers of shape "
            "(images, features)"
        )
    if not np.isfinite(vectors).all():
        raise RestainError(f"features: {path}: holds NaN or infinity; expected finite numbers")
    return vectors


def _read_index(path: Path, rows: int) -> tuple[dict[tuple[str, str], int], dict[str, str]]:
    """The row of each system and image, and the class of each real image where it is given."""
    if not path.is_file():
        raise RestainError(f"features: {path}: no such file; expected the columns system and id, a row for each vector")
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
        table = list(reader)
    except csv.Error as error:
        raise RestainError(f"features: {path}: is not a CSV text file ({error})") from error
    if not {"system", "id"} <= set(reader.fieldnames or ()):
        seen = ", ".join(reader.fieldnames or ()) or "none"
        raise RestainError(f"features: {path}: has the columns {seen}; expected system and id")
    if len(table) != rows:
        raise RestainError(f"features: {path}: has {len(table)} rows; expected {rows}, one for each vector")
    places: dict[tuple[str, str], int] = {}
    for number, row in enumerate(table):
        key = (row["system"] or "", row["id"] or "")
        if key in places:
            raise RestainError(f"features: {path}: names {quoted(key[1])} of {quoted(key[0])} twice; expected it once")
        places[key] = number
    return places, {row["id"]: row.get("class") or "" for row in table if row["system"] == "real"}
