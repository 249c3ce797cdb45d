"""All measures of one image: the columns of ``per_image.csv``, from which every metric is made."""

from __future__ import annotations

from dataclasses import dataclass

from restain.images import RGB
from restain.metrics.correlation import content_correlation
from restain.metrics.dab import dab_density, integrated_density, mean_density, positive_area
from restain.metrics.protocols import Protocol
from restain.metrics.similarity import psnr, ssim


@dataclass(frozen=True)
class Measurement:
    """What is to be measured, and how; what nobody asked for takes no time."""

    protocol: Protocol
    columns: frozenset[str]  # wanted; NAME_real asks for NAME on the real stain
    mpp: float  # microns per pixel

    def wants(self, *names: str) -> bool:
        """Whether any of these measures is asked for, on the virtual or on the real stain."""
        return any(name in self.columns or f"{name}_real" in self.columns for name in names)


def measure_image(rgb: RGB, measurement: Measurement) -> dict[str, float]:
    """Measure the stain of one image by itself.

    Args:
        rgb: uint8 (H, W, 3), a real or a virtual IHC.
        measurement: what is wanted.

    Returns:
        Values by name of the measure.
    """
    row: dict[str, float] = {}
    if measurement.wants("dab_mean_od", "dab_positive_area"):
        density = dab_density(rgb)
        row |= {"dab_mean_od": mean_density(density), "dab_positive_area": positive_area(density)}
    if measurement.wants("dab_iod"):
        row["dab_iod"] = integrated_density(rgb)
    return row


def measure_pair(real: RGB, fake: RGB, measurement: Measurement, source: RGB | None = None) -> dict[str, float]:
    """Measure one virtual stain against the real one and, where given, against the H&E.

    Args:
        real: uint8 (H, W, 3), the real IHC.
        fake: uint8 of the same shape, the virtual IHC.
        measurement: what is wanted.
        source: uint8 of the same shape, the H&E; without it there is no ``r_content``.

    Returns:
        Values by name. PSNR may be infinite; what has no value in this image is NaN.
    """
    row, protocol = {}, measurement.protocol
    if measurement.wants("ssim"):
        row["ssim"] = ssim(real, fake, protocol.window, protocol.data_range)
    if measurement.wants("psnr"):
        row["psnr"] = psnr(real, fake)
    if source is not None and measurement.wants("r_content"):
        row["r_content"] = content_correlation(fake, source)
    return row
