"""Tables of the ASP-DGRank paper as comparisons: which recipes, metrics and published rows each one needs. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from restain.errors import RestainError

_ABLATIONS = ("asp-dgrank", "asp-dgrank-baseline", "asp-dgrank-no-attention", "asp-dgrank-no-diffusion")
_UNPAIRED = ("asp-dgrank", "asp-dgrank-unpaired", "asp-dgrank-unpaired-literal")


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper; the first recipe is the one that the others are tested against."""

    about: str
    recipes: Sequence[str]
    metrics: Sequence[str]
    compare_with: str | None  # data set of the literature; None: the one that the images are recognised as


PAPER_TABLES = {
    "table2": PaperTable(
        "Table 2: systems on BCI HER2",
        ("asp-dgrank", "asp-dgrank-unpaired", "syndiff-rgb", "pix2pix", "cut", "staingan", "reggan", "unit"),
        ("psnr", "ssim"),
        "bci",
    ),
    "table3": PaperTable(
        "Table 3: systems on MIST HER2",
        (
            "asp-dgrank",
            "asp-dgrank-unpaired",
            "pix2pix",
            "pyramid-pix2pix",
            "tdkstain",
            "pspstain",
            "asp",
            "oda-gan-reconstructed",
        ),
        ("kid", "fid", "lpips_alex", "ssim"),
        "mist-her2",
    ),
    "table4": PaperTable(
        "Table 4: systems on MIST Ki67, PR or ER",
        ("asp-dgrank", "cyclegan", "cut-lgp", "pix2pix", "pyramid-pix2pix", "asp"),
        ("ssim", "fid", "kid"),
        None,
    ),
    "table5": PaperTable("Table 5: ablation", _ABLATIONS, ("ssim", "fid", "kid", "psnr"), "mist-her2"),
    "table7": PaperTable(
        "Table 7: without pairs",
        _UNPAIRED,
        ("ssim", "psnr", "fid", "kid", "lpips_alex", "phv_avg", "r_content", "r_pathology", "r_avg"),
        None,
    ),
}


def paper_table(name: str) -> PaperTable:
    """A table by its name, such as "table5".

    Raises:
        RestainError: there is none of that name.
    """
    if name not in PAPER_TABLES:
        raise RestainError(f"paper: is {name!r}; expected one of {', '.join(PAPER_TABLES)}")
    return PAPER_TABLES[name]
