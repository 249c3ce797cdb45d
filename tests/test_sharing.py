"""Stainers to and from a hub: a small endpoint on this machine in the place of huggingface.co."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hub_endpoint import Endpoint, running_endpoint

import restain
from restain.errors import RestainError
from restain.hub import HubReference, hub_reference
from restain.images import write_png
from restain.networks.specs import ResnetSpec
from restain.stainer import StainerCard
from restain.stainer_files import save_stainer

hub = pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed")


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with running_endpoint() as running:
        for module in ("constants", "hf_api", "file_download"):
            loaded: Any = importlib.import_module(f"huggingface_hub.{module}")
            for name, value in (
                ("ENDPOINT", running.address),
                ("HUGGINGFACE_CO_URL_TEMPLATE", running.address + "/{repo_id}/resolve/{revision}/{filename}"),
                ("HF_HUB_CACHE", str(tmp_path / "hub")),
                ("HF_TOKEN_PATH", str(tmp_path / "no-token")),
            ):
                if hasattr(loaded, name):
                    monkeypatch.setattr(loaded, name, value)
        monkeypatch.setattr(hub.hf_api.api, "endpoint", running.address)
        monkeypatch.setenv("HF_TOKEN", "a-token-of-a-test")
        yield running


@pytest.fixture
def stainer(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    card = StainerCard(stain="HER2", mpp=0.5, tile_size=32, recipe="tiny", trained={"steps": 3})
    save_stainer(folder, ResnetSpec(ngf=2, blocks=1).build(), card)
    return folder


def test_a_stainer_comes_back_as_it_went(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    address = restain.push(stainer, "lab/her2", licence="cc-by-nc-4.0", datasets=["MIST", "lab/slides"])
    [(commit, files)] = endpoint.repositories["lab/her2"]
    assert address == f"{endpoint.address}/lab/her2/commit/{commit}"
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    for name in ("config.json", "model.safetensors"):
        assert files[name] == (stainer / name).read_bytes()
    assert restain.pull("hf://lab/her2", tmp_path / "pulled") == tmp_path / "pulled"
    before, after = (restain.load_stainer(folder) for folder in (stainer, tmp_path / "pulled"))
    assert after.identity == before.identity and after.card == before.card
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(restain.load_stainer("hf://lab/her2").network()(image), before.network()(image))
    assert restain.load_stainer(Path("hf://lab/her2")).identity == before.identity  # as the command line passes it


def test_the_card_has_licence_data_and_scores(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    pixels = torch.randint(
        0, 256, (9, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ).numpy()
    for index, picture in enumerate(pixels):
        write_png(tmp_path / "he" / f"{index}.png", picture)
        write_png(tmp_path / "ihc" / f"{index}.png", 255 - picture)
    restain.stain(stainer, tmp_path / "he", tmp_path / "virtual")
    options = restain.EvaluationOptions(metrics=["ssim", "psnr", "dab_mean_od"])
    made = restain.evaluate(tmp_path / "ihc", tmp_path / "virtual", out=tmp_path / "out", options=options)
    restain.push(stainer, "lab/her2", licence="apache-2.0", datasets=["MIST"], evaluation=tmp_path / "out")
    card = endpoint.repositories["lab/her2"][-1][1]["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "apache-2.0" and head["datasets"] == ["MIST"] and head["library_name"] == "restain"
    [result] = head["model-index"][0]["results"]
    scores = {one["type"]: one["value"] for one in result["metrics"]}
    assert scores == {
        name: made.summary.systems["virtual"][name].mean for name in ("ssim", "psnr")
    }  # no direction: left out
    assert "## Evaluation" in card and "9 images" in card and "protocol clean" in card
    assert hub.ModelCard(card).data.license == "apache-2.0"  # the Hub's own reader

    other = tmp_path / "other"
    save_stainer(other, ResnetSpec(ngf=2, blocks=2).build(), restain.load_stainer(stainer).card)
    with pytest.raises(RestainError, match="no system in it is recorded as made by this stainer"):
        restain.push(other, "lab/her2", licence="apache-2.0", evaluation=tmp_path / "out")
    restain.calibrate(stainer, tmp_path / "he", out=tmp_path / "calibrated", crops=50, device="cpu")
    with pytest.raises(RestainError, match="no system in it is recorded as made by this stainer"):  # the same weights
        restain.push(tmp_path / "calibrated", "lab/her2", licence="apache-2.0", evaluation=tmp_path / "out")
    restain.stain(stainer, tmp_path / "he", tmp_path / "of-folder", norm="folder")
    restain.evaluate(tmp_path / "ihc", tmp_path / "of-folder", out=tmp_path / "out2", options=options)
    with pytest.raises(RestainError, match="with its own statistics"):
        restain.push(stainer, "lab/her2", licence="apache-2.0", evaluation=tmp_path / "out2")


def test_a_revision_stays_the_same(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    restain.push(stainer, "lab/her2", licence="mit")
    first = endpoint.repositories["lab/her2"][0][0]
    newer = tmp_path / "newer"
    save_stainer(newer, ResnetSpec(ngf=2, blocks=2).build(), restain.load_stainer(stainer).card)
    restain.push(newer, "lab/her2", licence="mit")
    assert restain.load_stainer("hf://lab/her2").identity == restain.load_stainer(newer).identity
    assert restain.load_stainer(f"hf://lab/her2@{first}").identity == restain.load_stainer(stainer).identity
    with pytest.raises(RestainError, match=r"hf://lab/her2@v9: config\.json cannot be downloaded"):
        restain.load_stainer("hf://lab/her2@v9")


def test_only_a_stainers_files_are_downloaded(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in stainer.iterdir()}
    endpoint.commit("lab/her2", files | {"pytorch_model.bin": b"a pickle", "run.py": b"print()"})
    pulled = restain.pull("hf://lab/her2", tmp_path / "pulled")
    assert {path.name for path in pulled.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert not any("pickle" in path or ".bin" in path or ".py" in path for path in endpoint.requested)


def test_other_weights_than_the_config_names_are_refused(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in stainer.iterdir()}
    endpoint.commit("lab/her2", files | {"model.safetensors": files["model.safetensors"][:-1] + b"x"})
    with pytest.raises(RestainError, match=r"has SHA-256 .*; config\.json expects"):
        restain.pull("hf://lab/her2", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_a_folder_of_something_else_is_left_alone(endpoint: Endpoint, stainer: Path, tmp_path: Path) -> None:
    restain.push(stainer, "lab/her2", licence="mit")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(RestainError, match="thesis: holds something that is not a stainer"):
        restain.pull("hf://lab/her2", tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_an_unknown_repository_is_one_sentence(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"hf://lab/nothing: config\.json cannot be downloaded \("):
        restain.pull("hf://lab/nothing", tmp_path / "pulled")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"repository": "her2"}, "'her2' is no repository of the Hugging Face Hub; expected owner/name"),
        ({"repository": "lab/her2", "licence": "My own"}, "licence: is 'My own'; expected an identifier"),
        ({"repository": "lab/her2", "datasets": ["a\nb"]}, "is no name of a data set"),
    ],
)
def test_what_cannot_be_on_a_card_is_refused_first(stainer: Path, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RestainError, match=sentence):
        restain.push(stainer, **({"licence": "mit"} | arguments))


def test_references() -> None:
    assert hub_reference("hf://lab/her2@v1.0") == HubReference("lab/her2", "v1.0")
    assert hub_reference(Path("hf://lab/her2")) == HubReference("lab/her2")
    assert hub_reference("runs/her2") is None and hub_reference(Path("/data/hf/her2")) is None
    for wrong in ("hf://her2", "hf://lab/../secret", "hf://lab/her2@a b"):
        with pytest.raises(RestainError, match="expected"):
            hub_reference(wrong)


def test_without_the_library_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, stainer: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (
        lambda: restain.load_stainer("hf://lab/her2"),
        lambda: restain.push(stainer, "lab/her2", licence="mit"),
    ):
        with pytest.raises(RestainError, match=r"huggingface-hub is not installed.*pip install 'restain\[hub\]'"):
            call()
