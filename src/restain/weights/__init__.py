"""Weight files of the networks that metrics look through: known by name, source, size and hash, or not used at all."""

from restain.weights.download import fetch_weights
from restain.weights.registry import WEIGHTS, Alternative, WeightFile, find_weight_file
from restain.weights.store import (
    HeldWeights,
    add_weights,
    cache_folder,
    find_weights,
    list_weights,
    load_weights,
    weights_folder,
    weights_path,
)

__all__ = [
    "WEIGHTS",
    "Alternative",
    "HeldWeights",
    "WeightFile",
    "add_weights",
    "cache_folder",
    "fetch_weights",
    "find_weight_file",
    "find_weights",
    "list_weights",
    "load_weights",
    "weights_folder",
    "weights_path",
]
