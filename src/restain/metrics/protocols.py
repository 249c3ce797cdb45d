"""Named protocols: settings under which a number may stand in one table with another paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from restain.errors import RestainError
from restain.metrics.pixels.similarity import GAUSSIAN_11, UNIFORM_7, SsimWindow


@dataclass(frozen=True)
class Protocol:
    """What two evaluations must share before their figures are compared."""

    name: str
    window: SsimWindow
    definition: str
    source: str
    data_range: float = 255.0  # of SSIM, in grey levels of 8 bits; PSNR's is 255 in every protocol


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "clean": Protocol(
            name="clean",
            window=GAUSSIAN_11,
            definition="8-bit RGB at full size; SSIM with the 11x11 Gaussian window (sigma 1.5), population covariance",
            source="Wang et al., IEEE Trans. Image Process. 13 (2004)",
        ),
        "asp2023": Protocol(
            name="asp2023",
            window=UNIFORM_7,
            definition="8-bit RGB at full size; SSIM with the 7x7 uniform window, sample covariance",
            source="Li et al., Adaptive Supervised PatchNCE, MICCAI 2023, public evaluation script",
        ),
        "bci2022": Protocol(
            name="bci2022",
            window=UNIFORM_7,
            definition="8-bit BGR at full size; SSIM with the 7x7 uniform window, sample covariance; equals asp2023",
            source="Liu et al., BCI, CVPR Workshops 2022, public evaluation script",
        ),
        # Floats in [0, 1] under a data range of 2 are 8-bit levels under one of 510: SSIM does not know its unit.
        "skimage018": Protocol(
            name="skimage018",
            window=UNIFORM_7,
            definition="RGB floats in [0, 1] at full size; SSIM with the 7x7 uniform window, sample covariance and a "
            "data range of 2, twice what the images span: inflated; PSNR with a range of 1: right",
            source="scikit-image 0.18, structural_similarity on floats without data_range",
            data_range=510.0,
        ),
    }
)


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; RestainError names the known ones."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(PROTOCOLS)
        raise RestainError(f"protocol: {name!r} is not known; expected one of {known}") from None
