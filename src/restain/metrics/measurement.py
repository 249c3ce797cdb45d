"""All measures of one image: the columns of ``per_image.csv``, from which every metric is made."""

from __future__ import annotations

from dataclasses import dataclass

from restain.images import RGB
from restain.metrics.cells.scores import measure_membrane_stain, measure_nuclear_stain
from restain.metrics.pixels.multiscale import ms_ssim
from restain.metrics.pixels.similarity import psnr, ssim
from restain.metrics.pixels.tolerance import tolerant_ssim
from restain.metrics.protocols import Protocol
from restain.metrics.stain.correlation import content_correlation
from restain.metrics.stain.dab import dab_density, integrated_density, mean_density, positive_area
from restain.metrics.stain.histogram import dab_histograms, jensen_shannon, kullback_leibler, top_decile


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
    if measurement.wants("dab_mean_od", "dab_positive_area", "dab_top_decile"):
        density = dab_density(rgb)
        row |= {
            "dab_mean_od": mean_density(density),
            "dab_positive_area": positive_area(density),
            "dab_top_decile": top_decile(density),
        }
    if measurement.wants("dab_iod"):
        row["dab_iod"] = integrated_density(rgb)
    if measurement.wants("nuclei_count", "positive_index", "h_score"):
        row |= measure_nuclear_stain(rgb, measurement.mpp)
    if measurement.wants("her2_band"):
        row |= measure_membrane_stain(rgb, measurement.mpp)
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
    if measurement.wants("ms_ssim"):
        row["ms_ssim"] = ms_ssim(real, fake)
    if measurement.wants("ssim_shift", "ssim_shift_y", "ssim_shift_x"):
        best = tolerant_ssim(real, fake, protocol.window, protocol.data_range)
        row |= {"ssim_shift": best.value, "ssim_shift_y": best.dy, "ssim_shift_x": best.dx}
    if measurement.wants("dab_histogram_jsd", "dab_histogram_kl"):
        p, q = dab_histograms(real, fake)
        row |= {"dab_histogram_jsd": jensen_shannon(p, q), "dab_histogram_kl": kullback_leibler(q, p)}
    if source is not None and measurement.wants("r_content"):
        row["r_content"] = content_correlation(fake, source)
    return row
