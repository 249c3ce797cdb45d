import numpy as np
import torch

from restain.tensors import to_rgb, to_tensor


def test_tensor_values_and_exact_way_back():
    rgb = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = to_tensor(rgb)
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 16, 16)
    np.testing.assert_allclose(tensor.numpy(), rgb.astype(np.float64).transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(to_rgb(tensor), rgb)
    np.testing.assert_array_equal(to_rgb(torch.tensor([-3.0, 0.0, 3.0]).reshape(3, 1, 1)), [[[0, 128, 255]]])
