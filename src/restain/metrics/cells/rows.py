"""The registry rows of cells: counts on the virtual and on the real stain, and how well the two agree."""

from __future__ import annotations

from dataclasses import replace

from restain.metrics.row_kinds import Amount, agreement, amount, over_images
from restain.metrics.statistics.agreement import quadratic_kappa

_ALL_CELLS = "counts stroma and lymphocytes with the tumour; needs nuclei that the segmentation sees; for research only"
_COUNT = Amount(
    column="nuclei_count",
    unit="nuclei",
    what="number of nuclei",
    source="H-DAB unmixing, Otsu threshold and watershed: restain.metrics.cells.nuclei",
    range="[0, inf)",
    weakness=_ALL_CELLS,
    family="cells",
)
_INDEX = replace(
    _COUNT,
    column="positive_index",
    unit="fraction",
    what="share of nuclei with a mean DAB density of at least 0.2",
    range="[0, 1]",
    weakness=f"the threshold is QuPath's default 1+, not tuned to an antibody; {_ALL_CELLS}",
    undefined="no nucleus is found on one side of each pair",
)
_H_SCORE = replace(
    _INDEX,
    column="h_score",
    unit="",
    what="H-score at densities of 0.2, 0.4 and 0.6",
    source="McCarty et al., Arch. Pathol. Lab. Med. 109 (1985); QuPath's default densities",
    range="[0, 300]",
    weakness=f"of a nuclear stain: means nothing for HER2; {_ALL_CELLS}",
)
_HER2 = replace(
    _INDEX,
    column="her2_band",
    unit="",
    what="HER2 category 0 to 3 of the field",
    source="after ASCO/CAP 2018, Wolff et al., J. Clin. Oncol. 36, simplified: restain.metrics.cells.scores",
    range="[0, 3]",
    weakness=f"of a membrane stain; brown background reads as 1+; a field is not a slide; {_ALL_CELLS}",
)

CELLS = (
    *(row for count in (_COUNT, _INDEX, _H_SCORE) for row in (*amount(count), *agreement(count))),
    *amount(_HER2),
    over_images(_HER2, "her2_band_kappa", quadratic_kappa, "Cohen's kappa with quadratic weights (Cohen 1968)"),
)
