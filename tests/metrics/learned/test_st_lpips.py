"""ST-LPIPS against the package of its authors, with weights made of their key names.

The numbers were made by stlpips-pytorch 0.0.2 under torch 2.13.0, given ``seeded_state`` of the keys and shapes of its
own files and ``seeded_images(2, 96, 80, seed=3)``: per tap the mean, the standard deviation and the product with a
cosine as in ``test_networks.py``. On the real weights see ``benchmarks/st_lpips_agreement.py``.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from seeded import seeded_images, seeded_state

from restain.metrics.catalogue import select_metrics
from restain.metrics.learned.extractor import PerceptualDistance, load_network
from restain.metrics.learned.networks import LearnedMetrics
from restain.metrics.learned.preparation import lpips_full_size
from restain.metrics.learned.stacks import BlurredHalving
from restain.metrics.protocols import find_protocol
from restain.tensors import to_tensor
from restain.terms.config import StLpipsConfig
from restain.terms.st_lpips import StLpips
from restain.weights import WEIGHTS, WeightFile, find_weights

CONVOLUTIONS = {  # slice and number of a convolution in the released file: outputs, inputs, side
    "alex": {
        "1.0": (64, 3, 11),
        "2.5": (192, 64, 5),
        "3.9": (384, 192, 3),
        "4.11": (256, 384, 3),
        "5.13": (256, 256, 3),
    },
    "vgg": {
        **{"1.0": (64, 3, 3), "1.2": (64, 64, 3), "2.6": (128, 64, 3), "2.8": (128, 128, 3), "3.12": (256, 128, 3)},
        **{"3.14": (256, 256, 3), "3.16": (256, 256, 3), "4.20": (512, 256, 3), "4.22": (512, 512, 3)},
        **{"4.24": (512, 512, 3), "5.28": (512, 512, 3), "5.30": (512, 512, 3), "5.32": (512, 512, 3)},
    },
}
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
TAPS = {
    "alex": (
        (0.514634, 0.763357, 0.19847),
        (0.608758, 0.899332, -0.0185899),
        (0.730857, 1.14986, 0.0252826),
        (0.694834, 1.08426, -0.0260213),
        (0.733639, 1.06728, 0.000435355),
    ),
    "vgg": (
        (0.594609, 0.882667, 0.13697),
        (0.732414, 1.16248, 0.0352054),
        (0.872189, 1.34612, 0.0785947),
        (0.995472, 1.53208, 0.0247572),
        (0.869596, 1.34812, 0.34954),
    ),
}
DISTANCE = {"alex": 0.0028325438, "vgg": -0.0167378727}  # seeded heads may be negative


def released_state(short: str) -> dict[str, torch.Tensor]:
    """All tensors of a released file, under its own keys."""
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for place, (outputs, inputs, side) in CONVOLUTIONS[short].items():
        shapes += [(f"net.slice{place}.weight", (outputs, inputs, side, side)), (f"net.slice{place}.bias", (outputs,))]
    shapes += [(f"lin{tap}.model.1.weight", (1, width, 1, 1)) for tap, width in enumerate(WIDTHS[short])]
    others = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "net.slice1.1.filt": torch.zeros(64, 1, 3, 3)}
    return seeded_state(shapes) | others


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both files with seeded values in place of the real ones."""
    files = {}
    for short in WIDTHS:
        name, path = f"st-lpips-{short}", tmp_path / f"{short}_shift_tolerant.pth"
        torch.save(released_state(short), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[name] = WeightFile(name, path.name, "a test", "", path.stat().st_size, digest, "", wheel="x==1")
    for module in ("registry", "store"):
        monkeypatch.setattr(f"restain.weights.{module}.WEIGHTS", {**WEIGHTS, **files})
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("side", [(9, 12), (8, 5)])
def test_a_halving_is_every_second_pixel_of_a_blurred_map(side: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=side)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    blurred = correlate(np.pad(x, 2, mode="reflect"), kernel)[1:-1, 1:-1]  # where the kernel lies inside the padded map
    found = BlurredHalving()(torch.from_numpy(x)[None, None])[0, 0]
    np.testing.assert_allclose(found, blurred[::2, ::2], rtol=1e-12)


@pytest.mark.parametrize("short", WIDTHS)
def test_every_tap_answers_as_that_of_the_package(short: str) -> None:
    network = load_network(f"st-lpips-{short}", released_state(short))
    with torch.inference_mode():
        taps = list(network(lpips_full_size(seeded_images(2, 96, 80, seed=3)[0])[None]))
    assert len(taps) == 5
    for tap, golden in zip(taps, TAPS[short], strict=True):
        y = tap.double().flatten().numpy()
        found = (y.mean(), y.std(), y @ np.cos(np.arange(len(y))) / np.sqrt(len(y)))
        np.testing.assert_allclose(found, golden, rtol=2e-5, atol=2e-5 * golden[1])


@pytest.mark.parametrize("short", WIDTHS)
def test_the_distance_is_that_of_the_package(stand_ins: Path, short: str) -> None:
    held = find_weights(f"st-lpips-{short}")
    distance = PerceptualDistance(held, held)
    real, fake = seeded_images(2, 96, 80, seed=3)
    assert distance(real, fake) == pytest.approx(DISTANCE[short], abs=2e-6)
    assert distance(real, real) == 0.0
    smallest = distance.network.smallest
    assert np.isnan(distance(real[: smallest - 1], fake[: smallest - 1]))
    assert np.isfinite(distance(real[:smallest, :smallest], fake[:smallest, :smallest]))


def test_the_metrics_are_computed_where_the_protocol_defines_them(
    stand_ins: Path, save_pair: Callable[[], tuple[Path, Path]]
) -> None:
    wanted = select_metrics(["st_lpips_alex", "st_lpips_vgg"])
    assert {(metric.family, metric.direction, metric.votes, metric.ballot) for metric in wanted} == {
        ("learned", "lower", True, "st_lpips")
    }
    learned = LearnedMetrics(find_protocol("clean"), wanted, seed=0, device="cpu")
    real, fake = save_pair()
    columns = learned.columns([real], [fake])
    assert columns["st_lpips_alex"][0] == pytest.approx(DISTANCE["alex"], abs=2e-6)
    assert columns["st_lpips_vgg"][0] == pytest.approx(DISTANCE["vgg"], abs=2e-6)
    elsewhere = LearnedMetrics(find_protocol("asp2023"), wanted, seed=0, device="cpu")
    assert set(elsewhere.missing) == {"st_lpips_alex", "st_lpips_vgg"}


@pytest.fixture
def save_pair(tmp_path: Path) -> Callable[[], tuple[Path, Path]]:
    from restain.images import write_png

    def save() -> tuple[Path, Path]:
        paths = tmp_path / "real.png", tmp_path / "fake.png"
        for path, image in zip(paths, seeded_images(2, 96, 80, seed=3), strict=True):
            write_png(path, image)
        return paths

    return save


def test_the_term_is_the_sum_of_the_metric_at_lower_resolutions(stand_ins: Path) -> None:
    real, fake = seeded_images(2, 96, 80, seed=3)
    images = [to_tensor(image)[None] for image in (real, fake)]
    whole = StLpips(StLpipsConfig(weight=1, scales=((1, 1.0),)))(images[1], images[0])
    assert whole.item() == pytest.approx(DISTANCE["alex"], abs=2e-6)
    parts = [StLpips(StLpipsConfig(weight=1, scales=((factor, 1.0),)))(images[1], images[0]) for factor in (1, 2)]
    together = StLpips(StLpipsConfig(weight=1, scales=((1, 0.25), (2, 2.0))))
    torch.testing.assert_close(together(images[1], images[0]), 0.25 * parts[0] + 2 * parts[1])
    half = torch.tensor([0.5])
    torch.testing.assert_close(together(images[1], images[0], half), together(images[1], images[0]) / 2)


def test_the_gradient_of_the_term_is_finite_on_glass_and_reaches_the_virtual_image_alone(stand_ins: Path) -> None:
    fake, real = torch.ones(1, 3, 48, 48, requires_grad=True), torch.rand(1, 3, 48, 48, requires_grad=True)
    term = StLpips(StLpipsConfig(weight=1, scales=((2, 1.0),)))
    with torch.no_grad():
        for parameter in term._network.parameters():
            parameter.zero_()  # no response anywhere: the norm of each place is 0, where its slope would be infinite
    term(fake, real).backward()
    assert fake.grad is not None and fake.grad.isfinite().all() and real.grad is None
