"""A small classifier of images: tumour or normal (Confusion-GAN)."""

from __future__ import annotations

from torch import Tensor, nn

from restain.networks.specs import ClassifierSpec


class ImageClassifier(nn.Module):
    """Six 3x3 convolutions, every second of which halves, and one number from the mean of what they find.

    There are no norms in it: the amount of stain may decide.
    """

    def __init__(self, spec: ClassifierSpec) -> None:
        super().__init__()
        widths = [3, *(spec.width * factor for factor in (1, 1, 2, 2, 4, 4))]
        layers: list[nn.Module] = []
        for place in range(6):
            layers += [nn.Conv2d(widths[place], widths[place + 1], 3, 1 + place % 2, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> logits (N,), high for tumour."""
        logits: Tensor = self.head(self.layers(x).mean(dim=(2, 3)))
        return logits[:, 0]
