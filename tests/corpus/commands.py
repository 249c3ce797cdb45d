"""Words of the command line, folders that cannot be written, weights, virtual tissue."""

import os
from pathlib import Path

from corpus.registry import Bad, case

USES = {
    "command": (["trian"], "Did you mean 'train'"),
    "option": (["train", "--dta", "x"], "--data"),
    "missing": (["train", "--data", "x"], "Missing option '--out'"),
    "device": (["train", "--data", "x", "--out", "y", "--device", "tpu"], "'tpu' is not one of"),
    "precision": (["stain", "--stainer", "s", "--input", "i", "--out", "o", "--precision", "8"], "'8' is not one of"),
    "marker": (["phantom", "--marker", "cd3", "--out", "o"], "'cd3' is not one of 'her2', 'er', 'pr', 'ki67'"),
    "protocol": (
        ["evaluate", "--real", "r", "--fake", "f", "--out", "o", "--protocol", "mine"],
        "'mine' is not one of",
    ),
    "number": (["phantom", "--marker", "er", "--out", "o", "--pairs", "many"], "Invalid value for '--pairs'"),
    "markup": (["recipes", "show", "[/b]"], "no recipe named [/b] and no such file"),
    "bytes": (["recipes", "show", "caf\udce9"], "no recipe named caf\\udce9"),
    "lines": (["recipes", "show", "a\nb\x1b[2J"], "no recipe named a\\nb\\x1b[2J"),
    "nul": (["recipes", "show", "a\0b"], "no recipe named a\\x00b"),
    "long": (["recipes", "show", "x" * 5000], "no such file"),
}


@case("usage", USES)
def words(folder: Path, use: tuple[list[str], str]) -> Bad:
    return Bad(use[0], (use[1],))


TISSUE = {
    "size-zero": (["--size", "0"], "size: 0 pixels is out of range"),
    "size-vast": (["--size", "1000000000"], "size: 1000000000 pixels is out of range"),
    "slide-vast": (["--slide", "--size", "1000000000"], "size: 1000000000 pixels is out of range"),
    "no-pairs": (["--pairs", "0"], "pairs: 0 is out of range"),
    "many-pairs": (["--pairs", "1000000000"], "pairs: 1000000000 is out of range"),
    "negative-seed": (["--seed", "-1"], "seed: -1 is out of range"),
    "vast-seed": (["--seed", "9" * 30], "seed: 99999"),
    "mpp-zero": (["--mpp", "0"], "mpp: 0.0 is out of range"),
    "mpp-nan": (["--mpp", "nan"], "mpp: nan is out of range"),
    "mpp-infinite": (["--mpp", "inf"], "mpp: inf is out of range"),
    "share": (["--val-fraction", "2"], "val_fraction: 2.0 is out of range"),
    "quality": (["--jpeg-quality", "0"], "jpeg_quality: 0 is out of range"),
    "noise": (["--noise", "nan"], "noise: nan is out of range"),
    "warp": (["--consecutive", "--warp", "1e9"], "warp: 1000000000.0 is out of range"),
}


@case("tissue", TISSUE)
def option(folder: Path, option: tuple[list[str], str]) -> Bad:
    return Bad(["phantom", "--marker", "er", "--out", "tissue", *option[0]], (option[1],))


OUT = {
    "filled": ("mine", "mine: is not empty"),
    "file": ("mine/notes.txt", "notes.txt: is not empty"),
    "below-a-file": ("mine/notes.txt/tissue", "tissue: cannot be written ("),
    "device": ("/dev/null/tissue", "/dev/null/tissue: cannot be written ("),
    "long": ("x" * 300, "File name too long"),
}


@case("tissue", OUT)
def out(folder: Path, out: tuple[str, str]) -> Bad:
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    return Bad(["phantom", "--marker", "er", "--pairs", "1", "--size", "64", "--out", out[0]], (out[1],))


@case("tissue")
def a_full_disk(folder: Path) -> Bad:
    words = ["phantom", "--marker", "er", "--pairs", "1", "--size", "64", "--out", "tissue"]
    return Bad(words, ("cannot be written (No space left on device)", "tissue"), full=True)


WEIGHTS = {
    "unknown-path": (["path", "nothing"], "'nothing' is not known; expected one of"),
    "unknown-fetch": (["fetch", "nothing"], "'nothing' is not known; expected one of"),
    "absent": (["add", "gone.pth"], "gone.pth: no such file"),
    "folder": (["add", "mine"], "mine: is a folder; expected a file"),
    "pipe": (["add", "pipe"], "pipe: is a named pipe; expected a file"),
    "other-bytes": (["add", "mine/vgg.pth"], "vgg.pth: has SHA-256"),
    "other-name": (["add", "mine/vgg.pth", "--as", "vgg"], "'vgg' is not known"),
}


@case("weights", WEIGHTS)
def weights(folder: Path, use: tuple[list[str], str]) -> Bad:
    (folder / "mine").mkdir()
    (folder / "mine" / "vgg.pth").write_bytes(b"no weights")
    os.mkfifo(folder / "pipe")
    return Bad(["weights", *use[0]], (use[1],), environment={"RESTAIN_WEIGHTS": str(folder / "cache")})


@case("weights")
def folder_is_a_file(folder: Path) -> Bad:
    (folder / "cache").touch()
    return Bad(["weights", "list"], ("is a file; expected a folder",), environment={"RESTAIN_WEIGHTS": "cache"})
