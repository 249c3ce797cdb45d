"""``restain.pairs``: from slides, or from pairs that are only roughly aligned, to a gated training set."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

from restain.errors import RestainError, in_short
from restain.files import read_json, write_json
from restain.progress import ProgressBar
from restain.registration.cutting import SlideTiles, cut_tiles
from restain.registration.options import PairOptions
from restain.registration.page import write_page
from restain.registration.refining import list_pairs, refine_pairs
from restain.registration.register_verb import open_pair, summarise, threads, write_registration
from restain.registration.slide_pair import register_slides
from restain.registration.slide_table import SlidePair, draw_splits, find_slide_pairs
from restain.registration.tiles import TileRow, read_rows, write_rows

_VERSION = 1  # of a slide's state; another one starts it anew
_MPP_GIVEN_BY = ("the column he_mpp of a CSV for --slides", "the column ihc_mpp of a CSV for --slides")


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one pair of slides.

    Attributes:
        name: of the pair.
        split: train, val or test.
        tiles: looked at.
        kept: in the data set.
        residual_um: median of the registration, microns; None where it failed.
        mirrored: whether a section lies face down.
        rotation_deg: of the IHC against the H&E.
        error: one sentence; "" where all went well.
    """

    name: str
    split: str
    tiles: int = 0
    kept: int = 0
    residual_um: float | None = None
    mirrored: bool = False
    rotation_deg: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class PairsRun:
    """A training set and where it came from; also in ``pairs.csv`` and ``summary.json``.

    Attributes:
        out: folder of the data set.
        slides: one outcome for each pair of slides (none with ``refine``).
        rows: one for each tile, kept or not.
    """

    out: Path
    slides: tuple[SlideOutcome, ...]
    rows: tuple[TileRow, ...]

    @property
    def failed(self) -> tuple[SlideOutcome, ...]:
        """Pairs of slides that gave no tiles because of an error."""
        return tuple(slide for slide in self.slides if slide.error)


def pairs(
    slides: str | Path | None = None,
    *,
    out: str | Path,
    refine: str | Path | None = None,
    target: str = "B",
    options: PairOptions = PairOptions(),  # noqa: B008 - frozen
    workers: int | None = None,
) -> PairsRun:
    """Make a training set of aligned H&E and IHC tiles, with a weight for each and a reason for each that is left out.

    ``out`` receives ``trainA trainB valA valB testA testB`` as MIST has them, ``pairs.csv``, ``summary.json``,
    ``pairs.html`` and, of each pair of slides, ``slides/NAME/`` with what ``register`` writes. A run that was stopped
    continues when the same command is given again. Memory: about 1 GB, and for each thread 40 bytes a pixel
    of a tile.

    Args:
        slides: a CSV (patient, he, ihc, stain; also split, he_mpp, ihc_mpp) or a folder whose names pair up.
        out: folder of the data set.
        refine: in place of slides, a data set of pairs in any known layout; their IHC is aligned again, locally. Only
            the thresholds and the scale of ``options`` are used then: splits and tiles are those of the data set.
        target: with ``refine``, which IHC where there are several.
        options: size, scale, splits and thresholds.
        workers: threads; by default one per processor, at most 8.

    Raises:
        RestainError: neither or both of slides and refine, a table that does not fit together, a patient in two
            splits, or ``out`` was made with other options. One bad slide does not stop the others.
    """
    out = Path(out)
    if (slides is None) == (refine is None):
        raise RestainError("pairs: expected either slides or a data set to refine, and not both")
    if refine is not None:
        records = list_pairs(Path(refine), target)
        _claim(out, {"refine": str(Path(refine).resolve()), "target": target}, options)
        refined = refine_pairs(records, out, target, options, threads(workers))
        return _finish(PairsRun(out, (), tuple(refined)), options)
    assert slides is not None
    if Path(slides).is_dir() and Path(slides).resolve() in (out.resolve(), *out.resolve().parents):
        raise RestainError(
            f"{out}: is in the folder of the slides, where tiles would be taken for slides; expected another folder"
        )
    listed = find_slide_pairs(slides)
    splits = draw_splits(listed, options.val, options.test, options.seed)
    _claim(out, {"slides": [_identity(pair, splits) for pair in listed]}, options)
    done = {pair.name: found for pair in listed if (found := _finished(out / "slides" / pair.name))}
    left = [pair for pair in listed if pair.name not in done]
    for place, pair in enumerate(left):
        kept = sum(outcome.kept for outcome, _ in done.values())
        most = _most(options, kept, len(left) - place)
        done[pair.name] = _do_slide(pair, splits[pair.patient], out, most, options, threads(workers))
    outcomes, rows = zip(*(done[pair.name] for pair in listed), strict=True)
    return _finish(PairsRun(out, outcomes, tuple(chain.from_iterable(rows))), options)


def _identity(pair: SlidePair, splits: dict[str, str]) -> dict[str, Any]:
    return {name: str(value) for name, value in vars(pair).items()} | {"split": splits[pair.patient]}


def _claim(out: Path, inputs: dict[str, Any], options: PairOptions) -> None:
    """Refuse to mix two runs in one folder."""
    wanted = json.loads(json.dumps({"version": _VERSION, **inputs, "options": asdict(options)}))
    path = out / "run.json"
    if path.exists():
        if read_json(path) != wanted:
            raise RestainError(
                f"{out}: was made of other slides or with other options; expected the same, or a new folder"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RestainError(f"{out}: is not empty; expected a new or an empty folder")
    write_json(path, wanted)


def _most(options: PairOptions, kept: int, left: int) -> int | None:
    """Most tiles of the next pair of slides, of ``left`` that are still to come, where ``kept`` are kept already."""
    limits = [] if options.per_slide is None else [options.per_slide]
    if options.limit is not None:
        limits.append(ceil(max(0, options.limit - kept) / left))
    return min(limits, default=None)


def _finished(folder: Path) -> tuple[SlideOutcome, list[TileRow]] | None:
    """What a pair of slides gave in this run or in one that was stopped."""
    path = folder / "outcome.json"
    if not path.exists():
        return None
    try:
        return SlideOutcome(**read_json(path)), read_rows(folder / "tiles.csv")
    except TypeError as error:
        raise RestainError(f"{path}: is not what restain pairs writes ({in_short(error)})") from None


def _do_slide(
    pair: SlidePair, split: str, out: Path, most: int | None, options: PairOptions, workers: int
) -> tuple[SlideOutcome, list[TileRow]]:
    """Register and cut one pair of slides; errors become a sentence."""
    folder = out / "slides" / pair.name
    _remove_tiles(out, pair.name)  # of a run that was stopped, when its share of the limit may have been another
    try:
        with open_pair(pair.he, pair.ihc, pair.he_mpp, pair.ihc_mpp, _MPP_GIVEN_BY) as (he, ihc):
            registration = register_slides(he, ihc, workers=workers)
            result = summarise(registration, folder, None)
            tiles = SlideTiles.of(pair, split, he, ihc, registration, options)
            with ProgressBar(pair.name, total=len(tiles.regions()), unit="tiles") as bar:
                rows = cut_tiles(tiles, out, folder / "thumbnails", most, workers, bar.advance)
            write_registration(result, registration, he, ihc)
    except (RestainError, OSError) as error:
        _remove_tiles(out, pair.name)
        return SlideOutcome(pair.name, split, error=str(error)), []
    write_rows(folder / "tiles.csv", rows)
    outcome = SlideOutcome(
        pair.name,
        split,
        len(rows),
        sum(row.kept for row in rows),
        result.residual_um[0],
        result.transform.mirrored,
        round(result.transform.rotation, 3),
    )
    write_json(folder / "outcome.json", asdict(outcome))
    return outcome, rows


def _remove_tiles(out: Path, name: str) -> None:
    """Take back the tiles of a pair of slides that was left halfway, and its small pictures."""
    for path in out.glob(f"*[AB]/{name}_*.png"):
        if re.fullmatch(re.escape(name) + r"_\d+_\d+", path.stem):
            path.unlink()
    shutil.rmtree(out / "slides" / name, ignore_errors=True)


def _finish(run: PairsRun, options: PairOptions) -> PairsRun:
    write_rows(run.out / "pairs.csv", run.rows)
    reasons: dict[str, int] = {}
    for row in run.rows:
        reasons[row.reason or "kept"] = reasons.get(row.reason or "kept", 0) + 1
    write_json(
        run.out / "summary.json",
        {
            "version": _VERSION,
            "options": asdict(options),
            "tiles": len(run.rows),
            "kept": sum(row.kept for row in run.rows),
            "reasons": reasons,
            "splits": _splits(run.rows),
            "slides": [asdict(slide) for slide in run.slides],
        },
    )
    write_page(run.out, run.rows, [asdict(slide) for slide in run.slides])
    return run


def _splits(rows: Sequence[TileRow]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for split in ("train", "val", "test"):
        own = [row for row in rows if row.split == split]
        if own:
            found[split] = {"kept": sum(row.kept for row in own), "patients": sorted({row.patient for row in own})}
    return found
