"""The U-Net against one nested from blocks, as its paper and its published form describe it."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from restain.networks.specs import UnetSpec


class Nested(nn.Module):
    """One level of pix2pix's U-Net around another: pix2pix defines it recursively, from the inside out."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None, place: str, norm: str, dropout: bool) -> None:
        super().__init__()
        self.outermost = place == "outermost"
        bias = norm == "instance"
        make = nn.InstanceNorm2d if norm == "instance" else nn.BatchNorm2d
        width = inner if below is None else 2 * inner
        if self.outermost:
            down = [nn.Conv2d(3, inner, 4, 2, 1, bias=bias)]
            up = [nn.ReLU(True), nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh()]
        else:
            down = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
            down += [make(inner)] if below is not None else []
            up = [nn.ReLU(True), nn.ConvTranspose2d(width, outer, 4, 2, 1, bias=bias), make(outer)]
            up += [nn.Dropout(0.5)] if dropout else []
        self.model = nn.Sequential(*down, *([below] if below is not None else []), *up)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def _published(downs: int, ngf: int, norm: str) -> Nested:
    network = Nested(8 * ngf, 8 * ngf, None, "innermost", norm, False)
    for _ in range(downs - 5):
        network = Nested(8 * ngf, 8 * ngf, network, "middle", norm, True)
    for width in (4 * ngf, 2 * ngf, ngf):
        network = Nested(width, 2 * width, network, "middle", norm, False)
    return Nested(3, ngf, network, "outermost", norm, False)


def _by_depth(network: Nested) -> OrderedDict[str, torch.Tensor]:
    """The same weights under this project's names: downs.LEVEL.INDEX, ups.LEVEL.INDEX."""
    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    block: nn.Module | None = network
    level = 0
    while block is not None:
        parts = list(block.model)
        middle = [index for index, part in enumerate(parts) if isinstance(part, Nested)]
        split = middle[0] if middle else next(i for i, p in enumerate(parts) if isinstance(p, nn.ReLU))
        for name, group in (("downs", parts[:split]), ("ups", parts[split + len(middle) :])):
            for index, part in enumerate(group):
                state |= {f"{name}.{level}.{index}.{key}": value for key, value in part.state_dict().items()}
        block, level = (parts[middle[0]] if middle else None), level + 1
    return state


@pytest.mark.parametrize(("downs", "side", "norm"), [(5, 64, "instance"), (8, 256, "batch"), (7, 128, "batch")])
def test_it_is_the_published_network(downs: int, side: int, norm: str) -> None:
    torch.manual_seed(0)
    published = _published(downs, 4, norm)
    for parameter in published.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    generator = UnetSpec(ngf=4, downs=downs, norm=norm).build()
    generator.load_state_dict(_by_depth(published))
    dropouts = [sum(isinstance(m, nn.Dropout) for m in network.modules()) for network in (generator, published)]
    assert dropouts == [downs - 5] * 2
    x = torch.rand(2, 3, side, side) * 2 - 1
    torch.testing.assert_close(generator.eval()(x), published.eval()(x), atol=1e-5, rtol=1e-5)
    if downs == 5:
        torch.testing.assert_close(generator.train()(x), published.train()(x), atol=1e-5, rtol=1e-5)


def test_any_size_is_kept_from_the_smallest_on() -> None:
    generator = UnetSpec(ngf=2, downs=4).build().eval()
    assert generator.smallest == 9
    for height in range(9, 40, 3):
        image = generator(torch.rand(1, 3, height, 9 + (7 * height) % 31))
        assert image.shape == (1, 3, height, 9 + (7 * height) % 31) and image.abs().max() <= 1
    with pytest.raises(ValueError, match="image is 8x40 pixels; the generator needs at least 9x9"):
        generator(torch.rand(1, 3, 8, 40))


def test_noise_comes_from_dropout_while_training_only() -> None:
    torch.manual_seed(0)
    generator = UnetSpec(ngf=2, downs=6).build()
    x = torch.rand(2, 3, 64, 64)
    generator(x)
    state = torch.get_rng_state()
    generator.eval()(x)
    assert torch.equal(torch.get_rng_state(), state)
    generator.train()(x)
    assert not torch.equal(torch.get_rng_state(), state)
