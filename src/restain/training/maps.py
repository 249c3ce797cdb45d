"""Maps of the real IHC that TDKStain is guided by, made once for each data set and kept in the cache.

One map says where DAB is, the other how dense the nuclei are. They are pictures, so that they can be looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed, rgb2hsv

from restain.data.pairs import map_path
from restain.data.records import Manifest, Record
from restain.errors import RestainError
from restain.files import write_json
from restain.images import RGB, write_png
from restain.label_images import LABEL_SUFFIXES, find_beside, read_labels
from restain.methods.guided_config import GuidedConfig
from restain.metrics.cells.nuclei import DEFAULT_MPP, find_nuclei
from restain.progress import ProgressBar
from restain.recipes import Recipe
from restain.terms.config import DensityConfig
from restain.training.distributed import Processes
from restain.weights.store import cache_folder

Map = npt.NDArray[np.float64]  # (H, W) in [0, 1]
DONE, FAILED = range(2)  # what the first process tells the others
_SATURATION = 0.15  # of the light that DAB alone would leave, above which a pixel holds DAB
_BLUR, _BLUR_RADIUS = 3.0, 4  # pixels: 9 x 9


def prepared_maps(recipe: Recipe, manifest: Manifest, processes: Processes) -> Path | None:
    """The folder with the maps of every training pair, made by the first process; None where no method needs any.

    Raises:
        RestainError: an image cannot be read, or a label image is missing or of another size.
    """
    if not recipe.method.needs.maps:
        return None
    assert isinstance(recipe.method, GuidedConfig)
    density, mpp = recipe.method.density, recipe.data.mpp or DEFAULT_MPP
    folder, problem = maps_folder(manifest, density, mpp), None
    if processes.rank == 0:
        try:
            make_maps(folder, manifest.pairs("train"), density, mpp, recipe.engine.workers)
        except RestainError as error:
            problem = error
    if processes.largest(DONE if problem is None else FAILED) == FAILED:
        raise problem or RestainError("maps could not be prepared on the first process; its message says why")
    return folder


def maps_folder(manifest: Manifest, density: DensityConfig, mpp: float) -> Path:
    """Where the maps of a data set lie, or would lie, by its files and by the settings."""
    settings = density.model_dump(exclude={"weight"}) | {"mpp": mpp, "nuclei": _labels_fingerprint(density)}
    key = json.dumps([manifest.fingerprint(), settings], sort_keys=True)
    return cache_folder() / "maps" / hashlib.sha256(key.encode()).hexdigest()[:32]


def make_maps(folder: Path, records: Sequence[Record], density: DensityConfig, mpp: float, workers: int = 0) -> None:
    """Make the maps that are not there yet, on so many processes."""
    missing = [record for record in records if not map_path(folder, record.id).is_file()]
    if not missing:
        return
    write_json(folder / "settings.json", density.model_dump() | {"mpp": mpp})
    with ProgressBar("maps of DAB and nuclei", len(missing), "images") as bar, _pool(workers) as pool:
        if pool is None:
            for record in missing:
                _make(folder, record, density, mpp)
                bar.advance()
            return
        waiting: list[Future[None]] = [pool.submit(_make, folder, record, density, mpp) for record in missing]
        for future in as_completed(waiting):
            future.result()
            bar.advance()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    if workers < 2:
        yield None
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _make(folder: Path, record: Record, density: DensityConfig, mpp: float) -> None:
    assert record.target is not None  # of a pair
    ihc = record.target.read()
    if density.nuclei is None:
        labels: npt.NDArray[np.integer] = find_nuclei(ihc, mpp, "membrane" if density.membranous else "nuclear").labels
    else:
        labels = _read_labels(Path(density.nuclei), record.id, ihc)
    maps = (dab_map(ihc), nuclei_map(labels, density.sigma), np.zeros(ihc.shape[:2]))
    write_png(map_path(folder, record.id), np.rint(np.stack(maps, axis=-1) * 255).astype(np.uint8))


def dab_map(ihc: RGB) -> Map:
    """Where DAB is: the saturation of the light that it alone would leave, above 0.15; blurred over 9 x 9 pixels."""
    hed = rgb2hed(ihc)
    hed[..., :2] = 0
    mask = rgb2hsv(hed2rgb(hed))[..., 1] > _SATURATION
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float64), _BLUR, radius=_BLUR_RADIUS))


def nuclei_map(labels: npt.NDArray[np.integer], sigma: float) -> Map:
    """Density of nuclei: a Gaussian of ``sigma`` pixels at the centre of each, scaled to [0, 1] over the image.

    Args:
        labels: (H, W); 0 is no nucleus, each other number is one.
        sigma: pixels.
    """
    points = np.zeros(labels.shape)
    numbers = np.unique(labels[labels > 0])
    for y, x in ndimage.center_of_mass(labels > 0, labels, numbers) if len(numbers) else ():
        points[round(y), round(x)] += 1
    density = ndimage.gaussian_filter(points, sigma, mode="constant")
    span = density.max() - density.min()
    return np.asarray((density - density.min()) / span if span > 0 else density)


def _read_labels(folder: Path, name: str, ihc: RGB) -> npt.NDArray[np.int32]:
    path = find_beside(folder, name)
    if path is None:
        kinds = " or ".join(f"{name}{suffix}" for suffix in LABEL_SUFFIXES)
        raise RestainError(f"{folder}: has no label image {kinds}; density.nuclei needs one for each IHC")
    return read_labels(path, (ihc.shape[0], ihc.shape[1]))


def _labels_fingerprint(density: DensityConfig) -> list[str] | None:
    if density.nuclei is None:
        return None
    folder = Path(density.nuclei)
    if not folder.is_dir():
        raise RestainError(f"density.nuclei: {folder} is not a folder; expected one with label images")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}" for path in files]
