"""Named protocols: settings under which a number may stand in one table with another paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from restain.errors import RestainError
from restain.metrics.similarity import GAUSSIAN_11, UNIFORM_7, SsimWindow


@dataclass(frozen=True)
class Protocol:
    """What two evaluations must share before their figures are compared."""

    name: str
    window: SsimWindow
    definition: str
    source: str


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
    }
)


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; RestainError names the known ones."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(PROTOCOLS)
        raise RestainError(f"protocol: {name!r} is not known; expected one of {known}") from None
