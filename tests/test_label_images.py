"""Labels and masks from outside."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from restain.errors import RestainError
from restain.label_images import find_beside, read_labels, read_mask

LABELS = np.zeros((12, 20), np.uint16)
LABELS[2:5, 3:6], LABELS[7:9, 10:15] = 300, 70
EXPECTED = np.where(LABELS == 300, 2, np.where(LABELS == 70, 1, 0))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_labels_of_sixteen_bits_come_back_renumbered(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, LABELS)
    elif suffix == ".tif":
        tifffile.imwrite(path, LABELS)
    else:
        Image.fromarray(LABELS).save(path)
    assert find_beside(tmp_path, "a") == path and find_beside(tmp_path, "b") is None
    found = read_labels(path, LABELS.shape)
    assert found.dtype == np.int32 and np.array_equal(found, EXPECTED)


def test_an_image_without_background_keeps_all_its_nuclei(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 4), 9))
    assert read_labels(tmp_path / "a.npy", (4, 4)).tolist() == [[1] * 4] * 4


def test_what_is_no_label_image_is_refused(tmp_path):
    np.save(tmp_path / "floats.npy", np.zeros((12, 20)))
    np.save(tmp_path / "objects.npy", np.array([{"masks": LABELS}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "small.npy", LABELS[:5])
    (tmp_path / "text.png").write_text("not a picture")
    for name, sentence in (
        ("floats.npy", r"is float64 of shape \(12, 20\); expected whole numbers of shape \(12, 20\)"),
        ("objects.npy", "cannot be read as labels or a mask"),
        ("small.npy", r"of shape \(5, 20\); expected"),
        ("text.png", "cannot be read as an image"),
        ("absent.tif", "no such file"),
    ):
        with pytest.raises(RestainError, match=sentence):
            read_labels(tmp_path / name, LABELS.shape)


def test_a_mask_is_what_is_not_zero(tmp_path):
    mask = LABELS > 0
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([mask * 0, mask * 1, mask * 0]).astype(np.uint8)).save(tmp_path / "colour.png")
    for name in ("grey.png", "colour.png"):
        assert np.array_equal(read_mask(tmp_path / name, mask.shape), mask)
    with pytest.raises(RestainError, match="expected a mask of 20 x 9 pixels"):
        read_mask(tmp_path / "grey.png", (9, 20))
