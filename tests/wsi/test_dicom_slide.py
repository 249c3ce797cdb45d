"""DICOM whole-slide images: read through wsidicom."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom

from restain.errors import RestainError
from restain.wsi.geometry import Region
from restain.wsi.reader import open_slide


def test_a_folder_of_dicom_files_is_one_slide(tmp_path: Path) -> None:
    pytest.importorskip("wsidicom", reason="wsidicom is not installed")
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    folder = write_dicom(tmp_path / "slide", [image, np.ascontiguousarray(image[::2, ::2])])
    with open_slide(folder) as slide:
        assert slide.reader == "dicom" and slide.mpp == pytest.approx(0.25) and slide.icc == b"a profile "
        assert [(level.height, level.width, level.downsample) for level in slide.levels] == [
            (200, 300, 1.0),
            (100, 150, 2.0),
        ]
        regions = [Region(x, y, 50, 40) for x in range(0, 250, 31) for y in range(0, 160, 17)]
        with ThreadPoolExecutor(4) as pool:
            for region, read in zip(regions, pool.map(lambda r: slide.read_level(0, r), regions), strict=True):
                assert np.array_equal(read, image[region.y : region.y + 40, region.x : region.x + 50])
        assert np.array_equal(slide.read_level(1, Region(10, 7, 35, 71)), image[::2, ::2][7:78, 10:45])
        assert (slide.read_level(1, Region(-5, -5, 5, 5)) == 255).all()
    with open_slide(folder / "0.dcm") as single:
        assert len(single.levels) == 1


def test_without_wsidicom_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsidicom", None)
    with pytest.raises(RestainError, match=r"install it with: pip install 'restain\[dicom\]'"):
        open_slide(tmp_path)


def test_a_folder_without_dicom_is_no_slide(tmp_path: Path) -> None:
    pytest.importorskip("wsidicom", reason="wsidicom is not installed")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RestainError, match="cannot be opened as a slide"):
        open_slide(tmp_path, mpp=0.5)
