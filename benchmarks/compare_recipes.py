"""Train several recipes on one data set under one budget, stain its validation split, evaluate it, and tabulate.

    python benchmarks/compare_recipes.py --data DIR --out DIR --recipes asp-dgrank cut --set data.crop=96 ...

Every recipe gets the same overrides and seed. A recipe whose evaluation is already in OUT is not run again, and one
that was interrupted is resumed, so the command can be repeated until the table is whole. Paired recipes see pairs,
unpaired ones (CUT) the same images without their pairing.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restain.data.layouts import find_pairs
from restain.evaluation import evaluate
from restain.evaluation.schema import Scores, read_summary
from restain.images import RGB, write_png
from restain.staining import stain
from restain.training.session import train

METRICS = ("ssim", "psnr", "dab_mean_od_error", "dab_positive_area_error", "dab_pearson_r", "r_content", "r_pathology")
DEFAULT_RECIPES = ("asp-dgrank", "asp-dgrank-no-attention", "asp-dgrank-no-diffusion", "asp-dgrank-baseline", "cut")


def main() -> None:
    """Parse the command line, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in one of the known layouts, with a val split")
    parser.add_argument("--target", default="B", help="which IHC of the folder is learned")
    parser.add_argument(
        "--truth", default=None, help="which IHC the validation is compared with (default: the one that is learned)"
    )
    parser.add_argument("--reduce", type=int, default=1, help="average blocks of N x N pixels before anything else")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", default=DEFAULT_RECIPES)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", help="section.field=value, for every recipe")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    data = arguments.out / "data"
    if not data.exists():
        _prepare(arguments, data)
    for name in arguments.recipes:
        _run(name, arguments, data)
    _print_table(arguments.out, arguments.recipes)
    _draw_fields(arguments.out, arguments.recipes)


def _prepare(arguments: argparse.Namespace, data: Path) -> None:
    """Copy the data into MIST's layout as PNG, reduced; ``truth`` holds the IHC to compare with."""
    aside = data.with_name("data-new")
    shutil.rmtree(aside, ignore_errors=True)
    learned = find_pairs(arguments.data, arguments.target)
    compared = find_pairs(arguments.data, arguments.truth or arguments.target)
    for split in ("train", "val"):
        for record in learned.pairs(split):
            write_png(aside / f"{split}A" / f"{record.id}.png", _reduced(record.source.read(), arguments.reduce))
            write_png(aside / f"{split}B" / f"{record.id}.png", _reduced(record.target.read(), arguments.reduce))
    for record in compared.pairs("val"):
        write_png(aside / "truth" / f"{record.id}.png", _reduced(record.target.read(), arguments.reduce))
    aside.replace(data)


def _reduced(rgb: RGB, factor: int) -> RGB:
    return np.asarray(Image.fromarray(rgb).reduce(factor))


def _run(name: str, arguments: argparse.Namespace, data: Path) -> None:
    root = arguments.out / name
    if (root / "evaluation" / "summary.json").exists():
        return
    stainer = train(data, root / "run", name, overrides=arguments.overrides, resume=True)
    stain(stainer, data / "valA", root / "virtual", overwrite=True)
    for protocol in ("clean", "asp2023"):
        out = root / ("evaluation" if protocol == "clean" else f"evaluation-{protocol}")
        aside = out.with_name(f"{out.name}-new")
        evaluate(
            data / "truth",
            root / "virtual",
            out=aside,
            source=data / "valA",
            reference=data / "trainB",
            protocol=protocol,
        )
        shutil.rmtree(out, ignore_errors=True)
        aside.replace(out)


def _print_table(out: Path, names: list[str]) -> None:
    print("| | " + " | ".join(METRICS) + " |\n|" + "---|" * (len(METRICS) + 1))
    for name in names:
        path = out / name / "evaluation" / "summary.json"
        if not path.exists():
            continue
        summary = read_summary(path)
        print(_row(name, next(iter(summary.systems.values()))))
    for baseline, scores in summary.baselines.items():
        print(_row(baseline, scores))


def _row(name: str, scores: Scores) -> str:
    cells = []
    for metric in METRICS:
        score = scores.get(metric)
        if score is None:
            cells.append("–")
            continue
        text = f"{score.mean:.3f}"
        cells.append(f"{text} [{score.ci95[0]:.3f}, {score.ci95[1]:.3f}]" if score.ci95 else text)
    return f"| {name} | " + " | ".join(cells) + " |"


def _draw_fields(out: Path, names: list[str], count: int = 5, side: int = 192) -> None:
    """``fields.jpg``: a column per field, from least to most true DAB; rows H&E, each recipe, real IHC."""
    with (out / names[0] / "evaluation" / "per_image.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["dab_mean_od_real"]))
    shown = [rows[round(place)]["id"] for place in np.linspace(0, len(rows) - 1, count)]
    folders = [out / "data" / "valA", *(out / name / "virtual" for name in names), out / "data" / "truth"]
    sheet = Image.new("RGB", (count * (side + 4), len(folders) * (side + 4)), "white")
    for row, folder in enumerate(folders):
        for column, field in enumerate(shown):
            picture = Image.open(folder / f"{field}.png").resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, (column * (side + 4), row * (side + 4)))
    sheet.save(out / "fields.jpg", quality=85, subsampling=0)


if __name__ == "__main__":
    main()
