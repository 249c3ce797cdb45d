"""How far are counted cells from the truth? Detection, grades, positive index, H-score, HER2 on virtual tissue.

    python benchmarks/cell_counting.py [--fields 25] [--seed 20] [--overlays DIR]

Draws fields of 512x512 pixels at 0.5 µm per pixel, four of each slide, for each of ER, PR, Ki67 and HER2, and counts on
the IHC and, nuclei alone, on the H&E. All kinds of cell count on both sides. It prints

- detection: precision, recall and F1 of nuclei whose centre lies within 3 µm of a true one;
- grades: the confusion of the matched cells, 0 to 3+, over all fields;
- fields: bias, mean absolute error and ICC(2,1), or kappa of clinical classes, against the cells that were drawn.

``--overlays`` writes the outlines of what was counted in the first field of each marker.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restain.evaluation.overlays import outline
from restain.images import write_jpeg
from restain.metrics.cells.counts import hormone_receptor_class, ki67_class
from restain.metrics.cells.matching import REACH_UM, Matched, match_centres
from restain.metrics.cells.membranes import field_band
from restain.metrics.cells.nuclei import find_nuclei
from restain.metrics.cells.scores import count_cells, h_score, measure_cells, positive_index
from restain.metrics.statistics.agreement import agreement_icc, quadratic_kappa
from restain.phantoms.options import PhantomOptions
from restain.phantoms.slide import Field, Slide

SIZE, FIELDS_PER_SLIDE, MPP = 512, 4, 0.5
MARKERS = ("er", "pr", "ki67", "her2")
GRADES = ("0", "1+", "2+", "3+")


def fields(marker: str, count: int, seed: int) -> Iterator[Field]:
    """Virtual fields with their truth."""
    for index in range(count):
        if index % FIELDS_PER_SLIDE == 0:
            slide = Slide(marker, seed * 10_000 + MARKERS.index(marker) * 1000 + index, PhantomOptions(mpp=MPP))
        yield slide.render(slide.window(index % FIELDS_PER_SLIDE, SIZE), None)


def matched(centres: np.ndarray, field: Field) -> Matched:
    """Nuclei found against those drawn."""
    return match_centres(centres, np.stack([field.cells.y, field.cells.x], axis=1), REACH_UM / MPP)


class Marker:
    """What was found on the fields of one marker, beside what is true."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detection: dict[str, list[tuple[float, float, float]]] = {"IHC": [], "H&E": []}
        self.confusion = np.zeros((4, 4), dtype=np.int64)  # [true, counted]
        self.found: dict[str, list[float]] = {}
        self.truth: dict[str, list[float]] = {}
        self.seconds = 0.0

    def add(self, field: Field, overlays: Path | None) -> None:
        """Count one field."""
        start = time.process_time()
        place = "membrane" if self.name == "her2" else "nuclear"
        cells = count_cells(field.ihc, MPP, place)
        values = measure_cells(cells)
        self.seconds += time.process_time() - start
        if overlays is not None:
            write_jpeg(overlays / f"{self.name}.jpg", outline(field.ihc, cells))
        pairs = matched(cells.nuclei.centres, field)
        on_he = matched(find_nuclei(field.he, MPP).centres, field)
        for side, one in (("IHC", pairs), ("H&E", on_he)):
            self.detection[side].append((one.precision, one.recall, one.f1))
        known = field.cells.intensity
        np.add.at(self.confusion, (known[pairs.known], cells.intensity[pairs.found]), 1)
        truth = {
            "nuclei_count": float(len(known)),
            "positive_index": positive_index(known),
            "h_score": h_score(known),
            "her2_band": field_band(known),
        }
        for name, value in truth.items():
            if name != "her2_band" or self.name == "her2":
                self.truth.setdefault(name, []).append(value)
                self.found.setdefault(name, []).append(values[name])

    def print(self) -> None:
        """Print all that was found."""
        print(
            f"\n{self.name.upper()}, {1000 * self.seconds / len(self.detection['IHC']):.0f} ms of a processor a field"
        )
        for side, rows in self.detection.items():
            precision, recall, f1 = np.mean(rows, axis=0)
            print(f"  detection on {side}: precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")
        print(f"  grades: true in rows, {'':8}" + "".join(f"{grade:>7}" for grade in GRADES))
        for grade, row in zip(GRADES, self.confusion, strict=True):
            print(f"{grade:>30}" + "".join(f"{count:7}" for count in row))
        right = np.trace(self.confusion) / self.confusion.sum()
        both = (self.confusion[0, 0] + self.confusion[1:, 1:].sum()) / self.confusion.sum()
        print(f"  right grade {right:.1%}, right side of positive and negative {both:.1%} of the matched cells")
        for name, counted in self.found.items():
            self._print_field(name, np.array(counted), np.array(self.truth[name]))

    def _print_field(self, name: str, counted: np.ndarray, truth: np.ndarray) -> None:
        bias, error = (counted - truth).mean(), np.abs(counted - truth).mean()
        if name == "her2_band":
            agreement = f"kappa {quadratic_kappa(counted, truth):.3f}, right in {np.mean(counted == truth):.0%}"
        else:
            agreement = f"ICC {agreement_icc(counted, truth):.3f}"
        print(f"  {name:15} truth {truth.mean():8.3f} bias {bias:+7.3f} error {error:7.3f} {agreement}")
        if name == "positive_index" and self.name != "her2":
            classes = ki67_class if self.name == "ki67" else hormone_receptor_class
            one, other = classes(counted), classes(truth)
            kappa = f"kappa {quadratic_kappa(one, other):.3f}" if np.ptp(other) else "all true fields in one class"
            print(f"  {'clinical class':15} {kappa}, right in {np.mean(one == other):.0%} of the fields")


def main() -> None:
    """Count, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=25, help="per marker")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--overlays", type=Path)
    arguments = parser.parse_args()
    for name in MARKERS:
        marker = Marker(name)
        for index, field in enumerate(fields(name, arguments.fields, arguments.seed)):
            marker.add(field, arguments.overlays if index == 0 else None)
        marker.print()


if __name__ == "__main__":
    main()
