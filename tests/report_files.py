"""What a training and an evaluation leave behind, in small."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from restain.evaluation.schema import FORMAT, Groups, Score, Scores, Summary, Weights


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_image(path: Path, size: tuple[int, int], seed: int, grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if grey else (*size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def score(mean: float, low: float | None, high: float | None, unit: str, direction: str) -> Score:
    return Score(
        mean=mean,
        std=0.1,
        ci95=None if low is None or high is None else (low, high),
        n=8,
        level="image",
        family="stain",
        protocol="clean",
        direction=direction,
        unit=unit,
        definition="as <defined>",
        source="a paper",
    )


def summary_of(systems: dict[str, Scores], baselines: dict[str, Scores], folders: dict[str, str | None]) -> Summary:
    return Summary(
        format=FORMAT,
        command="restain evaluate --real 'my IHC'",
        created="2025-05-13T08:00:00+00:00",
        restain="0.1.0",
        versions={"numpy": "2.4.6"},
        protocol="clean",
        protocol_definition="at full size",
        protocol_settings={},
        seed=7,
        n=8,
        resolution="40x64",
        groups=Groups(rule="none: every image by itself", count=None),
        mpp=0.5,
        mpp_source="given",
        marker="nuclear",
        marker_source="ER: phantom.json",
        data_set=None,
        split="val",
        files_sha256="beef" * 16,
        folders=folders,
        weights={"fid": Weights(name="inception-fid", sha256="feed" * 16)},
        systems=systems,
        baselines=baselines,
        comparisons=[],
        comparisons_family="Holm over all pairs",
        ranking=None,
        literature=None,
        verdict=dict.fromkeys(systems, "stains too <little>"),
        warnings=["the pixel size may be <wrong>"],
        not_computed={"colour transfer": "needs reference images", "psnr ci95": "is infinite <somewhere>"},
    )
