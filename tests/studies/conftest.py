"""Folders of small images, and studies made of them."""

from pathlib import Path

import pytest
from studies_folder import write_images

import restain


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Folders real, virtual and he with sixteen cases."""
    folder = tmp_path_factory.mktemp("images")
    for seed, side in enumerate(("real", "virtual", "he")):
        write_images(folder / side, seed)
    return folder


@pytest.fixture
def make(images, tmp_path):
    """Make a study of the images."""

    def made(name="study", **options):
        chosen = {"real": images / "real", "virtual": images / "virtual", "design": "score", "marker": "her2",
                  "cases": 8, "readers": 2, "training_cases": 1, "washout_days": 0.0, "seed": 3}  # fmt: skip
        return restain.make_study(tmp_path / name, **{**chosen, **options}).folder

    return made
