"""Run folders and evaluations that a report cannot read."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
from bad_files import png_bytes
from corpus.registry import Bad, case

from restain.images import write_png

RGB = np.full((16, 16, 3), 200, dtype=np.uint8)
DEEP, DIGITS = "[" * 100_000, '{"a": ' + "7" * 5000 + "}"
FILES: dict[str, tuple[str, str | bytes, tuple[str, ...]]] = {
    "recipe-latin-1": ("recipe.yaml", "name: caf\xe9\n".encode("latin-1"), ("recipe.yaml: is not UTF-8 text",)),
    "recipe-aliases": ("recipe.yaml", "a: &a [*a]\n", ("recipe.yaml", "inside its own anchor")),
    "recipe-deep": ("recipe.yaml", DEEP, ("recipe.yaml", "nests deeper")),
    "environment-list": ("environment.json", "[]", ("environment.json: holds a JSON list; expected an object",)),
    "environment-deep": ("environment.json", DEEP, ("environment.json: is not valid JSON",)),
    "environment-digits": ("environment.json", DIGITS, ("environment.json: is not valid JSON",)),
    "data-words": ("data.json", "none", ("data.json: is not valid JSON",)),
    "data-latin-1": ("data.json", '{"root": "caf\xe9"}'.encode("latin-1"), ("data.json: is not UTF-8 text",)),
    "data-empty": ("data.json", "", ("data.json: is not valid JSON",)),
    "config-deep": ("stainer/config.json", '{"a": ' * 100_000, ("config.json: is not valid JSON",)),
    "log-empty": ("logs/train.csv", "", ("train.csv: is empty; expected a header line",)),
    "log-latin-1": ("logs/train.csv", b"step,\xe9\n1,2\n", ("train.csv: is not UTF-8 text",)),
    "log-column-twice": ("logs/train.csv", "step,a,a\n1,2,3\n", ("train.csv: repeats a column name",)),
    "log-long-row": ("logs/train.csv", "step,a\n1,2,3\n", ("train.csv: has a row with more cells",)),
    "log-vast-cell": ("logs/train.csv", "step\n" + "1" * 200_000, ("train.csv: is not a CSV text file",)),
    "samples-words": ("samples/step-00000001.png", "none", ("step-00000001.png: cannot be read",)),
    "samples-bomb": (
        "samples/step-00000001.png",
        png_bytes(60_000, 60_000, zlib.compress(bytes(10**7)) * 400),
        ("step-00000001.png: declares", "expected at most 89 million"),
    ),
    "attention-bomb": ("attention/f-layer0.png", png_bytes(9000, 9000, b""), ("f-layer0.png: declares 9000 x 9000",)),
    "attention-words": ("attention/f-layer0.png", "none", ("f-layer0.png: cannot be read as an image",)),
}


def _run(folder: Path) -> Path:
    run = folder / "run"
    write_png(run / "attention" / "f-ihc.png", RGB)
    (run / "recipe.yaml").write_text("name: tiny\n")
    return run


@case("runs", FILES)
def reported(folder: Path, file: tuple[str, str | bytes, tuple[str, ...]]) -> Bad:
    name, content, says = file
    path = _run(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Bad(["report", "--run", "run", "--out", "page.html"], says)


@case("runs", {"absent": "gone", "file": "run/recipe.yaml", "other": "run/attention"})
def no_run(folder: Path, name: str) -> Bad:
    _run(folder)
    return Bad(["report", "--run", name, "--out", "page.html"], (name, "run folder"))


@case("runs", {"suffix": "page.txt", "folder": "page.html", "below-a-file": "run/recipe.yaml/page.html"})
def no_page(folder: Path, name: str) -> Bad:
    _run(folder)
    (folder / "page.html").mkdir()
    return Bad(["report", "--run", "run", "--out", name], (name,))


@case("runs")
def a_full_disk(folder: Path) -> Bad:
    _run(folder)
    (folder / "page.html").write_text("of yesterday")
    words = ["report", "--run", "run", "--out", "page.html"]
    return Bad(words, ("page.html: cannot be written (No space left on device)",), full=True)


SUMMARIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("summary.json: is not valid JSON",)),
    "list": ("[]", ("summary.json: holds a JSON list",)),
    "object": ("{}", ("summary.json: field 'format' is None",)),
    "deep": (DEEP, ("summary.json: is not valid JSON",)),
    "incomplete": (json.dumps({"format": 2, "n": 3}), ("summary.json: field",)),
}


def _evaluation(folder: Path, text: str) -> Bad:
    (folder / "scores").mkdir()
    (folder / "scores" / "summary.json").write_text(text)
    return Bad(["report", "--evaluation", "scores", "--out", "page.html"], ())


@case("evaluations", SUMMARIES)
def summary(folder: Path, text: tuple[str, tuple[str, ...]]) -> Bad:
    return Bad(_evaluation(folder, text[0]).words, text[1])


@case("evaluations")
def summary_of_digits(folder: Path) -> Bad:
    return Bad(_evaluation(folder, DIGITS).words, ("summary.json: is not valid JSON",))


@case("evaluations")
def summary_as_a_folder(folder: Path) -> Bad:
    (folder / "scores" / "summary.json").mkdir(parents=True)
    os.mkfifo(folder / "scores" / "per_image.csv")
    return Bad(["report", "--evaluation", "scores", "--out", "page.html"], ("summary.json",))
