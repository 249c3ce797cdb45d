"""Train several recipes on one data set under one budget, stain its validation split, judge it, and tabulate.

    python benchmarks/compare_recipes.py --data DIR --out DIR --recipes asp-dgrank cut --set data.crop=96 ...

Every recipe gets the same overrides and seed. A recipe whose evaluation is already in OUT is not run again, and one
that was interrupted is resumed, so the command can be repeated until the table is whole. Paired recipes see pairs,
unpaired ones (CUT) the same images without their pairing.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from restain.data.layouts import find_pairs
from restain.evaluation import evaluate
from restain.images import write_png
from restain.staining import stain
from restain.training import train

FIGURES = ("ssim", "psnr", "dab_mean_od_error", "dab_positive_area_error", "dab_pearson_r", "r_content", "r_pathology")
DEFAULT_RECIPES = ("asp-dgrank", "asp-dgrank-no-attention", "asp-dgrank-no-diffusion", "asp-dgrank-baseline", "cut")


def main() -> None:
    """Parse the command line, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in one of the known layouts, with a val split")
    parser.add_argument("--target", default="B", help="which IHC of the folder is learned")
    parser.add_argument("--truth", default=None, help="which IHC judges (default: the one that is learned)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", default=DEFAULT_RECIPES)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", help="section.field=value, for every recipe")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    folders = _judging_folders(arguments)
    for name in arguments.recipes:
        _run(name, arguments, folders)
    _print_table(arguments.out, arguments.recipes)


def _judging_folders(arguments: argparse.Namespace) -> dict[str, Path]:
    """The validation fields and the training IHC as plain folders of PNG, whatever the layout was."""
    manifest = find_pairs(arguments.data, arguments.truth or arguments.target)
    folders = {name: arguments.out / "fields" / name for name in ("source", "real", "reference")}
    if not all(folder.is_dir() for folder in folders.values()):
        for record in manifest.pairs("val"):
            write_png(folders["source"] / f"{record.id}.png", record.source.read())
            write_png(folders["real"] / f"{record.id}.png", record.target.read())
        for record in manifest.pairs("train"):
            write_png(folders["reference"] / f"{record.id}.png", record.target.read())
    return folders


def _run(name: str, arguments: argparse.Namespace, folders: dict[str, Path]) -> None:
    root = arguments.out / name
    if (root / "evaluation" / "summary.json").exists():
        return
    overrides = [f"data.target={arguments.target}", *arguments.overrides]
    stainer = train(arguments.data, root / "run", name, overrides, resume=True)
    stain(stainer, folders["source"], root / "virtual", overwrite=True)
    for protocol in ("clean", "asp2023"):
        out = root / ("evaluation" if protocol == "clean" else f"evaluation-{protocol}")
        aside = out.with_name(f"{out.name}-new")
        evaluate(folders["real"], root / "virtual", aside, folders["source"], folders["reference"], protocol)
        shutil.rmtree(out, ignore_errors=True)
        aside.replace(out)


def _print_table(out: Path, names: list[str]) -> None:
    print("| | " + " | ".join(FIGURES) + " |\n|" + "---|" * (len(FIGURES) + 1))
    for name in names:
        path = out / name / "evaluation" / "summary.json"
        if not path.exists():
            continue
        summary = json.loads(path.read_text())
        print(_row(name, summary["metrics"]))
    for yardstick, metrics in summary["yardsticks"].items():
        print(_row(yardstick, metrics.get("metrics", metrics)))


def _row(name: str, metrics: dict[str, dict[str, object]]) -> str:
    cells = []
    for figure in FIGURES:
        entry = metrics.get(figure)
        if entry is None:
            cells.append("–")
            continue
        interval = entry["ci95"]
        text = f"{entry['mean']:.3f}"
        cells.append(text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]")
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
