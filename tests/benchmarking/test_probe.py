"""Multiply-adds against a count by hand."""

from restain.benchmarking.probe import count_macs
from restain.networks.specs import ResnetSpec, UnetSpec


def test_multiply_adds_of_a_resnet() -> None:
    ngf, blocks, side = 8, 2, 64
    spec = ResnetSpec(ngf=ngf, blocks=blocks, spectral_norm=True, antialias=False)
    by_hand = side**2 * 49 * 3 * ngf  # 7x7 at the full size
    by_hand += (side // 2) ** 2 * 9 * ngf * 2 * ngf + (side // 4) ** 2 * 9 * 2 * ngf * 4 * ngf  # strided
    by_hand += blocks * 2 * (side // 4) ** 2 * 9 * (4 * ngf) ** 2
    # A transposed convolution multiplies each of its input pixels with the whole kernel.
    by_hand += (side // 4) ** 2 * 9 * 4 * ngf * 2 * ngf + (side // 2) ** 2 * 9 * 2 * ngf * ngf
    by_hand += side**2 * 49 * ngf * 3
    assert count_macs(spec, side) == by_hand


def test_multiply_adds_of_a_unet_grow_with_the_area() -> None:
    spec = UnetSpec(ngf=4, downs=3)
    assert count_macs(spec, 128) == 4 * count_macs(spec, 64)
