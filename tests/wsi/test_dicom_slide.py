"""DICOM whole-slide images: written here tile by tile with pydicom, read through wsidicom."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restain.errors import RestainError
from restain.images import RGB
from restain.wsi.geometry import Region
from restain.wsi.reader import open_slide

TILE = 64
SPACING = 0.00025  # mm


def write_dicom(folder: Path, levels: list[RGB]) -> Path:
    """One series of uncompressed, fully tiled volume images, one file a level."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

    def item(**values: Any) -> Dataset:
        dataset = Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset

    folder.mkdir()
    series = item(StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid())
    for number, image in enumerate(levels):
        height, width, _ = image.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        full = np.pad(image, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)))
        spacing = SPACING * 2**number
        measures = item(PixelSpacing=[spacing, spacing], SliceThickness=0.001)
        dataset = item(
            SOPClassUID=VLWholeSlideMicroscopyImageStorage,
            SOPInstanceUID=generate_uid(),
            Modality="SM",
            Manufacturer="Phantom",
            InstanceNumber=number + 1,
            ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if number else "NONE"],
            DimensionOrganizationType="TILED_FULL",
            TotalPixelMatrixColumns=width,
            TotalPixelMatrixRows=height,
            TotalPixelMatrixFocalPlanes=1,
            NumberOfOpticalPaths=1,
            ImagedVolumeWidth=width * spacing,
            ImagedVolumeHeight=height * spacing,
            ImagedVolumeDepth=0.001,
            ImageOrientationSlide=[0, -1, 0, -1, 0, 0],
            FocusMethod="AUTO",
            ExtendedDepthOfField="NO",
            Rows=TILE,
            Columns=TILE,
            NumberOfFrames=rows * columns,
            SamplesPerPixel=3,
            PhotometricInterpretation="RGB",
            PlanarConfiguration=0,
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            PixelRepresentation=0,
            OpticalPathSequence=[item(OpticalPathIdentifier="0", ICCProfile=b"a profile ")],
            SharedFunctionalGroupsSequence=[
                item(
                    PixelMeasuresSequence=[measures],
                    OpticalPathIdentificationSequence=[item(OpticalPathIdentifier="0")],
                )
            ],
            PixelData=full.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).tobytes(),
        )
        dataset.update(series)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


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
