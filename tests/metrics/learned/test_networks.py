"""The networks against independent implementations with the same seeded weights.

The figures below were made by torchvision 0.29.1 (ImageNet networks), pytorch-fid 0.3.0 (FID Inception) and lpips 0.1.4
under torch 2.13.0, given ``seeded_state`` of their own key names and shapes and ``seeded_images(1, 150, 170)``. Per
layer: mean, standard deviation, and the scalar product of the flattened output of n values with cos(0 ... n-1) / √n, in
which no two values can change places unseen. All outputs agreed element by element to 1e-6 of their maximum.
"""

import hashlib

import numpy as np
import pytest
import torch
from seeded import NETWORKS, seeded_images, seeded_state, shapes_of

from restain.errors import RestainError
from restain.metrics.learned.extractor import PerceptualDistance, load_network
from restain.metrics.learned.preparation import PREPARATIONS, lpips_full_size
from restain.weights import WeightFile, find_weights

KEYS = {  # number of tensors and SHA-256 of the sorted lines "key shape", classifiers left out
    "inception-fid": (564, "5c5cb906421dd92101f74d73352774dd0c7312df1c7e1eab4f2698dfca34cd92"),
    "inception-imagenet": (564, "5c5cb906421dd92101f74d73352774dd0c7312df1c7e1eab4f2698dfca34cd92"),
    "resnet50-imagenet": (318, "c1f7fd3808aa49e7afb0ec26ebebafda398d447a68e9547c34a3d6fc8945c74c"),
    "vgg16-imagenet": (26, "4c3222feef6e051f859260b385cc5356855a30f72e22d043ddf2b585f4d5d64c"),
    "alexnet-imagenet": (10, "b1e207d270dfe02fc3bee12b1c13876f9c5e05db4ba6349e2c5173d58f7e74d7"),
}
GOLDEN = {
    "inception-fid": {
        "Conv2d_1a_3x3": (0.242225, 0.345001, -0.119313),
        "Conv2d_2b_3x3": (0.215493, 0.35253, 0.000121846),
        "Conv2d_4a_3x3": (0.287081, 0.438531, 0.0498675),
        "Mixed_5b": (0.322188, 0.503314, 0.0198497),
        "Mixed_5c": (0.350377, 0.527431, -0.0135453),
        "Mixed_5d": (0.345108, 0.581964, 0.0560933),
        "Mixed_6a": (0.451412, 0.644409, -0.0480415),
        "Mixed_6b": (0.494936, 0.744263, -0.0517239),
        "Mixed_6c": (0.523662, 0.793127, 0.00267299),
        "Mixed_6d": (0.57421, 0.892293, -0.0528319),
        "Mixed_6e": (0.660325, 1.03329, -0.0159339),
        "Mixed_7a": (0.940915, 1.30342, 0.0228448),
        "Mixed_7b": (0.924298, 1.45492, 0.0373188),
        "Mixed_7c": (1.03426, 1.59484, 0.0701781),
        "": (1.03426, 1.38466, -1.19004),
    },
    "inception-imagenet": {
        "Conv2d_1a_3x3": (0.242225, 0.345001, -0.119313),
        "Conv2d_2b_3x3": (0.215493, 0.35253, 0.000121846),
        "Conv2d_4a_3x3": (0.287081, 0.438531, 0.0498675),
        "Mixed_5b": (0.320088, 0.500078, 0.0206037),
        "Mixed_5c": (0.345756, 0.522681, -0.00846132),
        "Mixed_5d": (0.339429, 0.575912, 0.0469173),
        "Mixed_6a": (0.447134, 0.639728, -0.0335413),
        "Mixed_6b": (0.483613, 0.73156, -0.0242632),
        "Mixed_6c": (0.508686, 0.777129, 0.038199),
        "Mixed_6d": (0.554849, 0.87348, -0.0278766),
        "Mixed_6e": (0.634624, 1.00599, -0.0136191),
        "Mixed_7a": (0.919359, 1.28126, 0.00601784),
        "Mixed_7b": (0.895361, 1.41931, -0.0831843),
        "Mixed_7c": (0.964374, 1.50076, -0.0306764),
        "": (0.964374, 1.27886, -1.04894),
    },
    "resnet50-imagenet": {
        "layer1": (4.50437, 5.73075, 0.04476),
        "layer2": (30.3817, 35.8365, 2.05383),
        "layer3": (484.638, 605.287, 36.2896),
        "layer4": (1651.89, 2082.37, -985.774),
    },
    "vgg16-imagenet": {
        "features.3": (0.593206, 0.909905, 0.0667857),
        "features.8": (0.843598, 1.22911, -0.135669),
        "features.15": (0.947103, 1.41099, 0.122371),
        "features.22": (1.02959, 1.54824, 0.177131),
        "features.29": (1.1421, 1.77566, -0.109032),
    },
    "alexnet-imagenet": {
        "features.1": (0.512668, 0.770644, 0.511098),
        "features.4": (0.875426, 1.27484, -0.0312242),
        "features.7": (1.28637, 1.82717, 0.143113),
        "features.9": (1.20345, 1.76621, 0.00789319),
        "features.11": (0.963327, 1.55436, 0.543748),
    },
}
PREPARED = {
    "inception-fid": PREPARATIONS["bilinear-299"],
    "inception-imagenet": PREPARATIONS["bilinear-299"],
    "resnet50-imagenet": PREPARATIONS["imagenet-full-size"],
    "vgg16-imagenet": lpips_full_size,
    "alexnet-imagenet": lpips_full_size,
}
LPIPS_GOLDEN = {"alex": 0.13474584, "vgg": 0.15707637}  # of seeded_images(2, 96, 80, seed=3)


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_the_official_ones(name: str) -> None:
    lines = sorted(f"{key} {shape}" for key, shape in shapes_of(name))
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()) == KEYS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_answers_as_the_independent_implementation(name: str) -> None:
    network = load_network(name, seeded_state(shapes_of(name)))
    seen: dict[str, torch.Tensor] = {}
    for layer in filter(None, GOLDEN[name]):
        network.get_submodule(layer).register_forward_hook(
            lambda _module, _input, output, layer=layer: seen.update({layer: output.clone()})
        )
    with torch.inference_mode():
        output = network(PREPARED[name](seeded_images(1, 150, 170)[0])[None])
        *_, last = output  # the stacks answer tap by tap
    if "" in GOLDEN[name]:
        seen[""] = last
    for layer, golden in GOLDEN[name].items():
        y = seen[layer].double().flatten().numpy()
        found = (y.mean(), y.std(), y @ np.cos(np.arange(len(y))) / np.sqrt(len(y)))
        np.testing.assert_allclose(found, golden, rtol=2e-5, atol=2e-5 * golden[1], err_msg=layer)


def test_a_file_with_classifiers_and_without_counters_loads_and_one_with_other_keys_does_not() -> None:
    state = seeded_state(shapes_of("resnet50-imagenet"))
    older = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    network = load_network(
        "resnet50-imagenet", older | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(9)}
    )
    assert not network.training and not any(one.requires_grad for one in network.parameters())
    for broken in (
        older | {"extra.weight": torch.zeros(1)},
        {key: value for key, value in older.items() if key != "conv1.weight"},
        older | {"conv1.weight": torch.zeros(64, 3, 3, 3)},
    ):
        with pytest.raises(RestainError, match="resnet50-imagenet: its weights do not fit the network"):
            load_network("resnet50-imagenet", broken)


@pytest.mark.parametrize(("short", "name"), [("alex", "alexnet-imagenet"), ("vgg", "vgg16-imagenet")])
def test_lpips_is_that_of_the_stock_package(seeded_weights: dict[str, WeightFile], short: str, name: str) -> None:
    distance = PerceptualDistance(find_weights(name), find_weights(f"lpips-{short}"))
    real, fake = seeded_images(2, 96, 80, seed=3)
    assert distance(real, fake) == pytest.approx(LPIPS_GOLDEN[short], abs=1e-6)
    assert distance(real, real) == 0.0
    assert np.isnan(distance(real[:15, :40], fake[:15, :40]))
    assert distance(real[:31, :31], fake[:31, :31]) > 0
