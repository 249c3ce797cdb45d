"""CTPC, pixel by pixel."""

import math

import pytest
import torch

from restain.losses.prototypes import prototype_loss


@pytest.mark.parametrize("twice", [True, False])
def test_pixels_are_classified_by_the_other_images_prototypes(twice: bool) -> None:
    stream = torch.Generator().manual_seed(0)
    features = torch.randn(2, 1, 5, 3, 4, generator=stream, dtype=torch.float64)
    shares = torch.randn(2, 1, 2, 3, 4, generator=stream, dtype=torch.float64).softmax(dim=2)
    masks = torch.randint(0, 2, (2, 1, 3, 4), generator=stream)
    total = 0.0
    for own, other in ((0, 1), (1, 0)):
        prototypes = []
        for k in range(2):
            weight = shares[other, 0, k]
            prototypes.append((features[other, 0] * weight).sum(dim=(1, 2)) / (weight.sum() + 1e-5))
        for y in range(3):
            for x in range(4):
                pixel = features[own, 0, :, y, x]
                scores = [float(pixel @ p / pixel.norm() / p.norm()) for p in prototypes]
                for _ in range(2 if twice else 1):
                    exponentials = [math.exp(score) for score in scores]
                    scores = [e / sum(exponentials) for e in exponentials]
                total -= math.log(scores[int(masks[own, 0, y, x])]) / 24
    found = prototype_loss(tuple(features), tuple(shares), tuple(masks), softmax_twice=twice)
    assert found.item() == pytest.approx(total, rel=1e-9)
