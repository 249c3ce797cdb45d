"""A small run and a small evaluation, as training and evaluation leave them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_files import score, summary_of, write_image, write_table

from restain.evaluation.schema import to_json

NAMES = [f"slide1/field_{index}" for index in range(8)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    (root / "stainer").mkdir(parents=True)
    (root / "recipe.yaml").write_text("name: tiny\noptim:\n  lr: 2.0e-4  # <b>\n", encoding="utf-8")
    files = {
        "environment.json": {
            "sessions": [
                {
                    "started": "2025-05-12T10:11:12+00:00",
                    "first_step": 0,
                    "restain": "0.1.0",
                    "torch": "2.9.0",
                    "python": "3.12.3",
                    "platform": "Linux",
                    "device": "cpu",
                    "processes": 1,
                    "threads": 2,
                    "git": {"commit": "0123abc", "dirty": True},
                    "command": "restain train --recipe tiny",
                }
            ]
        },
        "data.json": {
            "root": "/data/ck",
            "layout": "mist",
            "fingerprint": "f00d" * 16,
            "splits": {"train": 42, "val": 8},
        },
        "stainer/config.json": {"stain": "HER2", "mpp": 0.5, "recipe": "tiny", "weights_sha256": "cafe" * 16},
    }
    for name, value in files.items():
        (root / name).write_text(json.dumps(value), encoding="utf-8")
    rng = np.random.default_rng(0)
    write_table(
        root / "logs" / "train.csv",
        [
            {"step": 10 * (i + 1), "epoch": 0, "progress": i / 30, "lr": 2e-4, "images_per_second": 4.0}
            | {"D": rng.normal(0.5, 0.1), "G_patch_nce": rng.normal(3, 0.2), "horizon": 10 + i}
            for i in range(30)
        ],
    )
    for step in (10, 100, 200, 300, 400, 500):
        write_image(root / "samples" / f"step-{step:08d}.png", (32, 48), step)
    write_image(root / "attention" / "field_[1]-ihc.png", (32, 32), 1)
    write_image(root / "attention" / "field_[1]-layer00.png", (32, 32), 2, grey=True)
    write_image(root / "attention" / "field_[1]-layer16.png", (8, 8), 3, grey=True)
    return root


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    root = tmp_path / "evaluation"
    ssim = (0.34, 0.31, 0.38, 0.33, 0.32, 0.39, 0.35, 0.36)
    rows = []
    for index, name in enumerate(NAMES):
        write_image(tmp_path / "HE" / f"{name}.jpg", (40, 64), 10 + index)
        write_image(tmp_path / "virtual" / f"{name}.png", (40, 64), 30 + index)
        write_image(tmp_path / "IHC" / f"{name}.tif", (40, 64), 50 + index)
        real = 0.1 + 0.05 * index
        rows.append(
            {"id": name, "system": "virtual", "ssim": ssim[index], "psnr": "inf", "dab_mean_od": real + 0.01}
            | {"dab_mean_od_real": real, "dab_positive_area": real, "dab_positive_area_real": real}
        )
    write_table(root / "per_image.csv", rows)
    virtual = {
        "ssim": score(0.34567, 0.31234, 0.37891, "", "higher"),
        "psnr": score(math.inf, None, None, "dB", "higher"),
        "dab_mean_od_error": score(0.0123, 0.0101, 0.0145, "OD", "lower"),
        "dab_iod_error": score(15456.2, 12368.7, 19002.1, "OD px", "lower"),
        "dab_mean_od_real": score(0.275, 0.21, 0.34, "OD", "none"),
    }
    unchanged = {
        "ssim": score(0.41111, 0.38222, 0.43333, "", "higher"),
        "dab_mean_od_error": score(0.0812, 0.0701, 0.0945, "OD", "lower"),
        "dab_mean_od_real": score(0.275, 0.21, 0.34, "OD", "none"),
    }
    folders: dict[str, str | None] = {
        "real": str(tmp_path / "IHC"),
        "fake": str(tmp_path / "virtual"),
        "source": str(tmp_path / "HE"),
        "reference": None,
    }
    summary = summary_of({"virtual": virtual}, {"H&E unchanged": unchanged}, folders)
    (root / "summary.json").write_text(json.dumps(to_json(summary)), encoding="utf-8")
    return root
