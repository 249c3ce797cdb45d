"""A virtual image among real ones: where it lies, what is shown beside it, and who learns."""

import pytest
import torch

from restain.terms.confusion import Confusion, confusion_loss


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2).clone()


def streams(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_real_images_of_earlier_steps_stand_beside_the_virtual_one() -> None:
    term = Confusion(4, 2)
    for value in (0.1, 0.2, 0.3):
        term.keep(images(value))
    features, place = term.features(images(-1.0, -2.0), images(5.0, 6.0), streams(0, 1), lambda x: x[:, :1], learn=True)
    assert features.shape == (2, 4, 2, 2)
    for n, (fake, own) in enumerate(((-1.0, 5.0), (-2.0, 6.0))):
        shown = [0.1, 0.2, 0.3, own]  # the last place was empty
        shown[place[n]] = fake
        assert features[n, :, 0, 0].tolist() == pytest.approx(shown)
    term.keep(images(0.4, 0.5))
    assert term.images[:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.2, 0.3, 0.4])


def test_the_generator_learns_through_its_own_image_alone() -> None:
    term, weight = Confusion(3, 2), torch.ones(1, requires_grad=True)
    fake, real = images(1.0).requires_grad_(), images(2.0).requires_grad_()
    features, _ = term.features(fake, real, streams(3), lambda x: x[:, :1] * weight, learn=False)
    features.sum().backward()
    assert fake.grad is not None and fake.grad.abs().sum() > 0 and real.grad is None
    assert weight.grad is not None and weight.grad.item() == 4  # of the virtual image's pixels, not of all twelve


def test_the_loss_is_the_squared_distance_from_one_and_from_zero() -> None:
    scores = torch.tensor([[0.5, 0.25, 2.0]])[:, :, None, None].expand(1, 3, 2, 2)
    assert confusion_loss(scores, torch.tensor([1])).item() == pytest.approx((0.25 + 0.0625 + 1.0) / 3)
    assert confusion_loss(scores, None).item() == pytest.approx((0.25 + 0.5625 + 1.0) / 3)
