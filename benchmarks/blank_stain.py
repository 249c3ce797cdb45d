"""What a blank image scores: the perfect stain against an empty slide, evaluated on the next section of the tissue.

    python benchmarks/blank_stain.py [--marker er] [--pairs 24] [--size 256] [--out DIR]

Data sets of H&E and IHC are pairs of consecutive sections: cells differ and what is there is displaced. The phantom
draws such a set and, since it is drawn, also the IHC of the very section that the H&E shows, which no laboratory can
have. That one is the perfect virtual stain. It is evaluated against the next section like any other system, beside a
white image, one flat colour (the mean of the real stain of each field) and the perfect stain out of focus.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.ndimage import gaussian_filter

import restain
from restain.images import RGB, list_images, read_rgb, write_png

BLUR = 6.0  # pixels
SHOWN = ("ssim", "psnr", "ssim_shift", "dab_positive_area_error", "dab_pearson_r")


def blurred(rgb: RGB) -> RGB:
    return np.asarray(gaussian_filter(rgb, (BLUR, BLUR, 0)))


def flat(rgb: RGB) -> RGB:
    return np.broadcast_to(rgb.mean(axis=(0, 1)).round().astype(np.uint8), rgb.shape).copy()


def make_systems(root: Path, real: Path, aligned: Path) -> dict[str, Path]:
    """The folders that are evaluated, by name."""
    for path in list_images(real):
        next_section, own_section = read_rgb(path), read_rgb(aligned / path.name)
        write_png(root / "blank" / path.name, np.full_like(next_section, 255))
        write_png(root / "flat" / path.name, flat(next_section))
        write_png(root / "perfect" / path.name, own_section)
        write_png(root / "perfect, blurred" / path.name, blurred(own_section))
    return {name: root / name for name in ("perfect", "perfect, blurred", "flat", "blank")}


def main() -> None:
    """Draw, evaluate, print a line a system."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marker", default="er")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, help="keep the evaluation here")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        options = restain.PhantomOptions(val_fraction=1.0, consecutive=restain.Consecutive())
        restain.phantom(arguments.marker, root / "tissue", arguments.pairs, arguments.size, seed=0, options=options)
        real = root / "tissue" / "valB"
        systems = make_systems(root / "systems", real, root / "tissue" / "truth" / "val" / "aligned")
        choice = restain.EvaluationOptions(metrics=["pixels", "stain"], groups="none")
        out = arguments.out or root / "evaluation"
        summary = restain.evaluate(real, systems, out=out, source=root / "tissue" / "valA", options=choice).summary
    print(f"{'system':18}" + "".join(f"{name:>26}" for name in (*SHOWN, "mean rank")))
    for name, scores in (summary.systems | summary.baselines).items():
        means = [scores[metric].mean if metric in scores else None for metric in SHOWN]
        values = [*means, summary.ranking.mean_rank[name] if summary.ranking else None]
        print(f"{name:18}" + "".join(f"{'-' if value is None else format(value, '.3f'):>26}" for value in values))


if __name__ == "__main__":
    main()
