"""Statistics of a stainer's norms, measured on crops of H&E and stored with the stainer.

A generator whose norms take their statistics from each image paints about the same amount of stain whatever the image
holds. Fixed to the statistics of the training's crops it is one function, and its stain follows the tissue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from torch import Tensor

from restain.appearance import AppearanceMeter
from restain.crops import Image, draw_crops
from restain.data.layouts import find_pairs
from restain.data.records import ImageRef, Manifest
from restain.data.transforms import rescale
from restain.errors import RestainError
from restain.hub import hub_reference
from restain.images import IMAGE_SUFFIXES, RGB, read_rgb
from restain.networks.batch_norms import batch_norms
from restain.networks.generator import Generator
from restain.networks.statistics import Statistics, freeze, measure
from restain.progress import ProgressBar
from restain.stainer import Calibration
from restain.stainer_files import free_place, load_stainer, save_stainer, stainer_folder
from restain.tensors import find_device, to_rgb, to_tensor

CROPS = 300  # two other draws of as many gave the same scores to .01
FEWEST = 50  # crops, from which six numbers and how they vary together can be estimated


def calibrate(
    stainer: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    crops: int = CROPS,
    seed: int = 0,
    target: str = "B",
    device: str = "auto",
) -> Path:
    """Measure the statistics that a stainer's norms are fixed to, on H&E, and store them with it.

    Args:
        stainer: a stainer folder, or a run folder.
        data: H&E like that which is to be stained, with the mixture of tissue of the training: a data set in a known
            layout (its training split is used) or its CSV manifest, or a folder of H&E images.
        out: folder for the calibrated stainer; the stainer itself is replaced where it is left out. The averages of
            batch norms are part of the weights, so a stainer with batch norms needs a folder for the copy.
        crops: how many random crops of the training's size are measured.
        seed: of the draw.
        target: which IHC, where a data set has several; it is not read.
        device: auto, cpu or cuda.

    Returns:
        the folder of the calibrated stainer. Batch norms then hold the averages over these crops in place of those of
        the training. How the H&E looks is stored, too, with which other tissue is compared.

    Raises:
        RestainError: no usable stainer, data or device, images that are smaller than a training crop, a stainer on the
            Hub or batch norms and no ``out``, or an ``out`` that holds something else.
    """
    if crops < FEWEST:
        raise RestainError(f"crops is {crops}; expected at least {FEWEST}")
    if seed < 0:
        raise RestainError(f"seed is {seed}; expected 0 or more")
    if out is None and hub_reference(stainer):
        raise RestainError(f"{stainer}: is a stainer on the Hub; expected --out, a folder for the calibrated copy")
    folder = stainer_folder(stainer)
    ready = load_stainer(folder, find_device(device))
    images, name, fingerprint = _find_images(Path(data), target)
    side = max(ready.card.tile_size, ready.generator.smallest)
    in_place = out is None or Path(out).resolve() in (folder.resolve(), Path(stainer).resolve())
    if in_place and batch_norms(ready.generator):
        raise RestainError(
            f"{folder}: its batch norms hold averages of the training, which a calibration replaces; expected --out, a "
            "folder for the calibrated copy"
        )
    written = folder if in_place or out is None else free_place(Path(out))
    with ProgressBar("calibrate", crops, "crops") as bar:
        drawn = _counted((to_tensor(crop)[None] for crop in draw_crops(images, side, crops, seed)), bar)
        generator, found = calibrated(ready.generator, drawn, batch=ready.batch, data=name, fingerprint=fingerprint)
    save_stainer(written, generator, ready.card, found)
    return written


def calibrated(
    generator: Generator,
    crops: Iterable[Tensor],
    *,
    batch: int = 1,
    data: str | None = None,
    fingerprint: str | None = None,
) -> tuple[Generator, Calibration]:
    """Measure crops of H&E: the statistics of the norms, and how the crops look.

    Args:
        generator: on its device; it is left as it is.
        crops: image tensors (1, 3, h, w), of the training's size.
        batch: crops that batch norms meet together.
        data: name of the data set that they come from.
        fingerprint: of its files.

    Returns:
        the generator, or a copy whose batch norms hold the averages over the crops, and what goes with it.

    Raises:
        RestainError: there is no crop.
    """
    meter, side = AppearanceMeter(), 0

    def watched() -> Iterator[Tensor]:
        nonlocal side
        for crop in crops:
            meter.add(to_rgb(crop[0]))
            side = max(side, *crop.shape[2:])
            yield crop

    watching = watched()
    statistics = measure(generator, watching, batch)
    for _ in watching:  # crops that no norm has asked for
        pass
    if not len(meter):
        raise RestainError("calibration: no crop of H&E was given; expected at least one")
    if batch_norms(generator):
        generator, statistics = freeze(generator, statistics), Statistics((), ())  # they are weights from now on
    return generator, Calibration(
        statistics=statistics,
        appearance=meter.appearance(),
        crops=len(meter),
        side=side,
        date=date.today().isoformat(),
        data=data,
        fingerprint=fingerprint,
    )


def training_crops(
    he: Sequence[ImageRef], *, side: int, scale: float = 1.0, count: int = CROPS, seed: int = 0
) -> Iterator[Tensor]:
    """Random crops of the H&E that is trained on, as ``calibrated`` takes them: (1, 3, side, side).

    Images are enlarged by ``scale``, as in training, only where they are smaller than a crop: the stainer meets others
    as they are.
    """

    def read(image: ImageRef) -> RGB:
        rgb = image.read()
        return rgb if min(rgb.shape[:2]) >= side else rescale(rgb, scale)

    images = [Image(str(image), partial(read, image)) for image in he]
    return (to_tensor(crop)[None] for crop in draw_crops(images, side, count, seed))


def _training_images(manifest: Manifest) -> Sequence[Image]:
    sources = [record.source for record in manifest.sources("train") if record.source]
    if not sources:
        raise RestainError(f"{manifest.root}: has no H&E in its training split; expected some to calibrate on")
    return [Image(str(source), source.read) for source in sources]


def _find_images(data: Path, target: str) -> tuple[Sequence[Image], str, str]:
    """Images, name and fingerprint of a data set, or of a folder that holds images itself."""
    if _is_image(data):
        raise RestainError(f"{data}: is an image; expected a data set, or a folder of H&E images")
    paths = sorted(path for path in data.iterdir() if _is_image(path)) if data.is_dir() else []
    if not paths or (data / "manifest.csv").exists():
        manifest = find_pairs(data, target)
        return _training_images(manifest), manifest.root.resolve().name, manifest.fingerprint()
    lines = "".join(f"{path.name}:{path.stat().st_size}\n" for path in paths)
    images = [Image(str(path), lambda path=path: read_rgb(path)) for path in paths]  # type: ignore[misc]
    return images, data.resolve().name, hashlib.sha256(lines.encode()).hexdigest()


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _counted(crops: Iterable[Tensor], bar: ProgressBar) -> Iterator[Tensor]:
    for crop in crops:
        yield crop
        bar.advance()
