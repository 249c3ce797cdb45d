"""The image pool against the rule in the paper, drawn image by image, and its statistics."""

import random

import pytest
import torch
from torch import Tensor

from restain.terms.image_pool import ImagePool


def images(values: list[float], side: int = 4) -> Tensor:
    """One flat image for each value."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, side, side).contiguous()


def streams(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def step(pool: ImagePool, values: list[float], seeds: list[int]) -> list[float]:
    """Show and keep, as a training step does; the values of what was shown."""
    fakes = images(values)
    shown, places = pool.show(fakes, streams(*seeds))
    pool.keep(fakes, places)
    assert shown.shape == fakes.shape and (shown == shown[:, :1, :1, :1]).all()
    return [image[0, 0, 0].item() for image in shown]


def test_images_are_shown_and_kept_until_the_pool_is_full() -> None:
    pool = ImagePool(5, 4)
    for n in range(5):
        assert step(pool, [float(n + 1)], [n]) == [n + 1.0]
    assert pool.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert pool.count == 5


def test_single_images_follow_the_published_rule() -> None:
    size, pool = 6, ImagePool(6, 4)
    kept: list[float] = []
    for n in range(400):
        value = n / 400
        # Shrivastava et al.: shown again with probability 1/2, from a place drawn uniformly, which the new one takes.
        draws = torch.rand(2, generator=streams(n)[0])
        if len(kept) < size:
            kept.append(value)
            expected = value
        elif draws[0] < 0.5:
            place = int(draws[1] * size)
            expected, kept[place] = kept[place], value
        else:
            expected = value
        assert step(pool, [value], [n]) == pytest.approx([expected])
    assert pool.images[:, 0, 0, 0].tolist() == pytest.approx(kept)


def test_half_of_the_images_come_from_a_full_pool_and_all_places_serve_alike() -> None:
    pool = ImagePool(8, 4)
    step(pool, [float(n) for n in range(8)], list(range(8)))
    again, places = 0, torch.zeros(8)
    for n in range(1000):
        _, place = pool.show(images([0.5, 0.5]), streams(1000 + 2 * n, 1001 + 2 * n))
        again += int((place >= 0).sum())
        places += torch.bincount(place[place >= 0], minlength=8)
    assert again == pytest.approx(1000, abs=5 * 500**0.5)
    expected = again / 8
    assert ((places - expected).square() / expected).sum() < 24.3  # chi-squared of 7, p = .001


def test_the_age_of_what_is_shown_is_that_of_the_published_pool() -> None:
    """The mean age of an image that is shown: a kept one waits 2 * size steps on the mean, every other is new."""
    size, pool, ages, own = 10, ImagePool(10, 4), [], []
    rng, kept = random.Random(0), []
    for n in range(3000):
        (shown,) = step(pool, [float(n)], [n])
        ages.append(n - shown)
        if len(kept) < size:  # the published code, with other random numbers
            kept.append(n)
            own.append(0)
        elif rng.random() > 0.5:
            place = rng.randint(0, size - 1)
            own.append(n - kept[place])
            kept[place] = n
        else:
            own.append(0)
    assert sum(ages) / len(ages) == pytest.approx(size, rel=0.15)  # 1/2 * 2 * size
    assert sum(ages) / len(ages) == pytest.approx(sum(own) / len(own), rel=0.2)


def test_a_pool_that_was_saved_goes_on_exactly() -> None:
    first, second = ImagePool(4, 4), ImagePool(4, 4)
    for n in range(20):
        step(first, [float(n)], [n])
    second.load_state_dict(first.state_dict())
    for n in range(20, 60):
        assert step(first, [float(n)], [n]) == step(second, [float(n)], [n])


def test_two_processes_with_an_image_each_are_one_with_two() -> None:
    """Each process shows its own image and keeps the images of both, as the loop hands them round."""
    one, pools = ImagePool(4, 4), [ImagePool(4, 4), ImagePool(4, 4)]
    for n in range(50):
        values, seeds = [float(2 * n), 2 * n + 1.0], [2 * n, 2 * n + 1]
        expected = step(one, values, seeds)
        fakes = images(values)
        parts = [pool.show(fakes[k : k + 1], streams(seeds[k])) for k, pool in enumerate(pools)]
        assert [part[0, 0, 0, 0].item() for part, _ in parts] == expected
        for pool in pools:
            pool.keep(fakes, torch.cat([places for _, places in parts]))
    for pool in pools:
        assert torch.equal(pool.images, one.images) and pool.count == one.count == 4


def test_what_is_shown_in_half_precision_is_kept_in_full() -> None:
    pool = ImagePool(1, 4)
    step(pool, [0.25], [0])
    fake = images([1 / 3])
    for seed in range(20):
        shown, place = pool.show(fake.bfloat16(), streams(seed))
        assert shown.dtype == torch.bfloat16
        if place.item() == 0:
            assert (shown == 0.25).all()
    assert pool.images.dtype == torch.float32
