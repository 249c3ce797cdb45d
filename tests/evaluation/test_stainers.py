"""The stainer of a system is known from staining.json, as far as that fits the images."""

from pathlib import Path

import pytest

import restain
from restain.evaluation.inputs import match_images
from restain.evaluation.stainers import Stainers, read_stainers
from restain.networks.specs import ResnetSpec
from restain.stainer import Stainer, StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.staining_record import NAME


@pytest.fixture(scope="module")
def stainers(tmp_path_factory: pytest.TempPathFactory) -> list[Stainer]:
    """Two small stainers with different weights."""
    made = []
    for index in range(2):
        folder = tmp_path_factory.mktemp("stainer")
        card = StainerCard(stain="ER", mpp=0.25, tile_size=16, recipe=f"recipe{index}", trained={})
        save_stainer(folder, ResnetSpec(ngf=2, blocks=1 + index).build(), card)
        made.append(load_stainer(folder))
    return made


def read(out: Path) -> Stainers:
    return read_stainers({"virtual": out}, match_images({"fake": out}))


def test_evaluate_records_the_stainer_and_takes_its_scale_and_stain(
    folders: dict[str, Path], stainers: list[Stainer], tmp_path: Path
) -> None:
    restain.stain(stainers[0], folders["source"], tmp_path / "virtual")
    options = restain.EvaluationOptions(metrics=["ssim"])
    summary = restain.evaluate(
        folders["real"],
        {"ours": tmp_path / "virtual", "theirs": folders["fake"]},
        out=tmp_path / "out",
        options=options,
    ).summary
    assert list(summary.stainers) == ["ours"] and not any("recorded" in text for text in summary.warnings)
    made = summary.stainers["ours"]
    assert made.weights_sha256 == stainers[0].weights_sha256 and made.stainer == stainers[0].weights_sha256
    assert (made.recipe, made.stain, made.mpp, made.norm) == ("recipe0", "ER", 0.25, "image")
    assert (summary.mpp, summary.marker) == (0.25, "nuclear") and "staining.json" in summary.mpp_source


def test_images_of_two_stainers_have_none(folders: dict[str, Path], stainers: list[Stainer], tmp_path: Path) -> None:
    first, second = sorted((folders["source"] / "slide0").iterdir())[:2]
    restain.stain(stainers[0], first, tmp_path)
    restain.stain(stainers[1], second, tmp_path)
    found = read(tmp_path)
    assert not found.known and found.mpp is None
    assert found.warnings == [
        "the stainer of virtual is not recorded: "
        "its images were made by more than one stainer, or with more than one norm"
    ]
    (tmp_path / second.name).unlink()  # the record is of the newest stainer, the image that is left of the older one
    assert not read(tmp_path).known


def test_an_image_that_was_replaced_is_noticed(
    folders: dict[str, Path], stainers: list[Stainer], tmp_path: Path
) -> None:
    source = folders["source"] / "slide0"
    restain.stain(stainers[0], source, tmp_path)
    assert read(tmp_path).known["virtual"].recipe == "recipe0"
    victim = sorted(source.iterdir())[0].name
    (tmp_path / victim).write_bytes((source / victim).read_bytes())
    assert read(tmp_path).warnings[0].endswith(f"images are not those of its staining.json, such as {victim}")
    (tmp_path / NAME).unlink()
    assert read(tmp_path) == Stainers({}, [])
