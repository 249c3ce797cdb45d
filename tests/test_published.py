"""Published generators against networks built here from their descriptions, with their exact keys."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from restain.errors import RestainError
from restain.published import import_weights
from restain.stainer_files import load_stainer


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
    def __init__(self, channels: int, wrap, dropout: bool, norm=nn.InstanceNorm2d) -> None:
        super().__init__()
        bias = norm is nn.InstanceNorm2d
        convolutions = [wrap(nn.Conv2d(channels, channels, 3, bias=bias)) for _ in range(2)]
        layers = [nn.ReflectionPad2d(1), convolutions[0], norm(channels), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), convolutions[1], norm(channels)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Published(nn.Module):
    """The released generator, as its state dict names it: model.N."""

    def __init__(
        self,
        ngf: int,
        blocks: int,
        spectral: bool = False,
        dropout: bool = False,
        antialias: bool = True,
        norm=nn.InstanceNorm2d,
    ) -> None:
        super().__init__()
        bias = norm is nn.InstanceNorm2d
        wrap = spectral_norm if spectral else (lambda layer: layer)

        def normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [wrap(convolution), norm(channels), nn.ReLU()]

        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *normed(nn.Conv2d(3, ngf, 7, bias=bias), ngf)]
        for c in (ngf, 2 * ngf):
            stride = 1 if antialias else 2  # --no_antialias
            layers += normed(nn.Conv2d(c, 2 * c, 3, stride, 1, bias=bias), 2 * c)
            layers += [Blur(2 * c, up=False)] if antialias else []
        layers += [Block(4 * ngf, wrap, dropout, norm) for _ in range(blocks)]
        for c in (4 * ngf, 2 * ngf):
            if antialias:
                layers += [Blur(c, up=True), *normed(nn.Conv2d(c, c // 2, 3, padding=1), c // 2)]
            else:  # --no_antialias_up
                layers += normed(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), c // 2)
        layers += [nn.ReflectionPad2d(3), wrap(nn.Conv2d(ngf, 3, 7)), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@pytest.mark.parametrize(
    ("family", "ngf", "blocks", "spectral", "dropout"),
    [
        ("cut", 4, 9, False, False),
        ("asp", 6, 6, True, False),
        ("asp", 4, 6, True, True),
        ("cut", 8, 6, False, True),
        ("pspstain", 4, 6, True, False),
    ],
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
        "code.pth": (Harmful(), "cannot be loaded as plain weights .*holds more than tensors"),
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


@pytest.mark.parametrize("content", [b"", b"hello world", b"epoch 1", b"<html>"])
def test_what_torch_cannot_name_is_no_weights_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(RestainError, match=r"plain weights \(it is no PyTorch weights file, "):
        import_weights("asp", tmp_path / "net.pth", tmp_path / "stainer")


def test_what_torch_says_of_a_damaged_file_is_kept(tmp_path: Path) -> None:
    torch.save(Published(4, 6).state_dict(), tmp_path / "net.pth")
    (tmp_path / "net.pth").write_bytes((tmp_path / "net.pth").read_bytes()[:-100])
    with pytest.raises(RestainError, match="failed finding central directory"):
        import_weights("asp", tmp_path / "net.pth", tmp_path / "stainer")


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


class Level(nn.Module):
    """A level of pix2pix's U-Net as its state dict names it: the further levels lie inside."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None, norm, outermost: bool = False) -> None:
        super().__init__()
        bias, self.outermost = norm is nn.InstanceNorm2d, outermost
        down = nn.Conv2d(3 if outermost else outer, inner, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(inner if inside is None else 2 * inner, 3 if outermost else outer, 4, 2, 1, bias=bias)
        if outermost:
            up = nn.ConvTranspose2d(2 * inner, 3, 4, 2, 1)
            layers = [down, inside, nn.ReLU(), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2), down, norm(inner), inside, nn.ReLU(), up, norm(outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


def published_unet(ngf: int, downs: int, norm) -> nn.Module:
    """The released U-Net: model.model.1.model.3. and so on, inwards."""
    widths = [ngf * min(2**level, 8) for level in range(downs)]
    inside: nn.Module | None = None
    for level in reversed(range(1, downs)):
        inside = Level(widths[level - 1], widths[level], inside, norm)
    network = nn.Module()
    network.model = Level(ngf, ngf, inside, norm, outermost=True)
    network.forward = network.model.forward  # type: ignore[method-assign]
    return network


def trained(network: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network.eval()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize(("ngf", "downs"), [(4, 6), (6, 3)])
def test_a_published_unet_is_imported(tmp_path: Path, ngf: int, downs: int, norm) -> None:
    torch.manual_seed(0)
    network = trained(published_unet(ngf, downs, norm))
    state = network.state_dict()
    inner = "model.model." + "1.model." + "3.model." * (downs - 2)
    assert f"{inner}3.weight" in state and "model.model.3.bias" in state
    torch.save(state, tmp_path / "net.pth")
    stainer = load_stainer(import_weights("pix2pix", tmp_path / "net.pth", tmp_path / "stainer"))
    x = torch.rand(1, 3, 2**downs * 2, 2**downs) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), network(x), rtol=1e-4, atol=1e-5)
    assert stainer.card.recipe == "pix2pix" and stainer.card.tile_size == 256


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(("family", "norm"), [("cyclegan", nn.InstanceNorm2d), ("pix2pix", nn.BatchNorm2d)])
def test_a_published_strided_resnet_is_imported(tmp_path: Path, family: str, norm, dropout: bool) -> None:
    torch.manual_seed(0)
    network = trained(Published(4, 9, dropout=dropout, antialias=False, norm=norm))
    state = network.state_dict()
    if norm is nn.BatchNorm2d:  # old releases have no counters
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    else:  # and statistics of instance norms, which nobody reads
        state |= {f"model.{n}.running_{what}": torch.ones(8) for n in (2, 5, 8) for what in ("mean", "var")}
    torch.save(state, tmp_path / "net.pth")
    stainer = load_stainer(import_weights(family, tmp_path / "net.pth", tmp_path / "stainer"))
    x = torch.rand(1, 3, 40, 36) * 2 - 1
    torch.testing.assert_close(stainer.generator(x), network(x), rtol=1e-4, atol=1e-5)


def test_another_layout_is_refused_by_its_name(tmp_path: Path) -> None:
    files = {
        "U-Net": published_unet(4, 3, nn.BatchNorm2d),
        "strided ResNet": Published(4, 6, antialias=False),
        "anti-aliased ResNet": Published(4, 6),
    }
    readers = {"U-Net": {"pix2pix"}, "strided ResNet": {"cyclegan", "pix2pix", "asp", "cut"}}
    readers["anti-aliased ResNet"] = {"pspstain", "asp", "cut"}
    for layout, network in files.items():
        path = tmp_path / f"{layout}.pth"
        torch.save(network.state_dict(), path)
        for family in ("cyclegan", "pix2pix", "pspstain", "asp", "cut"):
            if family in readers[layout]:
                continue
            with pytest.raises(
                RestainError, match=f"holds a generator of the layout {layout}; {family} publishes"
            ) as error:
                import_weights(family, path, tmp_path / "stainer")
            assert readers[layout] == set(str(error.value).partition("--from ")[2].rstrip(")").split(", "))
    discriminator = {"model.0.weight": torch.zeros(64, 6, 4, 4), "model.2.weight": torch.zeros(128, 64, 4, 4)}
    torch.save(discriminator, tmp_path / "latest_net_D.pth")
    with pytest.raises(RestainError, match=r"it holds 0\.weight, 2\.weight, expected the generator of"):
        import_weights("pix2pix", tmp_path / "latest_net_D.pth", tmp_path / "stainer")
    with pytest.raises(RestainError, match="family is 'unit'; expected one of cyclegan"):
        import_weights("unit", tmp_path / "latest_net_D.pth", tmp_path / "stainer")  # type: ignore[arg-type]
    assert not (tmp_path / "stainer").exists()
