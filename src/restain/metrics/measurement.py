"""All measures of one image: the columns of ``per_image.csv``, from which every metric is made."""

from __future__ import annotations

from restain.images import RGB
from restain.metrics.correlation import content_correlation
from restain.metrics.dab import dab_density, integrated_density, mean_density, positive_area
from restain.metrics.protocols import Protocol
from restain.metrics.similarity import psnr, ssim


def measure_pair(real: RGB, fake: RGB, protocol: Protocol, source: RGB | None = None) -> dict[str, float]:
    """Measure one virtual stain against the real one.

    Args:
        real: uint8 (H, W, 3), the real IHC.
        fake: uint8 of the same shape, the virtual IHC.
        protocol: how SSIM is taken.
        source: uint8 of the same shape, the H&E; without it there is no ``r_content``.

    Returns:
        Values by column name, in the order of the columns. PSNR may be infinite, ``r_content`` may be NaN.
    """
    row = {"ssim": ssim(real, fake, protocol.window), "psnr": psnr(real, fake)}
    of_real = _measure_dab(real)
    for name, value in _measure_dab(fake).items():
        row |= {name: value, f"{name}_real": of_real[name]}
    if source is not None:
        row["r_content"] = content_correlation(fake, source)
    return row


def _measure_dab(rgb: RGB) -> dict[str, float]:
    density = dab_density(rgb)
    return {
        "dab_mean_od": mean_density(density),
        "dab_positive_area": positive_area(density),
        "dab_iod": integrated_density(rgb),
    }
