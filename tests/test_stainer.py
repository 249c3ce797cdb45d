"""Checkpoints and stainer folders: round trips, and what is refused."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from restain.errors import RestainError
from restain.networks.generator import plain_copy
from restain.networks.specs import ResnetSpec
from restain.stainer import StainerCard, load_stainer, save_stainer
from restain.training.checkpoint import load_checkpoint

SHAPE = {"name": "resnet", "ngf": 4, "blocks": 2}
BAD = ({"ngf": "many"}, {"ngf": 0}, {"ngf": -4}, {"ngf": 4.5}, {"name": "unet"})
CARD = StainerCard(stain="ER", mpp=0.5, tile_size=96, recipe="tiny", trained={"steps": 7})


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this code must not run",))


def test_foreign_files_are_refused_and_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Harmful()))
    torch.save({"step": Harmful()}, tmp_path / "code.pt")
    (tmp_path / "text.pt").write_text("no")
    torch.save({"other": 1}, tmp_path / "other.pt")
    for path in tmp_path.iterdir():
        with pytest.raises(RestainError, match=path.name):
            load_checkpoint(path)
    assert "must not run" not in capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_stainer(tmp_path / "stainer", ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), CARD)
    return tmp_path / "stainer"


def test_a_stainer_gives_what_its_generator_gave(tmp_path: Path) -> None:
    torch.manual_seed(1)
    generator = ResnetSpec(ngf=4, blocks=2).build()
    x = torch.rand(1, 3, 24, 20) * 2 - 1
    generator.eval()
    expected = generator(x)
    save_stainer(tmp_path / "stainer", generator, CARD)
    stainer = load_stainer(tmp_path / "stainer")
    torch.testing.assert_close(stainer.generator(x), expected)
    assert stainer.card == CARD
    assert not stainer.generator.training
    assert not any(parameter.requires_grad for parameter in stainer.generator.parameters())
    assert torch.equal(load_stainer(tmp_path).generator(x), stainer.generator(x))  # found inside a run folder


def test_folded_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(2)
    generator = plain_copy(ResnetSpec(ngf=4, blocks=2).build())
    x = torch.rand(2, 3, 24, 20) * 2 - 1
    expected = generator(x)
    save_stainer(tmp_path / "stainer", generator, CARD)
    assert torch.equal(load_stainer(tmp_path / "stainer").generator(x), expected)


def test_the_folder_says_what_it_is(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"] == {"name": "resnet", "ngf": 4, "blocks": 2}
    assert (config["stain"], config["mpp"], config["tile_size"], config["recipe"]) == ("ER", 0.5, 96, "tiny")
    card = (folder / "README.md").read_text()
    for words in ("Virtual ER from H&E", "not a real", "not for clinical use", "0.5 µm/px", config["weights_sha256"]):
        assert words in card


def test_a_stainer_is_replaced_whole(folder: Path) -> None:
    (folder / "stray.txt").touch()
    save_stainer(folder, ResnetSpec(ngf=4, blocks=3, spectral_norm=False).build(), CARD)
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert {path.name for path in folder.parent.iterdir()} == {"stainer"}


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("a thesis")
    with pytest.raises(RestainError, match=r"docs: holds something that is not a stainer"):
        save_stainer(tmp_path / "docs", ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), CARD)
    with pytest.raises(RestainError, match=r"README\.md: holds something"):
        save_stainer(tmp_path / "docs" / "README.md", ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), CARD)
    assert (tmp_path / "docs" / "README.md").read_text() == "a thesis"
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    save_stainer(Path(), ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), CARD)
    load_stainer(tmp_path / "new")


def test_broken_stainers_are_refused(folder: Path) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    good_weights, good_config = weights.read_bytes(), config.read_text()

    weights.write_bytes(good_weights[:-1] + b"x")
    with pytest.raises(RestainError, match=r"model\.safetensors: has SHA-256 \w{12}\.\.\.; config\.json expects"):
        load_stainer(folder)
    weights.write_bytes(good_weights)

    for text in (
        *("{", "{}", "[]"),
        *(json.dumps({**json.loads(good_config), "architecture": {**SHAPE, **wrong}}) for wrong in BAD),
    ):
        config.write_text(text)
        with pytest.raises(RestainError, match=r"config\.json: is not a stainer's configuration"):
            load_stainer(folder)
    config.write_text(json.dumps({**json.loads(good_config), "architecture": {**SHAPE, "ngf": 8}}))
    with pytest.raises(RestainError, match=r"does not fit config\.json"):
        load_stainer(folder)
    config.unlink()
    with pytest.raises(RestainError, match=r"has no config\.json, so it is not a stainer folder"):
        load_stainer(folder)


def test_an_unfinished_run_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RestainError, match="the training run has not finished"):
        load_stainer(tmp_path)
