"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

ACRONYMS = {
    "ssim": "SSIM",
    "psnr": "PSNR",
    "dab": "DAB",
    "iod": "IOD",
    "od": "OD",
    "pearson": "Pearson",
    "r": "r",
    "ms": "MS",
    "jsd": "JSD",
    "kl": "KL",
    "icc": "ICC",
    "her2": "HER2",
    "ki67": "Ki67",
    "auroc": "AUROC",
    "h": "H",
    "lpips": "LPIPS",
    "st": "ST",
    "alex": "AlexNet",
    "vgg": "VGG",
    "phv": "PHV",
    "fid": "FID",
    "kid": "KID",
    "iou": "IoU",
    "tpr": "true positive rate",
    "tnr": "true negative rate",
    "mp": "megapixel",
    "px": "px",
}
_QUOTED = re.compile(r"'(?:/|[A-Za-z]:\\)[^'\n]*?([^'/\\\n]+)'")
_PATH = re.compile(r"(?<![\w:/.…])(?:/|[A-Za-z]:\\)(?:[^\s'\":,;=/\\]+[/\\])+([^\s'\":,;=/\\]*)")
_NOISE, _MOST_DECIMALS = 1e-9, 6
FAMILIES = {
    "pixels": "Similarity of pixels",
    "stain": "Amount of stain",
    "place": "Place of the stain",
    "content": "Relation to the H&E",
    "cells": "Cells",
    "learned": "Seen by trained networks",
}


def label(name: str) -> str:
    """A metric's column name as words, "dab_mean_od_real" as "DAB mean OD, true IHC".

    In the reasons of an evaluation a name may stand behind a system ("H&E unchanged: ssim") and before "ci95".
    """
    system, colon, name = name.rpartition(": ")
    if name.endswith(" ci95"):
        return f"{system}{colon}{label(name.removesuffix(' ci95'))}, 95 % interval"
    if " " in name:
        return system + colon + name
    return system + colon + _metric_label(name)


def _metric_label(name: str) -> str:
    if name.startswith("r_"):
        return "R " + name.removeprefix("r_").replace("avg", "average").replace("_", " ")
    stem, truth = name.removesuffix("_real"), ", true IHC" if name.endswith("_real") else ""
    words = [ACRONYMS.get(word, word) for word in stem.split("_")]
    text = " ".join(words).replace("H score", "H-score")
    return text[0].upper() + text[1:] + truth


def number(value: float, half_width: float = math.nan, digits: int = 4) -> str:
    """A number with the digits that its uncertainty leaves: two of the half width, else ``digits`` in all.

    Infinity is "∞" and NaN a dash; what is smaller than 1e-9 is rounding and reads as 0;
    from a thousand up digits are grouped by thin spaces.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    known = math.isfinite(half_width) and half_width > 0
    size = half_width if known else abs(value)
    if abs(value) < _NOISE:
        return "0"
    decimals = min((1 if known else digits - 1) - math.floor(math.log10(max(size, _NOISE))), _MOST_DECIMALS)
    text = f"{value:,.{max(decimals, 0)}f}"
    if not float(text.replace(",", "")):
        text = text.lstrip("-")
    return text.replace(",", "\u2009").replace("-", "−")


def short_path(path: object) -> str:
    """The last two parts of a path: a page that is passed on does not show how somebody's disk is arranged."""
    return "/".join(Path(str(path)).parts[-2:]).lstrip("/") if path else ""


def without_paths(text: str) -> str:
    """Text in which every absolute path is cut to its last part, quoted ones with spaces included."""
    text = _QUOTED.sub(lambda match: f"'…/{match[1]}'", text)
    return _PATH.sub(lambda match: f"…/{match[1]}", text)


def command_text(command: object) -> str:
    """A command as one line, whether it was kept as text or as a list of arguments."""
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    return str(command or "")
