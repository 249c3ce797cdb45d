"""FID, KID, LPIPS and PHV from image files to scores, through networks with seeded weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seeded import seeded_images

from restain.errors import RestainError
from restain.metrics import find_protocol, select_metrics
from restain.metrics.learned.extractor import FeatureExtractor
from restain.metrics.learned.networks import LearnedMetrics
from restain.metrics.statistics.bootstrap import NotComputed
from restain.weights import WeightFile, cache_folder, find_weights

ALL = [metric for metric in select_metrics(["learned"]) if not metric.name.startswith("features_")]
PHV_GOLDEN = {  # torchvision's ResNet-50 under the seeded weights; the pair of ``a_pair``
    "clean": (0.0234375, 0.677734375, 0.9384765625, 0.9326171875),
    "asp2023": (0.0, 0.486328125, 0.908203125, 0.93115234375),
}


def save(folder: Path, images: list[np.ndarray]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture
def real(tmp_path: Path) -> list[Path]:
    return save(tmp_path / "real", seeded_images(3, 64, 80, seed=1))


@pytest.fixture
def fake(tmp_path: Path) -> list[Path]:
    return save(tmp_path / "fake", seeded_images(3, 64, 80, seed=2))


def a_pair(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    one = seeded_images(2, 96, 80, seed=3)[0]
    other = np.clip(one.astype(int) + (np.arange(80)[None, :, None] // 27 - 1), 0, 255).astype(np.uint8)
    return save(tmp_path / "one", [one]), save(tmp_path / "other", [other])


def test_missing_weights_are_named_with_the_command_that_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(tmp_path))
    learned = LearnedMetrics(find_protocol("asp2023"), select_metrics(["learned", "ssim"]), seed=0, device="cpu")
    assert set(learned.missing) == {metric.name for metric in ALL} and learned.weights == {}
    for metric, name in (("fid", "inception-fid"), ("kid", "inception-imagenet"), ("phv_avg", "resnet50-imagenet")):
        assert learned.missing[metric].endswith(f"get it: restain weights fetch {name}")
    assert (
        LearnedMetrics(find_protocol("clean"), select_metrics(["kid"]), seed=0).missing["kid"].endswith("inception-fid")
    )
    assert learned.columns([], []) == {} and learned.sets([], []) == {}


@pytest.mark.parametrize("protocol", ["clean", "asp2023"])
def test_identical_folders(seeded_weights: dict[str, WeightFile], real: list[Path], protocol: str) -> None:
    learned = LearnedMetrics(find_protocol(protocol), ALL, seed=0, device="cpu")
    real = real[:2]
    columns = learned.columns(real, real)
    assert set(columns) == {"lpips_alex", "lpips_vgg", "phv_layer1", "phv_layer2", "phv_layer3", "phv_layer4"}
    assert all((column == 0).all() and column.shape == (2,) for column in columns.values())
    scores = learned.sets(real, real)
    assert abs(scores["fid"].value) < 1e-9
    if protocol == "clean":
        assert abs(scores["kid_paired"].value) < 1e-9
        assert abs(scores["fid_tf"].value) < 1e-9
    assert "2 images are fewer than 2048" in scores["fid"].note
    assert learned.weights["fid"] == {"name": "inception-fid", "sha256": seeded_weights["inception-fid"].sha256}
    assert learned.weights["lpips_vgg"]["heads_sha256"].startswith("a78928a0")


def test_batch_order_and_a_second_run_move_nothing(
    seeded_weights: dict[str, WeightFile], real: list[Path], fake: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = find_protocol("clean")

    def scores(batch: int, order: list[int]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        learned = LearnedMetrics(
            protocol, select_metrics(["fid", "phv_avg", "lpips_alex"]), seed=0, batch=batch, device="cpu"
        )
        sides = [[paths[k] for k in order] for paths in (real, fake)]
        return learned.columns(*sides), {name: one.value for name, one in learned.sets(*sides).items()}

    monkeypatch.setenv("RESTAIN_CACHE", str(cache_folder() / "first"))
    columns, sets = scores(3, [0, 1, 2])
    monkeypatch.setenv("RESTAIN_CACHE", str(cache_folder().parent / "second"))
    order = [2, 0, 1]
    shuffled, again = scores(1, order)
    for name, column in columns.items():
        np.testing.assert_allclose(shuffled[name], column[order], rtol=1e-5)
    assert again == pytest.approx(sets, rel=1e-5)

    def nobody(*_: object) -> None:
        raise AssertionError("a network was read although all features were there")

    monkeypatch.setattr("restain.metrics.learned.extractor.load_network", nobody)
    assert scores(8, order)[1] == again


def test_phv_is_that_of_the_published_script(seeded_weights: dict[str, WeightFile], tmp_path: Path) -> None:
    pair = a_pair(tmp_path)
    for protocol, golden in PHV_GOLDEN.items():
        columns = LearnedMetrics(find_protocol(protocol), select_metrics(["phv_avg"]), seed=0, device="cpu").columns(
            *pair
        )
        assert list(columns) == ["phv_layer1", "phv_layer2", "phv_layer3", "phv_layer4"]
        # These responses reach thousands, where rounding can carry a channel or two across the threshold.
        np.testing.assert_allclose([column[0] for column in columns.values()], golden, atol=2.1 / 1024)


def test_bad_files_are_one_sentence(seeded_weights: dict[str, WeightFile], real: list[Path], tmp_path: Path) -> None:
    learned = LearnedMetrics(find_protocol("clean"), select_metrics(["fid", "lpips_alex"]), seed=0, device="cpu")
    grey = save(tmp_path / "grey", [np.zeros((64, 80), np.uint8)])
    smaller = save(tmp_path / "smaller", seeded_images(1, 80, 80))
    with pytest.raises(RestainError, match=r"000\.png: has shape \(64, 80\); expected an RGB image"):
        learned.sets(real[:1], grey)
    with pytest.raises(
        RestainError, match=r"smaller/000\.png: has shape \(80, 80, 3\); expected that of .*\(64, 80, 3\)"
    ):
        learned.columns(real[:1], smaller)
    with pytest.raises(NotComputed, match="at least 2 images, there are 1"):
        learned.sets(real[:1], real[:1])


def test_a_damaged_vector_is_named(seeded_weights: dict[str, WeightFile], real: list[Path]) -> None:
    learned = LearnedMetrics(find_protocol("clean"), select_metrics(["lpips_alex"]), seed=0, device="cpu")
    learned.columns(real[:1], real[1:2])
    (vector,) = cache_folder().rglob("*.npy")
    vector.write_bytes(vector.read_bytes()[:20])
    with pytest.raises(RestainError, match=r"\.npy: is damaged .* delete this file of the feature cache"):
        learned.columns(real[:1], real[1:2])


def test_extractors_are_values(seeded_weights: dict[str, WeightFile]) -> None:
    held = find_weights("inception-fid")
    one, other = FeatureExtractor(held, "bilinear-299"), FeatureExtractor(held, "bilinear-299")
    assert one == other and one.key == ("inception-fid", held.sha256, "bilinear-299")
    assert one != FeatureExtractor(held, "antialiased-299")
