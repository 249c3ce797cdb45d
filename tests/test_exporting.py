"""Exported files: the generator's numbers in another engine, at any size, and what they say of themselves."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import restain.exporting
from restain.calibration import calibrated
from restain.errors import RestainError
from restain.exporting import Exported, export
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.networks.statistics import freeze
from restain.stainer import Stainer, StainerCard

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


@pytest.fixture(scope="module")
def stainer() -> Stainer:
    torch.manual_seed(0)
    generator = ResnetSpec(ngf=4, blocks=1, spectral_norm=False).build().eval().requires_grad_(False)
    return Stainer(generator, StainerCard("ER", 0.5, 96, "cut", {}), "ab" * 32)


@pytest.fixture(scope="module")
def exported(stainer: Stainer, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(stainer, tmp_path_factory.mktemp("exported") / "er.onnx")


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 16, 45), (1, 3, 67, 18), (2, 3, 130, 101)])
def test_onnx_runtime_gives_the_generators_numbers_at_any_size(
    stainer: Stainer, exported: Exported, shape: tuple[int, ...]
) -> None:
    he = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (ihc,) = session.run(None, {"he": he.numpy()})
    np.testing.assert_allclose(ihc, stainer.generator(he).numpy(), atol=1e-3 / 127.5)
    assert exported.largest_difference < 1e-3


def test_the_file_says_what_it_is_and_nothing_of_the_machine(exported: Exported) -> None:
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["kind"].startswith("virtual stain, not a real IHC")
    assert (said["stain"], said["mpp"], said["tile_size"], said["recipe"]) == ("ER", "0.5", "96", "cut")
    assert said["weights_sha256"] == "ab" * 32
    ends = [*model.graph.input, *model.graph.output]
    axes = [[d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim] for end in ends]
    assert [end.name for end in ends] == ["he", "ihc"]
    assert axes == [["images", 3, "height", "width"]] * 2
    assert str(Path(restain.exporting.__file__).parent).encode() not in exported.path.read_bytes()


@pytest.mark.parametrize("difference", [1.5, float("nan")])
def test_a_result_that_differs_is_refused_and_the_old_file_stays(
    stainer: Stainer, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    path = tmp_path / "er.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(restain.exporting, "_to_onnx", lambda *_: onnx.load(exported.path))
    monkeypatch.setattr(restain.exporting, "_largest_difference", lambda *_: difference)
    with pytest.raises(RestainError, match=r"er\.onnx: .* differs .* by (1\.50|nan) grey levels"):
        export(stainer, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_check_sees_other_weights(stainer: Stainer, exported: Exported) -> None:
    other = restain.exporting._Portable(stainer.generator)
    other.generator.layers[-2].bias.data += 0.1
    assert restain.exporting._largest_difference(exported.path, other) > 1


def test_what_cannot_be_exported_is_one_sentence(
    stainer: Stainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RestainError, match="to is 'tflite'; expected onnx"):
        export(stainer, tmp_path / "er.onnx", to="tflite")
    with pytest.raises(RestainError, match=r"ends in '.pt'; expected .onnx"):
        export(stainer, tmp_path / "er.pt")
    find = importlib.util.find_spec
    monkeypatch.setattr(restain.exporting, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(RestainError, match=r"needs onnxscript: pip install 'restain\[export\]'"):
        export(stainer, tmp_path / "er.onnx")
    assert not list(tmp_path.iterdir())


def _strong(spec: GeneratorSpec) -> Generator:
    """Untrained, but with images that use the whole range."""
    torch.manual_seed(1)
    generator = spec.build().eval().requires_grad_(False)
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return generator


@pytest.mark.parametrize(
    "spec",
    [
        ResnetSpec(ngf=4, blocks=1, spectral_norm=False, antialias=False, norm="batch", dropout=True),
        UnetSpec(ngf=2, downs=6),
        UnetSpec(ngf=2, downs=4, norm="instance", dropout=False),
    ],
    ids=str,
)
def test_every_generator_can_be_exported(spec: GeneratorSpec, tmp_path: Path) -> None:
    generator = _strong(spec)
    made = export(Stainer(generator, StainerCard(None, None, 64, "none", {}), "ab" * 32), tmp_path / "made.onnx")
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    least = generator.smallest
    for shape in ((1, 3, least, least), (2, 3, 64, 128), (1, 3, 70, 131)):
        he = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
        (ihc,) = session.run(None, {"he": he.numpy()})
        np.testing.assert_allclose(ihc, generator(he).numpy(), atol=1e-2 / 127.5)
    assert made.largest_difference < 1e-2


def test_batch_norms_cannot_follow_the_image(tmp_path: Path) -> None:
    ready = Stainer(_strong(UnetSpec(ngf=2, downs=6)), StainerCard(None, None, 64, "none", {}), "ab" * 32)
    with pytest.raises(RestainError, match=r"norm is 'image', but the batch norms .*; expected 'stainer', or none"):
        export(ready, tmp_path / "made.onnx", norm="image")
    assert not list(tmp_path.iterdir())


def test_statistics_are_folded_in_where_the_stainer_has_them(stainer: Stainer, tmp_path: Path) -> None:
    crops = [torch.rand(1, 3, 32, 32) * level - 1 for level in (0.5, 1, 2)]
    ready = dataclasses.replace(stainer, calibration=calibrated(stainer.generator, crops)[1])
    he = torch.rand(1, 3, 40, 45, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = {"stainer": freeze(stainer.generator, ready.calibration.statistics), "image": stainer.generator}
    assert (expected["stainer"](he) - expected["image"](he)).abs().max() > 1e-3
    for norm, asked in (("stainer", None), ("image", "image")):
        made = export(ready, tmp_path / "made.onnx", norm=asked)
        operators = {node.op_type for node in onnx.load(made.path).graph.node}
        assert ("InstanceNormalization" in operators) == (norm == "image")
        said = {entry.key: entry.value for entry in onnx.load(made.path).metadata_props}
        assert said["identity"] == (ready.identity if norm == "stainer" else ready.weights_sha256)
        assert said["normalisation"] == ("fixed" if norm == "stainer" else "each image by itself")
        session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
        (ihc,) = session.run(None, {"he": he.numpy()})
        np.testing.assert_allclose(ihc, expected[norm](he).numpy(), atol=1e-3 / 127.5)
    with pytest.raises(RestainError, match="this stainer has no statistics"):
        export(stainer, tmp_path / "none.onnx", norm="stainer")
