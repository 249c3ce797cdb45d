"""Calibrated stainers: the right statistics, stored beside the weights, in place or elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from restain.appearance import AppearanceMeter
from restain.calibration import calibrate, calibrated, training_crops
from restain.crops import Image, draw_crops
from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.images import read_rgb, write_png
from restain.networks.specs import ResnetSpec, UnetSpec
from restain.networks.statistics import freeze, measure
from restain.stainer import StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.tensors import to_rgb, to_tensor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = StainerCard("ER", 0.5, 32, "tiny", {"steps": 7})
    save_stainer(tmp_path / "run" / "stainer", ResnetSpec(ngf=4, blocks=2).build(), card)
    return tmp_path / "run"


def _images(pairs: Path) -> list[Image]:
    return [Image(p.name, lambda p=p: read_rgb(p)) for p in sorted((pairs / "trainA").iterdir())]


def test_what_is_stored_is_what_is_measured_on_the_training_split(folder: Path, pairs: Path) -> None:
    before = load_stainer(folder)
    assert before.statistics is None and before.default_norm == "image" and before.identity == before.weights_sha256
    written = calibrate(folder, pairs, crops=60, seed=3, device="cpu")
    assert written == folder / "stainer"
    after = load_stainer(folder)
    assert (after.weights_sha256, after.card) == (before.weights_sha256, before.card)
    assert after.default_norm == "stainer" and after.identity != before.identity

    crops = list(draw_crops(_images(pairs), 32, 60, 3))
    expected = measure(before.generator, [to_tensor(crop)[None] for crop in crops])
    assert after.calibration is not None and after.statistics is not None
    assert all(map(torch.equal, after.statistics.means, expected.means))
    assert all(map(torch.equal, after.statistics.variances, expected.variances))
    meter = AppearanceMeter()
    for crop in crops:
        meter.add(crop)
    assert after.calibration.appearance == meter.appearance()
    found = after.calibration
    assert (found.crops, found.side, found.data) == (60, 32, pairs.name)
    assert found.fingerprint == find_pairs(pairs).fingerprint()

    x = torch.rand(1, 3, 40, 44) * 2 - 1
    torch.testing.assert_close(after.network()(x), freeze(before.generator, expected)(x))
    torch.testing.assert_close(after.network("image")(x), before.generator(x))
    card, config = ((written / name).read_text() for name in ("README.md", "config.json"))
    digest = json.loads(config)["calibration"]["statistics_sha256"]
    assert digest in card and "60 crops of 32 px" in card
    assert {path.name for path in folder.iterdir()} == {"stainer"}


def test_into_another_folder_the_stainer_stays(folder: Path, pairs: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "stainer").iterdir()}
    assert calibrate(folder, pairs, out=tmp_path / "new", crops=50, device="cpu") == tmp_path / "new"
    assert {path.name: path.read_bytes() for path in (folder / "stainer").iterdir()} == before
    assert load_stainer(tmp_path / "new").statistics is not None


def test_a_folder_of_images_will_do_and_seeds_differ(folder: Path, pairs: Path, tmp_path: Path) -> None:
    found = []
    for name, data, seed in (("a", pairs, 0), ("b", pairs / "trainA", 0), ("c", pairs / "trainA", 1)):
        calibrate(folder, data, out=tmp_path / name, crops=50, seed=seed, device="cpu")
        found.append(load_stainer(tmp_path / name))
    first, plain, other = (stainer.statistics.means for stainer in found)
    assert all(map(torch.equal, first, plain)) and not all(map(torch.equal, first, other))
    assert found[1].calibration.data == "trainA"
    assert len({stainer.identity for stainer in found}) == 2


def test_batch_norms_take_the_averages_of_the_h_and_e(pairs: Path, tmp_path: Path) -> None:
    card = StainerCard(None, None, 32, "pix2pix", {"batch": 2})
    save_stainer(tmp_path / "s", UnetSpec(ngf=2, downs=3).build(), card)
    before = load_stainer(tmp_path / "s")
    assert before.default_norm == "stainer"
    for out in (None, tmp_path / "s"):
        with pytest.raises(RestainError, match=r"its batch norms hold averages of the training.*expected --out"):
            calibrate(tmp_path / "s", pairs, out=out, crops=50, device="cpu")
    calibrate(tmp_path / "s", pairs, out=tmp_path / "own", crops=50, device="cpu")
    stainer = load_stainer(tmp_path / "own")
    assert stainer.fixed and stainer.adaptable and stainer.statistics is not None and not stainer.statistics.means
    assert stainer.weights_sha256 != before.weights_sha256
    crops = [to_tensor(crop)[None] for crop in draw_crops(_images(pairs), 32, 50, 0)]
    expected = freeze(before.generator, measure(before.generator, crops, 2)).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in stainer.generator.state_dict().items())
    assert not (tmp_path / "own" / "statistics.safetensors").exists()
    assert stainer.calibration.appearance.mean[0] > 0
    x = torch.rand(1, 3, 32, 32)
    for norm in ("stainer", "image", None):
        assert torch.equal(stainer.network(norm)(x), stainer.generator(x))
    assert "part of the weights" in (tmp_path / "own" / "README.md").read_text()


def test_refusals(folder: Path, pairs: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "stainer").iterdir()}
    with pytest.raises(RestainError, match="crops is 10; expected at least 50"):
        calibrate(folder, pairs, crops=10, device="cpu")
    with pytest.raises(RestainError, match="seed is -1; expected 0 or more"):
        calibrate(folder, pairs, seed=-1, device="cpu")
    with pytest.raises(RestainError, match="hf://lab/her2: is a stainer on the Hub; expected --out"):
        calibrate("hf://lab/her2", pairs, device="cpu")
    with pytest.raises(RestainError, match="no such file or folder"):
        calibrate(folder, tmp_path / "absent", device="cpu")
    with pytest.raises(RestainError, match="is an image; expected a data set, or a folder of H&E images"):
        calibrate(folder, next((pairs / "trainA").iterdir()), device="cpu")
    write_png(tmp_path / "small" / "a.png", np.zeros((20, 40, 3), np.uint8))
    with pytest.raises(RestainError, match=r"a\.png: is 20x40 pixels; expected at least 32x32"):
        calibrate(folder, tmp_path / "small", device="cpu")
    with pytest.raises(RestainError, match="no crop of tissue was given"):
        calibrated(UnetSpec(ngf=2, downs=3).build(), [])
    with pytest.raises(RestainError, match="no crop of tissue was given"):
        calibrated(load_stainer(folder).generator, [])
    assert {path.name: path.read_bytes() for path in (folder / "stainer").iterdir()} == before


def test_a_place_that_is_taken_is_refused_before_anything_is_measured(
    folder: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    monkeypatch.setattr("restain.calibration.draw_crops", None)
    with pytest.raises(RestainError, match="mine: holds something that is not a stainer"):
        calibrate(folder, pairs, out=tmp_path / "mine", crops=50, device="cpu")


def test_the_run_folder_as_a_place_means_the_stainer_in_it(folder: Path, pairs: Path) -> None:
    assert calibrate(folder, pairs, out=folder, crops=50, device="cpu") == folder / "stainer"
    assert {path.name for path in folder.iterdir()} == {"stainer"}


def test_training_images_that_were_enlarged_for_the_crop_are_enlarged_here(pairs: Path) -> None:
    he = [record.source for record in find_pairs(pairs).pairs("train")]
    side = he[0].size()[0]
    whole = next(training_crops(he, side=side, scale=1.5, count=1))  # a native one suffices
    assert any(np.array_equal(to_rgb(whole[0]), image.read()) for image in he)
    assert next(training_crops(he, side=side + 4, scale=1.5, count=1)).shape == (1, 3, side + 4, side + 4)
    with pytest.raises(RestainError, match=f"expected at least {side + 4}x{side + 4}"):
        next(training_crops(he, side=side + 4, count=1))


def test_the_training_draws_the_same_crops(folder: Path, pairs: Path) -> None:
    calibrate(folder, pairs, crops=50, seed=2, device="cpu")
    stainer = load_stainer(folder)
    he = [record.source for record in find_pairs(pairs).pairs("train")]
    crops = training_crops(he, side=32, count=50, seed=2)
    found = calibrated(stainer.generator, crops, data="x", fingerprint="y")[1]
    assert all(map(torch.equal, found.statistics.means, stainer.statistics.means))
    assert found.appearance == stainer.calibration.appearance
