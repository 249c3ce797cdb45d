"""The discriminator: sizes, and the time projection by hand."""

import math

import pytest
import torch
from torch import nn

from restain.networks.patchgan import PatchDiscriminator, TimeEmbedding
from restain.networks.specs import PatchganSpec


def _discriminator(ndf: int, layers: int, timed: bool = False, **options: object) -> PatchDiscriminator:
    return PatchganSpec(ndf=ndf, layers=layers, **{"spectral_norm": False, **options}).build(timed=timed)


@pytest.mark.parametrize(("side", "layers", "scores"), [(512, 5, 14), (512, 3, 62), (96, 3, 10), (128, 5, 2)])
def test_score_map_sizes(side: int, layers: int, scores: int) -> None:
    with torch.device("meta"):
        found = _discriminator(8, layers)(torch.empty(1, 3, side, side))
    assert found.shape == (1, 1, scores, scores)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_the_smallest_image_is_exact(layers: int, antialias: bool) -> None:
    side = PatchganSpec(layers=layers, antialias=antialias).smallest_image
    discriminator = _discriminator(2, layers, antialias=antialias)
    assert discriminator(torch.rand(1, 3, side, side)).shape[-1] == 1
    with pytest.raises((RuntimeError, ValueError)):
        discriminator(torch.rand(1, 3, side - 1, side - 1))


def test_the_time_projection_by_hand() -> None:
    torch.manual_seed(0)
    discriminator = _discriminator(4, 2, timed=True).eval()
    x, t = torch.rand(2, 3, 32, 32), torch.tensor([0, 700])
    h = discriminator.trunk(x).detach()
    plain = discriminator.head(h)
    c = discriminator.time(t).detach()
    found = discriminator(x, t)
    for n in range(2):
        for y in range(plain.shape[2]):
            for z in range(plain.shape[3]):
                dots = [float(h[n, :, y + dy, z + dz] @ c[n]) for dy in (0, 1) for dz in (0, 1)]
                expected = plain[n, 0, y, z].item() + sum(dots) / 4 / math.sqrt(h.shape[1])
                assert found[n, 0, y, z].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_time_matters_when_conditioned_and_is_demanded() -> None:
    torch.manual_seed(0)
    discriminator = _discriminator(4, 2, timed=True).eval()
    x = torch.rand(1, 3, 32, 32)
    assert not torch.allclose(discriminator(x, torch.tensor([0])), discriminator(x, torch.tensor([900])))
    with pytest.raises(ValueError, match="needs diffusion times"):
        discriminator(x)


def test_an_unconditioned_discriminator_knows_no_time() -> None:
    discriminator = _discriminator(4, 2).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(discriminator(x), discriminator(x, torch.tensor([3, 900])))
    assert not any("time" in name for name, _ in discriminator.named_parameters())


def test_channels_double_up_to_eight_times_the_first() -> None:
    widths = [layer.out_channels for layer in _discriminator(4, 5).trunk if isinstance(layer, torch.nn.Conv2d)]
    assert widths == [4, 8, 16, 32, 32, 32]


def test_spectral_norm_is_on_every_convolution_where_asked_for() -> None:
    torch.manual_seed(0)
    discriminator = _discriminator(4, 3, spectral_norm=True)
    for _ in range(150):  # let the power iterations converge
        discriminator(torch.rand(1, 3, 32, 32))
    discriminator.eval()
    convolutions = [layer for layer in (*discriminator.trunk, discriminator.head) if isinstance(layer, torch.nn.Conv2d)]
    for layer in convolutions:
        norm = torch.linalg.svdvals(layer.weight.flatten(1))[0].item()
        assert norm == pytest.approx(1, abs=0.01)
    assert len(convolutions) == 5


def test_the_embedding_starts_from_sinusoids_of_the_time() -> None:
    embedding = TimeEmbedding(8, waves=4)
    seen = []
    embedding.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    embedding(torch.tensor([3]))
    angles = [3 * math.exp(-math.log(10_000) * k / 4) for k in range(4)]
    expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
    torch.testing.assert_close(seen[0], torch.tensor([expected]))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_strided_form_is_the_published_70x70_patchgan(norm: str) -> None:
    torch.manual_seed(0)
    found = PatchganSpec(ndf=4, layers=3, spectral_norm=False, norm=norm, antialias=False, init="normal").build(6)
    bias = norm == "instance"
    make = {"instance": lambda c: nn.InstanceNorm2d(c), "batch": lambda c: nn.BatchNorm2d(c)}[norm]
    published = nn.Sequential(
        *(nn.Conv2d(6, 4, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(4, 8, 4, 2, 1, bias=bias), make(8), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(8, 16, 4, 2, 1, bias=bias), make(16), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(16, 32, 4, 1, 1, bias=bias), make(32), nn.LeakyReLU(0.2)),
        nn.Conv2d(32, 1, 4, 1, 1),
    )
    mine = dict(zip(published.state_dict(), found.state_dict().values(), strict=True))
    published.load_state_dict(mine)
    x = torch.rand(2, 6, 70, 70)
    torch.testing.assert_close(found(x), published(x))
    for layer in found.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert 0 < (layer.weight - 1).abs().mean() < 0.05


def test_a_score_of_three_strided_stages_sees_70_pixels() -> None:
    discriminator = _discriminator(2, 3, norm="batch", antialias=False).double().eval()
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.1, 1)
    x = torch.rand(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    score = discriminator(x)
    middle = score.shape[-1] // 2
    (gradient,) = torch.autograd.grad(score[0, 0, middle, middle], x)
    rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
    assert rows.max() - rows.min() + 1 == 70
