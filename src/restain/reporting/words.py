"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
import shlex

ACRONYMS = {"ssim": "SSIM", "psnr": "PSNR", "dab": "DAB", "iod": "IOD", "od": "OD", "pearson": "Pearson", "r": "r"}


def label(name: str) -> str:
    """A metric's column name as words: "dab_mean_od_real" becomes "DAB mean OD, true IHC"."""
    if name.startswith("r_"):
        return "R " + name.removeprefix("r_").replace("avg", "average").replace("_", " ")
    stem, truth = name.removesuffix("_real"), ", true IHC" if name.endswith("_real") else ""
    words = [ACRONYMS.get(word, word) for word in stem.split("_")]
    return " ".join(words) + truth


def number(value: float, half_width: float = math.nan) -> str:
    """A number with the digits that its uncertainty leaves: two of the half width, else four in all.

    Infinity is "∞" and NaN a dash; from a thousand up digits are grouped by thin spaces.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    known = math.isfinite(half_width) and half_width > 0
    size = half_width if known else abs(value)
    if size == 0:
        return "0" if value == 0 else f"{value:.4g}".replace("-", "−")
    if abs(value) < 1e-4 and size < 1e-4 and value != 0:
        return f"{value:.3g}".replace("-", "−")
    decimals = (1 if known else 3) - math.floor(math.log10(size))
    return f"{value:,.{min(max(decimals, 0), 6)}f}".replace(",", "\u2009").replace("-", "−")


def command_text(command: object) -> str:
    """A command as one line, whether it was kept as text or as a list of arguments."""
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    return str(command or "")
