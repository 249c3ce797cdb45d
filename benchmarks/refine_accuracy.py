"""How well given pairs are aligned anew, and whether wrong partners are told by their confidence.

    python benchmarks/refine_accuracy.py --data DIR --target B_weak --aligned B --split val

``--aligned`` names the target that lies on the H&E and of which ``--target`` is a moved copy: the refined image is
compared with it. Every H&E is also aligned with the IHC of another field, for the confidence of wrong partners.
``--truth`` adds the error of the shift: the mean motion over the field against the columns shift_y_px, shift_x_px.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from restain.alignment.local import align_locally
from restain.data.layouts import find_pairs
from restain.images import RGB
from restain.stains import optical_density


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--target", default="B_weak")
    parser.add_argument("--aligned", default="B")
    parser.add_argument("--split", default="val")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    moved = find_pairs(options.data, options.target).pairs(options.split)[:: options.every]
    aligned = {record.id: record for record in find_pairs(options.data, options.aligned).pairs(options.split)}
    truth = read_truth(options.truth) if options.truth else {}
    images = {record.id: (record.source.read(), record.target.read()) for record in moved}
    names = list(images)
    right, wrong, before, after, errors = [], [], [], [], []
    start = time.process_time()
    for place, name in enumerate(names):
        he, ihc = images[name]
        found = align_locally(he, ihc)
        stranger = align_locally(he, images[names[(place + len(names) // 2) % len(names)]][1])
        right.append(0.0 if found is None else found.confidence)
        wrong.append(0.0 if stranger is None else stranger.confidence)
        if found is None:
            continue
        true = aligned[name].target.read()
        before.append(likeness(ihc, true))
        after.append(likeness(found.warp(ihc)[0], true))
        if name in truth:
            rows, columns = found.source_places(he.shape[:2])
            y, x = np.indices(he.shape[:2])
            errors.append(np.hypot((y - rows).mean() - truth[name][0], (x - columns).mean() - truth[name][1]))
    print(f"{len(names)} pairs, {(time.process_time() - start) / 2 / len(names):.1f} s of processor each")
    print(f"correlation of density with the aligned IHC: given {np.median(before):.3f}, refined {np.median(after):.3f}")
    own, others = (np.percentile(values, (5, 50, 95)).round(2) for values in (right, wrong))
    a, b = np.array(right)[:, None], np.array(wrong)[None]
    area = float(((a > b) + 0.5 * (a == b)).mean())
    print(f"confidence, 5/50/95 %: {own}; of wrong partners {others}; AUC {area:.4f}")
    if errors:
        print(f"error of the mean shift: median {np.median(errors):.2f} px, 90 % {np.percentile(errors, 90):.2f} px")


def read_truth(path: Path) -> dict[str, tuple[float, float]]:
    with path.open(newline="") as file:
        return {row["stem"]: (float(row["shift_y_px"]), float(row["shift_x_px"])) for row in csv.DictReader(file)}


def likeness(one: RGB, other: RGB, border: int = 40) -> float:
    """Pearson's r of optical density, without the border that the moved image does not show."""
    inner = [optical_density(rgb)[border:-border, border:-border].mean(axis=-1).ravel() for rgb in (one, other)]
    return float(np.corrcoef(*inner)[0, 1])


if __name__ == "__main__":
    main()
