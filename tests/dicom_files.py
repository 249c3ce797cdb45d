"""A small DICOM whole-slide image, written tile by tile with pydicom."""

from pathlib import Path
from typing import Any

import numpy as np

from restain.images import RGB

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
