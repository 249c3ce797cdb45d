"""Invented tissue: H&E, its IHC, and a flawed guess of the IHC."""

import numpy as np
import pytest

from restain.images import write_png
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose

COUNT = 9


def make_tissue(seed, size=(40, 48)):
    """An H&E and an IHC image of one invented tissue, and a flawed guess of the IHC."""
    generator = np.random.default_rng(seed)
    blocks = generator.uniform(0, 1, (3, size[0] // 8, size[1] // 8))
    nuclei, matrix, marker = (np.kron(block, np.ones((8, 8))) for block in blocks)
    marker = marker * seed / 5
    render = [
        compose(np.stack([nuclei, matrix], -1), [HEMATOXYLIN, EOSIN]),
        compose(np.stack([nuclei, marker], -1), [HEMATOXYLIN, DAB]),
        compose(np.stack([nuclei, 0.7 * marker + 0.1 * matrix], -1), [HEMATOXYLIN, DAB]),
    ]
    noisy = (np.clip(light + generator.normal(0, 0.02, light.shape), 0, 1) for light in render)
    return [np.round(255 * light).astype(np.uint8) for light in noisy]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for index in range(COUNT):
        for role, image in zip(("source", "real", "fake"), make_tissue(index), strict=True):
            write_png(root / role / f"slide{index % 2}" / f"field{index}.png", image)
    for index in range(3):
        write_png(root / "reference" / f"train{index}.png", make_tissue(100 + index)[1])
    return {role: root / role for role in ("real", "fake", "source", "reference")}


@pytest.fixture(scope="session", autouse=True)
def no_weights(tmp_path_factory):
    """Whatever weights this machine has: the figures of networks are tested where the networks are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTAIN_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No measure of another test is taken for one of this."""
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path_factory.mktemp("cache")))
