"""A pickle of numpy arrays -> safetensors, without running anything that the pickle says."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from restain.errors import RestainError, in_short

Arrays: TypeAlias = dict[str, npt.NDArray[np.float32]]

# Positions of the convolutions in torchvision's ``features``, in the order in which both sides number them.
_CONVOLUTIONS = {
    "VGG16_0": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "AlexNet_0": (0, 3, 6, 8, 10),
}
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _ArraysOnly(pickle.Unpickler):
    """Builds dictionaries, tuples, numbers, text and numpy arrays; any other class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is not a numpy array")
        if name == "_reconstruct":
            from numpy._core.multiarray import _reconstruct  # under numpy.core it is deprecated

            return _reconstruct
        return getattr(np, name)


def read_array_pickle(path: Path) -> dict[str, Any]:
    """The nested dictionary of numpy arrays in a pickle.

    Raises:
        RestainError: the file is not such a pickle, or names anything but numpy arrays.
    """
    try:
        content = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a damaged pickle may fail anywhere
        raise RestainError(f"{path}: is not a pickle of numpy arrays ({in_short(error)})") from error
    if not isinstance(content, dict):
        raise RestainError(f"{path}: holds a {type(content).__name__}; expected a dictionary of numpy arrays")
    return content


def convert_convolutions(content: Mapping[str, Any], network: str) -> bytes:
    """Convolutions in Flax's layout -> a safetensors file under torchvision's names.

    Args:
        content: ``content[network]["Conv_k"]`` holds ``kernel`` (height, width, in, out) and ``bias`` (out,).
        network: "VGG16_0" or "AlexNet_0".

    Returns:
        The bytes of a safetensors file: ``features.N.weight`` (out, in, height, width) and ``features.N.bias``.

    Raises:
        RestainError: an array is missing.
    """
    arrays: Arrays = {}
    for number, position in enumerate(_CONVOLUTIONS[network]):
        try:
            layer = content[network][f"Conv_{number}"]
            kernel, bias = layer["kernel"], layer["bias"]
        except (KeyError, TypeError):
            raise RestainError(f"weights: {network}/Conv_{number} is missing from the pickle") from None
        arrays[f"features.{position}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), dtype=np.float32)
        arrays[f"features.{position}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    return save(arrays)
