"""How well the estimated H&E-to-IHC motion meets a known one.

    python benchmarks/shift_accuracy.py --data DIR --target B_weak --truth DIR/trainB_weak_truth.csv

The truth is a CSV with the columns stem, shift_y_px, shift_x_px and, if known, rotation_deg and
mean_displacement_px: the motion that carries the IHC onto the H&E. Without ``--truth`` the pairs are taken to
lie on each other. As a check of the confidence, every H&E is also compared with the IHC of another field.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from restain.alignment.pictures import Alignment, estimate_alignment
from restain.data.layouts import find_pairs
from restain.data.records import Record

FIELDS = ("shift_y_px", "shift_x_px", "rotation_deg", "mean_displacement_px")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--target", default="B")
    parser.add_argument("--split", default="train")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair only")
    options = parser.parse_args()
    truth = read_truth(options.truth) if options.truth else {}
    records = find_pairs(options.data, options.target).pairs(options.split)[:: options.every]
    start = time.monotonic()
    found = [(record, measure(record, record)) for record in records]
    seconds = (time.monotonic() - start) / len(records)
    strangers = [measure(a, b) for a, b in zip(records, records[len(records) // 2 :], strict=False)]
    report([(r.id, a) for r, a in found if a], truth, [a for a in strangers if a])
    print(f"{sum(a is None for _, a in found)} pairs without structure; {seconds * 1000:.0f} ms per pair")


def measure(source: Record, target: Record) -> Alignment | None:
    assert source.source is not None
    assert target.target is not None
    return estimate_alignment(source.source.read(), target.target.read())


def read_truth(path: Path) -> dict[str, list[float]]:
    with path.open(newline="") as file:
        return {row["stem"]: [float(row.get(name) or 0) for name in FIELDS] for row in csv.DictReader(file)}


def report(found: list[tuple[str, Alignment]], truth: dict[str, list[float]], strangers: list[Alignment]) -> None:
    true = np.array([truth.get(name, [0.0] * 4) if truth else [0.0] * 4 for name, _ in found])
    guess = np.array([(a.shift_y, a.shift_x, a.rotation, a.displacement) for _, a in found])
    confidence = np.array([a.confidence for _, a in found])
    error = np.hypot(*(guess - true)[:, :2].T)
    print(f"{len(found)} pairs; true shift, median length: {np.median(np.hypot(*true[:, :2].T)):.2f} px")
    print(f"shift error, median: {np.median(error):.2f} px; 90th percentile: {np.percentile(error, 90):.2f} px")
    for floor in (0.2, 0.4, 0.6):
        kept = error[confidence >= floor]
        numbers = f", median {np.median(kept):.2f} px, max {kept.max():.2f} px" if len(kept) else ""
        print(f"  confidence >= {floor}: {len(kept)} pairs{numbers}")
    print(f"rotation error, median: {np.median(np.abs(guess - true)[:, 2]):.2f} deg")
    print(f"mean displacement error, median: {np.median(np.abs(guess - true)[:, 3]):.2f} px")
    quantiles = "/".join(f"{value:.2f}" for value in np.percentile(confidence, (5, 50, 95)))
    apart = "/".join(f"{np.percentile([a.confidence for a in strangers], q):.2f}" for q in (5, 50, 95))
    print(f"confidence, 5/50/95 %: {quantiles}; of unrelated images: {apart}")


if __name__ == "__main__":
    main()
