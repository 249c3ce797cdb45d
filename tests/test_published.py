"""Published CUT and ASP weights against a network built here from METHOD's words, with their exact keys."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from restain.errors import RestainError
from restain.published import import_weights
from restain.stainer import load_stainer


class Blur(nn.Module):
    """CUT's Downsample and Upsample: fixed depthwise filters in a buffer called filt."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0] if up else [1.0, 2.0, 1.0])
        kernel = torch.outer(line, line) / line.sum() ** 2 * (4 if up else 1)
        self.register_buffer("filt", kernel.repeat(channels, 1, 1, 1))
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        if self.up:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
            return F.conv_transpose2d(x, self.filt, stride=2, groups=channels)[..., 3:-3, 3:-3]
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=channels)


class Block(nn.Module):
    def __init__(self, channels: int, wrap, dropout: bool) -> None:
        super().__init__()
        layers = [nn.ReflectionPad2d(1), wrap(nn.Conv2d(channels, channels, 3)), nn.InstanceNorm2d(channels), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), wrap(nn.Conv2d(channels, channels, 3)), nn.InstanceNorm2d(channels)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Published(nn.Module):
    """The released generator, as its state dict names it: model.N."""

    def __init__(
        self, ngf: int, blocks: int, spectral: bool = False, dropout: bool = False, antialias: bool = True
    ) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else (lambda layer: layer)

        def normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [wrap(convolution), nn.InstanceNorm2d(channels), nn.ReLU()]

        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *normed(nn.Conv2d(3, ngf, 7), ngf)]
        for c in (ngf, 2 * ngf):
            stride = 1 if antialias else 2  # --no_antialias
            layers += normed(nn.Conv2d(c, 2 * c, 3, stride, 1), 2 * c)
            layers += [Blur(2 * c, up=False)] if antialias else []
        layers += [Block(4 * ngf, wrap, dropout) for _ in range(blocks)]
        for c in (4 * ngf, 2 * ngf):
            if antialias:
                layers += [Blur(c, up=True), *normed(nn.Conv2d(c, c // 2, 3, padding=1), c // 2)]
            else:  # --no_antialias_up
                layers += normed(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), c // 2)
        layers += [nn.ReflectionPad2d(3), wrap(nn.Conv2d(ngf, 3, 7)), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@pytest.mark.parametrize(
    ("family", "ngf", "blocks", "spectral", "dropout"),
    [("cut", 4, 9, False, False), ("asp", 6, 6, True, False), ("asp", 4, 6, True, True), ("cut", 8, 6, False, True)],
)
def test_an_imported_generator_gives_what_the_published_one_gives(
    tmp_path: Path, family: str, ngf: int, blocks: int, spectral: bool, dropout: bool
) -> None:
    torch.manual_seed(0)
    network = Published(ngf, blocks, spectral, dropout)
    network(torch.rand(1, 3, 32, 32))  # a power iteration, so that u and v are not those of the start
    network.eval()
    state = network.state_dict()
    assert "model.1.weight_orig" in state if spectral else "model.1.weight" in state
    assert f"model.12.conv_block.{6 if dropout else 5}.bias" in state and "model.7.filt" in state
    torch.save(state, tmp_path / "latest_net_G.pth")
    out = import_weights(family, tmp_path / "latest_net_G.pth", tmp_path / "stainer", stain="HER2", mpp=0.4661)
    stainer = load_stainer(out)
    x = torch.rand(1, 3, 40, 36) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), network(x), rtol=1e-4, atol=1e-5)
    assert (stainer.card.stain, stainer.card.mpp, stainer.card.recipe) == ("HER2", 0.4661, family)
    assert stainer.card.tile_size == (256 if family == "cut" else 512)


def test_keys_of_a_data_parallel_network_load_too(tmp_path: Path) -> None:
    state = OrderedDict((f"module.{key}", value) for key, value in Published(4, 6).state_dict().items())
    torch.save(state, tmp_path / "net.pth")
    load_stainer(import_weights("cut", tmp_path / "net.pth", tmp_path / "stainer"))


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this code must not run",))


def test_what_is_not_such_a_generator_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = Published(4, 6).state_dict()
    spectral = Published(4, 6, spectral=True).state_dict()
    cases = {
        "code.pth": (Harmful(), "cannot be loaded as plain weights"),
        "list.pth": ([1, 2], "holds list; expected a state dict"),
        "aliased.pth": ({k: v for k, v in good.items() if k != "model.7.filt"}, "has 3 blur filters"),
        "grey.pth": ({**good, "model.1.weight": torch.zeros(4, 1, 7, 7)}, "no 7x7 convolution from RGB"),
        "blockless.pth": ({k: v for k, v in good.items() if "conv_block" not in k}, "no residual blocks"),
        "short.pth": ({k: v for k, v in good.items() if k != "model.8.bias"}, "is not the generator of asp"),
        "nou.pth": ({k: v for k, v in spectral.items() if k != "model.4.weight_u"}, "but not model.4.weight_u"),
    }
    for name, (content, words) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(RestainError, match=words) as error:
            import_weights("asp", tmp_path / name, tmp_path / "stainer")
        assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)
    with pytest.raises(RestainError, match="no such file"):
        import_weights("asp", tmp_path / "absent.pth", tmp_path / "stainer")
    assert not (tmp_path / "stainer").exists()
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("spectral", [False, True])
def test_a_generator_without_antialiasing_is_imported_too(tmp_path: Path, spectral: bool) -> None:
    torch.manual_seed(0)
    network = Published(4, 6, spectral, antialias=False)
    network(torch.rand(1, 3, 32, 32))
    torch.save(network.eval().state_dict(), tmp_path / "net.pth")
    stainer = load_stainer(import_weights("cut", tmp_path / "net.pth", tmp_path / "stainer"))
    x = torch.rand(1, 3, 40, 36) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), network(x), rtol=1e-4, atol=1e-5)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = Published(4, 6).state_dict()
    state["model.4.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(RestainError, match=r"net\.pth: model\.4\.weight holds values that are not finite"):
        import_weights("cut", tmp_path / "net.pth", tmp_path / "stainer")
    assert not (tmp_path / "stainer").exists()
