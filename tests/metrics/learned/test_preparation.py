"""How images are made ready, against the libraries that the protocols were written with."""

import numpy as np
import torch
from PIL import Image
from seeded import seeded_images

from restain.metrics.learned.preparation import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    antialiased_299,
    bilinear_299,
    clean_fid_299,
    imagenet_full_size,
    imagenet_twice_full_size,
    lpips_full_size,
    tensorflow_299,
)


def channels(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values)[:, None, None]


def test_bilinear_samples_the_four_nearest_pixels_and_no_others() -> None:
    rgb = seeded_images(1, 400, 700)[0]
    y, x = ((np.arange(299) + 0.5) * side / 299 - 0.5 for side in (400, 700))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (y - top)[:, None, None], (x - left)[None, :, None]
    at = lambda dy, dx: rgb[np.clip(top + dy, 0, 399)][:, np.clip(left + dx, 0, 699)].astype(float)  # noqa: E731
    by_hand = (1 - fy) * ((1 - fx) * at(0, 0) + fx * at(0, 1)) + fy * ((1 - fx) * at(1, 0) + fx * at(1, 1))
    np.testing.assert_allclose(bilinear_299(rgb), by_hand.transpose(2, 0, 1) / 127.5 - 1, atol=2e-4)


def test_antialiasing_equals_torch_s_own_and_keeps_the_mean() -> None:
    rgb = seeded_images(1, 640, 900, seed=2)[0]
    ours = antialiased_299(rgb)
    floats = torch.from_numpy(rgb).permute(2, 0, 1)[None].double()
    theirs = torch.nn.functional.interpolate(floats, (299, 299), mode="bicubic", antialias=True)[0].clip(0, 255)
    np.testing.assert_allclose(ours, theirs / 127.5 - 1, atol=1e-4)
    stripes = np.zeros((598, 598, 3), np.uint8)
    stripes[:, ::2] = 255  # one pixel wide: an antialiased half size is grey
    assert antialiased_299(stripes)[:, :, 8:-8].abs().max() < 0.01


def test_sizes_of_299_pass_unchanged() -> None:
    rgb = seeded_images(1, 299, 299)[0]
    for prepare in (bilinear_299, antialiased_299):
        np.testing.assert_allclose(prepare(rgb), rgb.transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)


def test_normalisation_by_hand() -> None:
    rgb = seeded_images(1, 20, 30)[0]
    unit = rgb.transpose(2, 0, 1) / 255
    mean, std = channels(IMAGENET_MEAN), channels(IMAGENET_STD)
    np.testing.assert_allclose(imagenet_full_size(rgb), (unit - mean) / std, atol=2e-6)
    np.testing.assert_allclose(imagenet_twice_full_size(rgb), ((unit + 1) / 2 - mean) / std, atol=2e-6)
    shift, scale = channels((-0.030, -0.088, -0.188)), channels((0.458, 0.448, 0.450))
    np.testing.assert_allclose(lpips_full_size(rgb), (2 * unit - 1 - shift) / scale, atol=2e-6)


def test_imagenet_s_normalisation_undone_by_transform_input_is_minus_1_to_1() -> None:
    # torchvision's Inception does this to input that was normalised for ImageNet.
    rgb = seeded_images(1, 299, 299)[0]
    mean, std = channels(IMAGENET_MEAN), channels(IMAGENET_STD)
    undone = imagenet_full_size(rgb).numpy() * (std / 0.5) + (mean - 0.5) / 0.5
    np.testing.assert_allclose(undone, bilinear_299(rgb), atol=2e-6)


def test_clean_fid_is_its_resize_channel_by_channel_and_its_normalisation() -> None:
    rgb = seeded_images(1, 512, 640, seed=4)[0]
    resized = [
        np.asarray(Image.fromarray(rgb[..., channel].astype(np.float32), mode="F").resize((299, 299), Image.BICUBIC))
        for channel in range(3)
    ]
    expected = (np.stack(resized).clip(0, 255) - 128) / 128
    np.testing.assert_allclose(clean_fid_299(rgb), expected, atol=1e-6)
    assert not np.allclose(clean_fid_299(rgb), antialiased_299(rgb), atol=1e-4)


def test_the_resize_of_tensorflow_1_by_hand() -> None:
    """Output pixel i reads the input at i * size / 299: the first is the first, and there is no half pixel."""
    rgb = seeded_images(1, 400, 598, seed=6)[0]
    found = np.asarray(tensorflow_299(rgb)) * 128 + 128
    np.testing.assert_allclose(found[:, 0], rgb[0, ::2].T, atol=1e-3)  # 598 = 2 x 299: every other pixel
    place = 7 * 400 / 299
    low, share = int(place), place - int(place)
    np.testing.assert_allclose(found[:, 7, 3], (1 - share) * rgb[low, 6] + share * rgb[low + 1, 6], atol=1e-3)
