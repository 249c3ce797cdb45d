"""In how many areas of the tissue is a virtual stain better than the H&E unchanged and than the colour transfer?

    python benchmarks/by_area.py parts/restain-small parts/asp-dgrank-small

Fields of one area are alike, so that areas are the honest unit of a comparison. Each argument is the folder of a recipe
that ``restain bench`` wrote, with an evaluation for each seed. Scores are averaged over the seeds of a field, and then
over the fields of an area. A sign test over n areas gives p = 2 / 2^n where all agree: 0.008 for eight.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import mean

SCORES: dict[str, tuple[bool, Callable[[Mapping[str, str]], float]]] = {  # whether higher is better, from a row
    "DAB error": (False, lambda row: abs(float(row["dab_mean_od"]) - float(row["dab_mean_od_real"]))),
    "ST-LPIPS": (False, lambda row: float(row["st_lpips_alex"])),
    "SSIM": (True, lambda row: float(row["ssim"])),
    "r in a field": (True, lambda row: float(row["dab_grid_r"])),
}


def main() -> None:
    """Print a line for each recipe, score and baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=Path, metavar="FOLDER", help="seed-*/evaluation lie in it")
    parser.add_argument("--area", default=r"_(\d+_\d+)$", help="regular expression that finds the area in a name")
    arguments = parser.parse_args()
    for recipe in arguments.recipes:
        folders = sorted(recipe.glob("seed-*/evaluation"))
        print(f"\n{recipe.name}, seeds: {len(folders)}")
        virtual = by_area((folder / "per_image.csv" for folder in folders), arguments.area)
        baselines = by_area([folders[0] / "per_image_baselines.csv"], arguments.area)
        (system,) = {system for system, _ in virtual}
        for name, (higher, _) in SCORES.items():
            for baseline in sorted({system for system, _ in baselines}):
                areas = [area for one, area in baselines if one == baseline]
                gains = [virtual[system, area][name] - baselines[baseline, area][name] for area in areas]
                better = sum(gain > 0 if higher else gain < 0 for gain in gains)
                print(f"  {name:13} better than {baseline:16} in {better} of {len(areas)} areas")


def by_area(paths: Iterable[Path], expression: str) -> dict[tuple[str, str], dict[str, float]]:
    """(system, area) -> the mean of each score."""
    fields: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                fields[row["system"], row["id"]].append({name: score(row) for name, (_, score) in SCORES.items()})
    areas: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for (system, field), seeds in fields.items():
        found = re.search(expression, field)
        assert found is not None, f"{field}: {expression} finds no area"
        areas[system, found[1]].append({name: mean(seed[name] for seed in seeds) for name in SCORES})
    return {key: {name: mean(field[name] for field in found) for name in SCORES} for key, found in areas.items()}


if __name__ == "__main__":
    main()
