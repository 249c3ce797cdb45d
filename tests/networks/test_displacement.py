"""Warping and the registration network of RegGAN."""

import torch

from restain.losses.smoothness import smoothness_loss
from restain.networks.displacement import DisplacementNetwork, warp
from restain.networks.specs import RegistrationSpec


def test_a_whole_shift_is_the_image_moved() -> None:
    image = torch.rand(2, 3, 20, 24, dtype=torch.float64)
    displacement = torch.zeros(2, 2, 20, 24, dtype=torch.float64)
    displacement[:, 0], displacement[:, 1] = 3, -2  # looks 3 to the right, 2 up
    moved = warp(image, displacement)
    torch.testing.assert_close(moved[..., 2:, :-3], image[..., :-2, 3:])
    torch.testing.assert_close(moved[..., 2:, -3:], image[..., :-2, -1:].expand(-1, -1, -1, 3))  # the border goes on


def test_half_a_pixel_is_the_mean_of_neighbours_and_no_displacement_changes_nothing() -> None:
    image = torch.rand(1, 1, 6, 8, dtype=torch.float64)
    displacement = torch.zeros(1, 2, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(warp(image, displacement), image)
    displacement[:, 1] = 0.5
    torch.testing.assert_close(warp(image, displacement)[..., :-1, :], (image[..., :-1, :] + image[..., 1:, :]) / 2)


def test_smoothness_is_the_mean_of_squared_steps() -> None:
    field = torch.rand(2, 2, 5, 7, dtype=torch.float64)
    down = sum(
        (field[n, c, i + 1, j] - field[n, c, i, j]) ** 2
        for n in range(2) for c in range(2) for i in range(4) for j in range(7)
    ) / (2 * 2 * 4 * 7)  # fmt: skip
    across = sum(
        (field[n, c, i, j + 1] - field[n, c, i, j]) ** 2
        for n in range(2) for c in range(2) for i in range(5) for j in range(6)
    ) / (2 * 2 * 5 * 6)  # fmt: skip
    torch.testing.assert_close(smoothness_loss(field), down + across)


def test_the_network_starts_without_a_warp_and_learns_a_known_shift() -> None:
    torch.manual_seed(0)
    network = DisplacementNetwork(RegistrationSpec(width=8, downs=2, blocks=1))
    coarse = torch.rand(1, 3, 8, 8)
    image = torch.nn.functional.interpolate(coarse, size=(40, 40), mode="bicubic")
    moving, fixed = image[..., 4:36, 4:36], image[..., 4:36, 6:38]
    assert not network(moving, fixed).any()
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(80):
        loss = (warp(moving, network(moving, fixed)) - fixed).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    inner = network(moving, fixed)[0, :, 8:-8, 8:-8].mean(dim=(1, 2))
    assert abs(inner[0].item() - 2) < 0.5 and abs(inner[1].item()) < 0.5
