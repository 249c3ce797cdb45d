"""Checkpoints and stainer folders: round trips, and what is refused."""

import dataclasses
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from full_disk import full_disk
from safetensors.torch import load_file, save_file
from torch import nn

from restain.calibration import calibrated
from restain.errors import RestainError
from restain.files import sha256
from restain.networks.generator import plain_copy
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.networks.statistics import Statistics, freeze, measure
from restain.stainer import StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.training.checkpoint import load_checkpoint

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
    assert config["spec_version"] == "2.0"
    assert config["generator"] == ResnetSpec(ngf=4, blocks=2, spectral_norm=False).model_dump()
    assert (config["stain"], config["mpp"], config["tile_size"], config["recipe"]) == ("ER", 0.5, 96, "tiny")
    card = (folder / "README.md").read_text()
    for words in ("Virtual ER from H&E", "not a real", "not for clinical use", "0.5 µm/px", config["weights_sha256"]):
        assert words in card


@pytest.mark.parametrize(
    "spec",
    [
        ResnetSpec(ngf=4, blocks=1, antialias=False, norm="batch", dropout=True),
        UnetSpec(ngf=2, downs=4),
        UnetSpec(ngf=2, downs=3, norm="instance", dropout=False),
    ],
    ids=str,
)
def test_every_generator_can_be_saved(tmp_path: Path, spec: GeneratorSpec) -> None:
    torch.manual_seed(0)
    generator = spec.build()
    for _ in range(3):
        generator(torch.rand(2, 3, 32, 32))
    crops = [torch.rand(1, 3, 32, 32) for _ in range(3)]
    save_stainer(tmp_path / "stainer", generator, CARD, calibrated(generator, crops)[1])
    assert generator.training
    stainer = load_stainer(tmp_path / "stainer")
    assert stainer.generator.spec == spec.plain()
    x = torch.rand(1, 3, 40, 33) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), generator.eval()(x), rtol=1e-4, atol=1e-6)
    if spec.norm == "instance":
        expected = freeze(generator, measure(generator, crops))
        torch.testing.assert_close(stainer.network()(x), expected(x), rtol=1e-4, atol=1e-6)


def test_a_stainer_of_version_1_loads(tmp_path: Path) -> None:
    # Written as version 1.0 wrote it: by hand, with weights of another implementation of the same network.
    torch.manual_seed(0)
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7), nn.InstanceNorm2d(4), nn.ReLU()]
    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    state = {f"layers.{i}.{k}": v for i, layer in enumerate(layers) for k, v in layer.state_dict().items()}

    def normed(index: int, before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, padding=1)
        state.update({f"layers.{index}.{k}": v for k, v in convolution.state_dict().items()})
        return nn.Sequential(convolution, nn.InstanceNorm2d(after), nn.ReLU())

    down1, down2 = normed(4, 4, 8), normed(8, 8, 16)
    block = [nn.Conv2d(16, 16, 3) for _ in range(2)]
    for place, convolution in zip((1, 5), block, strict=True):
        state |= {f"layers.12.conv_block.{place}.{k}": v for k, v in convolution.state_dict().items()}
    up1, up2 = normed(14, 16, 8), normed(18, 8, 4)
    last = nn.Conv2d(4, 3, 7)
    state |= {f"layers.22.{k}": v for k, v in last.state_dict().items()}

    def blur(x: torch.Tensor) -> torch.Tensor:
        filters = kernel.expand(x.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), filters, stride=2, groups=x.shape[1])

    def expected(x: torch.Tensor) -> torch.Tensor:
        x = blur(down2(blur(down1(nn.Sequential(*layers)(x)))))
        inner = F.relu(F.instance_norm(block[0](F.pad(x, (1, 1, 1, 1), mode="reflect"))))
        x = x + F.instance_norm(block[1](F.pad(inner, (1, 1, 1, 1), mode="reflect")))
        for up in (up1, up2):
            x = up(F.interpolate(x, scale_factor=2, mode="bilinear"))
        return last(F.pad(x, (3, 3, 3, 3), mode="reflect")).tanh()

    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "model.safetensors")
    config = {
        "spec_version": "1.0",
        "restain": "0.1.0",
        "architecture": {"name": "resnet", "ngf": 4, "blocks": 1},
        "stain": "panCK",
        "mpp": 1,
        "tile_size": 96,
        "recipe": "asp",
        "trained": {"steps": 2544, "device": "CPU", "moving_average": None},
        "weights_sha256": sha256(tmp_path / "model.safetensors"),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    stainer = load_stainer(tmp_path)
    assert stainer.card == StainerCard("panCK", 1.0, 96, "asp", config["trained"]) and stainer.statistics is None
    x = torch.rand(2, 3, 32, 40) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), expected(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_stainer_is_replaced_and_other_files_stay(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / ".git").mkdir()
    calibration = calibrated(ResnetSpec(ngf=4, blocks=2).build(), [torch.rand(1, 3, 32, 32)])[1]
    save_stainer(folder, ResnetSpec(ngf=4, blocks=2).build(), CARD, calibration)
    own = {"README.md", "config.json", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == own | {"statistics.safetensors", "notes.txt", ".git"}
    save_stainer(folder, ResnetSpec(ngf=4, blocks=3).build(), CARD)
    assert {path.name for path in folder.iterdir()} == own | {"notes.txt", ".git"}
    assert (folder / "notes.txt").read_text() == "mine"
    assert {path.name for path in folder.parent.iterdir()} == {"stainer"}


def test_files_have_the_mode_of_others(folder: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~mask}


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
    (tmp_path / "model").mkdir()  # weights of some other project
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "model" / name).write_text("{}")
    with pytest.raises(RestainError, match=r"model: holds something that is not a stainer"):
        save_stainer(tmp_path / "model", ResnetSpec(ngf=4, blocks=2).build(), CARD)
    save_stainer(Path(), ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build(), CARD)
    load_stainer(tmp_path / "new")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"spec_version": "3.0"}, "spec_version is '3.0', expected one of 1.0, 2.0"),
        ({"spec_version": None}, "spec_version is None"),
        ({"mpp": "0.5"}, "field mpp is '0.5'; input should be a valid number"),
        ({"mpp": 0}, "field mpp is 0; input should be greater than 0"),
        ({"tile_size": [96]}, r"field tile_size is \[96\]; input should be a valid integer"),
        ({"stain": 7}, "field stain is 7; input should be a valid string"),
        ({"stain": "ER\n---\nlicense: mit"}, "field stain is .*string should match pattern"),
        ({"recipe": None}, "field recipe is None"),
        ({"trained": {"steps": [[]]}}, "field trained.steps"),
        ({"weights_sha256": 12}, "field weights_sha256 is 12"),
        ({"generator": None}, "field generator is None"),
        ({"generator": {"kind": "transformer"}}, "field generator is .*'transformer'"),
        ({"generator": {"kind": "resnet", "ngf": 10**6}}, "field generator.resnet.ngf is 1000000; .* to 512"),
        ({"generator": {"kind": "resnet", "blocks": 10**9}}, "field generator.resnet.blocks is 1000000000"),
        ({"generator": {"kind": "resnet", "ngf": 4.5}}, "field generator.resnet.ngf is 4.5"),
        ({"generator": {"kind": "unet", "downs": True}}, "field generator.unet.downs is True"),
        ({"calibration": {"crops": 3}}, "field calibration.statistics_sha256 is missing"),
        ({"extra": 1}, "field extra is unknown"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_refused_in_one_sentence(folder: Path, wrong: dict[str, object], words: str) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **wrong}))
    with pytest.raises(RestainError, match=rf"config\.json: is not a stainer's configuration \(.*{words}") as error:
        load_stainer(folder)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_configuration_is_refused(folder: Path) -> None:
    for text in ("{", "{}", "[]", "[" * 100_000, '{"spec_version": "2.0", "mpp": NaN}', " " * 2_000_000):
        (folder / "config.json").write_text(text)
        with pytest.raises(
            RestainError, match=r"config\.json: (is not a stainer's configuration|is not valid|holds a|has 1)"
        ):
            load_stainer(folder)
    (folder / "config.json").unlink()
    with pytest.raises(RestainError, match=r"has no config\.json, so it is not a stainer folder"):
        load_stainer(folder)


def test_other_weights_are_refused_before_anything_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    good, values = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(good[:-1] + b"x")
    with pytest.raises(RestainError, match=r"model\.safetensors: has SHA-256 \w{12}\.\.\.; config\.json expects"):
        load_stainer(folder)
    weights.write_bytes(good)
    monkeypatch.setattr("restain.stainer_files.load_file", None)  # no weights are read
    largest = {"kind": "resnet", "ngf": 512, "blocks": 64, "spectral_norm": False}  # 19 GB
    for spec, words in (
        (largest, r"layers\.1\.bias is \(4,\); expected \(512,\)"),
        ({**values["generator"], "blocks": 3}, r"layers\.14\.conv_block\.1\.bias is missing; expected \(16,\)"),
        ({**values["generator"], "blocks": 1}, r"layers\.13\.conv_block\.1\.bias is \(16,\); expected no such weight"),
        ({"kind": "unet"}, r"downs\.0\.0\.weight is missing"),
    ):
        config.write_text(json.dumps({**values, "generator": spec}))
        with pytest.raises(RestainError, match=rf"does not fit config\.json \({words}"):
            load_stainer(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    generator = ResnetSpec(ngf=4, blocks=2).build()
    generator.layers[1].bias.data[0] = float("inf")
    with pytest.raises(RestainError, match=r"model\.safetensors: layers\.1\.bias holds values that are not finite"):
        save_stainer(folder, generator, CARD)
    load_stainer(folder)
    weights = load_file(folder / "model.safetensors")
    weights["layers.1.bias"][0] = float("nan")
    save_file(weights, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["weights_sha256"] = sha256(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RestainError, match=r"model\.safetensors: layers\.1\.bias holds values that are not finite"):
        load_stainer(folder)


def test_a_full_disk_leaves_the_old_stainer_and_nothing_else(folder: Path) -> None:
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    generator = ResnetSpec(ngf=4, blocks=2).build()
    words = r"model\.safetensors: cannot be written \(File too large\)"
    with full_disk(2000), pytest.raises(RestainError, match=words):
        save_stainer(folder, generator, CARD)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == good
    assert list(folder.parent.iterdir()) == [folder]


def test_statistics_must_be_those_that_were_stored(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = ResnetSpec(ngf=4, blocks=2).build()
    folder, path = tmp_path / "s", tmp_path / "s" / "statistics.safetensors"
    calibration = calibrated(generator, [torch.rand(1, 3, 32, 32)])[1]
    save_stainer(folder, generator, CARD, calibration)
    assert load_stainer(folder).default_norm == "stainer"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"x")
    with pytest.raises(RestainError, match=r"statistics\.safetensors: has SHA-256"):
        load_stainer(folder)
    path.unlink()
    with pytest.raises(RestainError, match=r"statistics\.safetensors: no such file, but config\.json names its hash"):
        load_stainer(folder)
    other = ResnetSpec(ngf=4, blocks=1).build()
    with pytest.raises(RestainError, match="have channels"):
        save_stainer(tmp_path / "t", other, CARD, calibration)
    endless = Statistics(calibration.statistics.means, tuple(v / 0 for v in calibration.statistics.variances))
    with pytest.raises(RestainError, match=r"expected a mean and a variance for each norm"):
        save_stainer(tmp_path / "t", generator, CARD, dataclasses.replace(calibration, statistics=endless))
    save_stainer(tmp_path / "t", other, CARD, calibrated(other, [torch.rand(1, 3, 32, 32)])[1])
    path.write_bytes((tmp_path / "t" / "statistics.safetensors").read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["calibration"]["statistics_sha256"] = sha256(path)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RestainError, match=r"statistics\.safetensors: normalisation statistics: have channels"):
        load_stainer(folder)


def test_what_is_said_of_a_stainer_cannot_break_its_card(tmp_path: Path) -> None:
    generator = ResnetSpec(ngf=4, blocks=1).build()
    card = dataclasses.replace(CARD, stain="ER <script>alert(1)</script> | x", trained={"pairs | n": "<b>"})
    save_stainer(tmp_path / "s", generator, card)
    text = (tmp_path / "s" / "README.md").read_text()
    assert "<script>" not in text and "<b>" not in text and text.startswith("---\nlibrary_name: restain\n")
    assert load_stainer(tmp_path / "s").card == card
    with pytest.raises(RestainError, match=r"config\.json: field stain is 'a\\nb'; string should match pattern"):
        save_stainer(tmp_path / "t", generator, dataclasses.replace(CARD, stain="a\nb"))
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


def test_an_unfinished_run_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RestainError, match="the training run has not finished"):
        load_stainer(tmp_path)
