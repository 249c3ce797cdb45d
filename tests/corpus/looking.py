"""What cannot be looked at, registered or cut into pairs, and images that cannot be stained."""

import os
from collections.abc import Callable
from pathlib import Path

from corpus.others import RGB, write_stainer
from corpus.registry import Bad, case
from small_slides import write_slide

from restain.images import write_png

VIEW = ["view", "he.tif", "ihc.tif", "--no-browser", "--port", "0"]


def _slides(folder: Path) -> None:
    for name in ("he.tif", "ihc.tif"):
        write_slide(folder / name, RGB)


TRANSFORMS = {
    "list": ("[]", "holds a JSON list"),
    "deep": ("[" * 100_000, "is not valid JSON"),
    "version": ('{"version": 99}', "version is 99"),
    "latin-1": ('{"version": "\xe9"}', "is not UTF-8 text"),
}


@case("viewer", TRANSFORMS)
def transform(folder: Path, made: tuple[str, str]) -> Bad:
    _slides(folder)
    (folder / "t.json").write_bytes(made[0].encode("latin-1"))
    return Bad([*VIEW, "t.json"], ("t.json: ", made[1]))


@case("viewer", {"nan": "nan", "zero": "0", "vast": "1e9"})
def viewed_mpp(folder: Path, value: str) -> Bad:
    _slides(folder)
    return Bad([*VIEW, "--mpp", value], ("mpp is", "expected 0.05 to 20"))


@case("viewer", {"gone": "gone.png", "pipe": "pipe.png"})
def viewed(folder: Path, name: str) -> Bad:
    os.mkfifo(folder / "pipe.png")
    return Bad(["view", name, "--no-browser", "--port", "0"], (name,))


SLIDE_TABLES = {
    "words": ("none", "has the columns none; missing"),
    "long-row": ("patient,he,ihc,stain\np,he.tif,ihc.tif,ER,more\n", "line 2: has 5 cells; expected 4"),
    "quote": ('patient,he,ihc,stain\n"p,he.tif,ihc.tif,ER\n', "is not CSV"),
    "scale": ("patient,he,ihc,stain,he_mpp\np,he.tif,ihc.tif,ER,half\n", "he_mpp is 'half'"),
    "gone": ("patient,he,ihc,stain\np,gone.tif,ihc.tif,ER\n", "he 'gone.tif' does not exist"),
}


@case("pairs", SLIDE_TABLES)
def slide_table(folder: Path, made: tuple[str, str]) -> Bad:
    _slides(folder)
    (folder / "slides.csv").write_text(made[0])
    return Bad(["pairs", "--slides", "slides.csv", "--out", "out"], ("slides.csv", made[1]))


@case("pairs")
def slide_table_is_a_pipe(folder: Path) -> Bad:
    os.mkfifo(folder / "slides.csv")
    return Bad(["pairs", "--slides", "slides.csv", "--out", "out"], ("slides.csv: is a named pipe",))


@case("pairs", {"words": "none", "list": "[]", "others": "{}"})
def results_of_others(folder: Path, text: str) -> Bad:
    _slides(folder)
    (folder / "slides.csv").write_text("patient,he,ihc,stain\np,he.tif,ihc.tif,ER\n")
    (folder / "out").mkdir()
    (folder / "out" / "run.json").write_text(text)
    return Bad(["pairs", "--slides", "slides.csv", "--out", "out"], ("out",))


STAIN = ["stain", "--stainer", "stainer", "--input", "in", "--out", "out", "--device", "cpu"]
RECORDS: dict[str, str] = {"words": "none", "deep": "[" * 100_000, "others": "{}"}


@case("stain", RECORDS)
def record_of_others(folder: Path, text: str) -> Bad:
    """It is refused before the work."""
    write_stainer(folder)
    write_png(folder / "in" / "he.png", RGB)
    (folder / "out").mkdir()
    (folder / "out" / "staining.json").write_text(text)
    return Bad(STAIN, ("out/staining.json",))


@case("stain")
def a_pipe_among_images(folder: Path) -> Bad:
    """One that cannot be read does not stop the others."""
    write_stainer(folder)
    write_png(folder / "in" / "he.png", RGB)
    os.mkfifo(folder / "in" / "pipe.png")
    return Bad(STAIN, ("pipe.png: is a named pipe",), status=1, leaves=("out", "out/he.png", "out/staining.json"))


@case("stain")
def a_folder_as_the_export(folder: Path) -> Bad:
    write_stainer(folder)
    (folder / "out.onnx").mkdir()
    return Bad(["export", "--stainer", "stainer", "--out", "out.onnx"], ("out.onnx: is a folder",))


NO_WEIGHTS: dict[str, Callable[[Path], object]] = {
    "words": lambda path: path.write_text("none"),
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
}


@case("stain", NO_WEIGHTS)
def imported(folder: Path, make: Callable[[Path], object]) -> Bad:
    make(folder / "net_G.pth")
    return Bad(["import", "net_G.pth", "--from", "asp", "--out", "stainer"], ("net_G.pth: ",))


@case("evaluation", {"others": "{}", "list": "[]", "words": "none"})
def summary_of_others(folder: Path, text: str) -> Bad:
    write_png(folder / "real" / "a.png", RGB)
    write_png(folder / "fake" / "a.png", RGB)
    (folder / "out").mkdir()
    (folder / "out" / "summary.json").write_text(text)
    words = ["evaluate", "--real", "real", "--fake", "fake", "--out", "out", "--device", "cpu", "--metrics", "ssim"]
    return Bad(words, ("out/summary.json: was not written by restain evaluate",))
