"""Maps of DAB and nuclei: by hand, made once, from a folder of labels, and under the crop of their image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import write_pairs

from restain.data.layouts import find_pairs
from restain.data.pairs import PairedImages, SampleKey, map_path
from restain.errors import RestainError
from restain.images import read_rgb, write_png
from restain.terms.config import DensityConfig
from restain.training.maps import dab_map, make_maps, maps_folder, nuclei_map


def test_the_density_is_a_gaussian_at_each_centre_scaled_to_one() -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[8:13, 10:15] = 3  # centre 10, 12
    labels[29:32, 39:42] = 7  # centre 30, 40
    y, x = np.mgrid[:40, :50]
    expected = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 3.0**2)) for cy, cx in ((10, 12), (30, 40)))
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(nuclei_map(labels, 3.0), expected, atol=2e-3)
    assert not nuclei_map(np.zeros((5, 5), np.int32), 3.0).any()


def test_dab_is_found_and_blurred_over_nine_pixels() -> None:
    ihc = np.full((41, 41, 3), (150, 140, 200), np.uint8)
    ihc[:, 20:] = (120, 72, 40)
    found = dab_map(ihc)
    weights = np.exp(-(np.arange(-4, 5) ** 2) / 18)
    weights /= weights.sum()
    for column in range(12, 30):
        inside = sum(w for offset, w in zip(range(-4, 5), weights, strict=True) if column + offset >= 20)
        assert found[20, column] == pytest.approx(inside, abs=1e-12)


def test_maps_are_made_once_and_other_settings_have_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path / "cache"))
    manifest = find_pairs(write_pairs(tmp_path / "data", train=3, val=1))
    settings, records = DensityConfig(), manifest.pairs("train")
    folder = maps_folder(manifest, settings, 0.5)
    make_maps(folder, records, settings, 0.5)
    paths = [map_path(folder, record.id) for record in records]
    times = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    make_maps(folder, records, settings, 0.5)
    assert [path.stat().st_mtime_ns == time for path, time in zip(paths, times, strict=True)] == [True, False, True]
    others = [maps_folder(manifest, DensityConfig(sigma=5), 0.5), maps_folder(manifest, settings, 0.25)]
    assert folder == maps_folder(manifest, DensityConfig(weight=3), 0.5) and len({folder, *others}) == 3


def test_a_folder_of_label_images_takes_the_place_of_the_detector(tmp_path: Path) -> None:
    manifest = find_pairs(write_pairs(tmp_path / "data", train=1, val=1))
    (record,) = manifest.pairs("train")
    labels = np.zeros((48, 48), np.uint16)
    labels[30:35, 10:15] = 300
    (tmp_path / "labels").mkdir()
    Image.fromarray(labels).save(tmp_path / "labels" / f"{record.id}.tif")
    settings = DensityConfig(nuclei=str(tmp_path / "labels"), sigma=2)
    make_maps(tmp_path / "maps", [record], settings, 0.5)
    density = read_rgb(map_path(tmp_path / "maps", record.id))[..., 1]
    assert np.unravel_index(density.argmax(), density.shape) == (32, 12) and density.max() == 255

    Image.fromarray(labels[:20]).save(tmp_path / "labels" / f"{record.id}.tif")
    with pytest.raises(RestainError, match=r"shape \(20, 48\); expected whole numbers of shape \(48, 48\)"):
        make_maps(tmp_path / "others", [record], settings, 0.5)
    (tmp_path / "labels" / f"{record.id}.tif").unlink()
    with pytest.raises(RestainError, match=r"has no label image s0_0_0\.png"):
        make_maps(tmp_path / "others", [record], settings, 0.5)
    with pytest.raises(RestainError, match=r"density\.nuclei: .* is not a folder"):
        maps_folder(manifest, DensityConfig(nuclei=str(tmp_path / "none")), 0.5)


def test_maps_lie_under_the_crop_of_their_image(tmp_path: Path) -> None:
    manifest = find_pairs(write_pairs(tmp_path / "data", train=2, val=1))
    records = manifest.pairs("train")
    for record in records:
        assert record.target
        ihc = record.target.read()
        write_png(map_path(tmp_path / "maps", record.id), ihc)
    images = PairedImages(records, crop=24, flip=True, maps=tmp_path / "maps")
    for seed in range(6):
        sample = images[SampleKey(seed % 2, seed)]
        for band, name in enumerate(("dab", "nuclei")):
            torch.testing.assert_close(sample.maps[name] * 2 - 1, sample.target[[band]])
