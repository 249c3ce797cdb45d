"""Whose statistics normalise a slide: the stainer's own are used without looking at it, and the record says which."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from small_slides import MPP, write_slide

from restain.appearance import FAR
from restain.calibration import calibrated
from restain.errors import RestainError
from restain.images import RGB, read_rgb
from restain.networks.specs import ResnetSpec
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.slides.seamless import normalisation
from restain.slides.seamless.normalisation import decide_norm
from restain.stainer import Stainer, StainerCard
from restain.stainer_files import load_stainer
from restain.tensors import to_rgb, to_tensor


@pytest.fixture(scope="module")
def plain(stainer_folder: Path) -> Stainer:
    return load_stainer(stainer_folder)


@pytest.fixture(scope="module")
def calibrated_stainer(plain: Stainer, he_image: RGB) -> Stainer:
    """With the statistics of crops of the tissue of ``he_image``."""
    crops = [he_image[y : y + 64, x : x + 64] for y in range(150, 350, 40) for x in range(150, 450, 50)]
    return replace(plain, calibration=calibrated(plain.generator, (to_tensor(crop)[None] for crop in crops))[1])


@pytest.fixture(scope="module")
def batch_norm_stainer() -> Stainer:
    """Its norms are fixed: it has statistics of its own."""
    generator = ResnetSpec(ngf=4, blocks=1, spectral_norm=False, norm="batch").build()
    stream = torch.Generator().manual_seed(1)
    for parameter in generator.parameters():
        parameter.data = torch.randn(parameter.shape, generator=stream) * (0.3 if parameter.dim() > 1 else 0.1)
    return Stainer(generator.eval().requires_grad_(False), StainerCard("ER", MPP, 64, "none", {}), "1" * 64)


def stained(slide: Path, out: Path, stainer: Stainer, **options: Any) -> tuple[SlideRecord, RGB]:
    chosen = SlideOptions(lossless=True, precision="32", **options)
    record = stain_slide(Job(slide, out / "he.ome.tif"), stainer, chosen, quiet=True)
    assert record.status == "stained", record.error
    return record, np.asarray(tifffile.imread(out / "he.ome.tif"))


def test_the_stainers_own_statistics_come_first(
    plain: Stainer, calibrated_stainer: Stainer, batch_norm_stainer: Stainer
) -> None:
    assert decide_norm(calibrated_stainer, None) == "stainer" and decide_norm(plain, None) == "slide"
    for wanted in ("slide", "local", "tile"):
        assert decide_norm(plain, wanted) == decide_norm(calibrated_stainer, wanted) == wanted
        assert decide_norm(batch_norm_stainer, wanted) == ("slide" if wanted == "slide" else "stainer")
    assert decide_norm(batch_norm_stainer, None) == "stainer"
    with pytest.raises(RestainError, match="this stainer has no statistics; measure them with restain calibrate"):
        decide_norm(plain, "stainer")


def test_stored_statistics_need_no_measuring_and_give_the_stainers_own_network(
    he_slide: Path, calibrated_stainer: Stainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(Stainer, "measure", refuse)
    monkeypatch.setattr(normalisation, "measure_local", refuse)
    record, found = stained(he_slide, tmp_path, calibrated_stainer, tile=256, stain_background=True)
    assert (record.norm, record.seams) == ("stainer", "exact")
    with torch.inference_mode():
        expected = to_rgb(calibrated_stainer.network()(to_tensor(read_rgb(he_slide))[None])[0])
    assert found.std() > 10 and np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("tile", [64, 128])
def test_fixed_norms_are_exact_with_any_tile(
    he_slide: Path, batch_norm_stainer: Stainer, tmp_path: Path, tile: int
) -> None:
    record, found = stained(he_slide, tmp_path, batch_norm_stainer, tile=tile, norm="tile", stain_background=True)
    assert record.norm == "stainer"
    with torch.inference_mode():
        expected = to_rgb(batch_norm_stainer.generator(to_tensor(read_rgb(he_slide))[None])[0])
    assert found.std() > 2 and np.abs(found.astype(int) - expected).max() <= 1


def test_batch_norms_take_the_averages_of_the_slide_where_asked(
    he_slide: Path, batch_norm_stainer: Stainer, tmp_path: Path
) -> None:
    record, found = stained(he_slide, tmp_path / "slide", batch_norm_stainer, tile=64, norm="slide")
    again, same = stained(he_slide, tmp_path / "again", batch_norm_stainer, tile=128, norm="slide")
    _, own = stained(he_slide, tmp_path / "own", batch_norm_stainer)
    assert (record.norm, record.seams) == (again.norm, again.seams) == ("slide", "exact")
    assert np.abs(found.astype(int) - same).max() <= 1 and np.abs(found.astype(int) - own).mean() > 1


def test_tissue_unlike_the_calibrations_is_a_warning(
    he_slide: Path, he_image: RGB, calibrated_stainer: Stainer, plain: Stainer, tmp_path: Path
) -> None:
    record, _ = stained(he_slide, tmp_path / "same", calibrated_stainer)
    assert record.appearance_distance is not None and record.appearance_distance < FAR and not record.warnings
    brown = (he_image * np.array([1.0, 0.85, 0.5])).astype(np.uint8)
    other = write_slide(tmp_path / "slides" / "other.tif", brown)
    record, _ = stained(other, tmp_path / "other", calibrated_stainer)
    assert record.appearance_distance is not None and record.appearance_distance > FAR
    assert any("looks unlike that on which the stainer was calibrated" in warning for warning in record.warnings)
    assert stained(he_slide, tmp_path / "plain", plain)[0].appearance_distance is None
