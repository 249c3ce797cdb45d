"""CSV manifests and folders that cannot be trained on."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from corpus.registry import Bad, case

from restain.images import write_png

RGB = np.zeros((40, 40, 3), dtype=np.uint8)
HEAD = "id,source,target,split\n"
MANIFESTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("has the columns none; missing id, source, target, split",)),
    "header-only": (HEAD, ("holds no images",)),
    "without-a-column": ("id,source,split\na,he.png,train\n", ("missing target",)),
    "column-twice": ("id,source,target,split,id\na,he.png,,train,b\n", ("repeats a column",)),
    "latin-1": ((HEAD + "caf\xe9,he.png,,train\n").encode("latin-1"), ("is not UTF-8 text", "0xe9")),
    "utf-16": ((HEAD + "a,he.png,,train\n").encode("utf-16"), ("is not UTF-8 text",)),
    "long-row": (HEAD + "a,he.png,,train,more\n", ("line 2: has 5 cells; expected 4",)),
    "short-row": (HEAD + "a,he.png\n", ("line 2: has 2 cells; expected 4",)),
    "vast-cell": (HEAD + "a," + "x" * 200_000 + ",,train\n", ("line 2: is not CSV", "131072")),
    "open-quote": (HEAD + 'a,"he.png,,train\nb,he.png,,train\n', ("is not CSV",)),
    "nul": (HEAD + "a\0b,he.png,,train\n", ("line 2: the id 'a\\x00b' holds a control character",)),
    "line-in-an-id": (HEAD + '"a\nb",he.png,,train\n', ("holds a control character",)),
    "no-id": (HEAD + " ,he.png,,train\n", ("line 2: the id is empty",)),
    "long-id": (HEAD + "a" * 300 + ",he.png,,train\n", ("has 300 characters; expected at most 200",)),
    "id-above": (HEAD + "../../a,he.png,,train\n", ("the id '../../a' leaves its folder",)),
    "id-within-above": (HEAD + "a/../../b,he.png,,train\n", ("leaves its folder",)),
    "absolute-id": (HEAD + "/etc/a,he.png,,train\n", ("leaves its folder",)),
    "hidden-id": (HEAD + ".a,he.png,,train\n", ("leaves its folder or is hidden",)),
    "backslash": (HEAD + "a\\b,he.png,,train\n", ("holds a backslash",)),
    "id-twice": (HEAD + "a,he.png,,train\na,he.png,,train\n", ("line 3: the id 'a' is there twice",)),
    "id-in-two-cases": (HEAD + "Field,he.png,,train\nfield,he.png,,train\n", ("'Field' and 'field'", "case only")),
    "split": (HEAD + "a,he.png,,training\n", ("split is 'training'; expected one of train, val, test",)),
    "no-image": (HEAD + "a,,,train\n", ("source and target are both empty",)),
    "absent-image": (HEAD + "a,gone.png,,train\n", ("source 'gone.png' cannot be used", "no such file")),
    "folder-as-image": (HEAD + "a,he.png,below,train\n", ("target 'below' cannot be used", "is a folder")),
    "pipe-as-image": (HEAD + "a,pipe,,train\n", ("is a named pipe",)),
    "nul-in-a-path": (HEAD + "a,he\0.png,,train\n", ("NUL",)),
    "long-path": (HEAD + "a," + "x" * 5000 + ",,train\n", ("cannot be opened (File name too long)",)),
}


@case("manifests", MANIFESTS)
def inspected(folder: Path, text: tuple[str | bytes, tuple[str, ...]]) -> Bad:
    content, says = text
    write_png(folder / "he.png", RGB)
    (folder / "below").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return Bad(["data", "inspect", "data.csv"], ("data.csv", *says) if "holds no" not in says[0] else says)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "data")


def _vast(folder: Path) -> None:
    with (folder / "data").open("wb") as file:
        file.truncate(10**10)


def _cases(folder: Path) -> None:
    for name in ("trainA/a.png", "trainA/B.png", "trainA/c.png", "trainB/A.png", "trainB/b.png", "trainB/c.png"):
        write_png(folder / "data" / name, RGB)


def _suffixes(folder: Path) -> None:
    for name in ("trainA/a.png", "trainA/a.jpg", "trainB/a.png"):
        write_png(folder / "data" / name, RGB)


def _empty(folder: Path) -> None:
    (folder / "data" / "trainA").mkdir(parents=True)
    (folder / "data" / "trainB").mkdir()


ROOTS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "absent": (lambda _: None, ("data: no such file or folder",)),
    "pipe": (_pipe, ("data: is a named pipe; expected a file",)),
    "vast": (_vast, ("expected at most 64 MB",)),
    "picture": (lambda folder: write_png(folder / "data", RGB), ("data: is not UTF-8 text",)),
    "nothing-known": (lambda folder: (folder / "data/he").mkdir(parents=True), ("no layout recognised",)),
    "cases": (_cases, ("differ in upper and lower case: B and b, a and A; expected equal names",)),
    "suffixes": (_suffixes, ("has the same name as a.jpg",)),
    "no-images": (_empty, ("holds no images",)),
}


@case("layouts", ROOTS)
def root(folder: Path, made: tuple[Callable[[Path], object], tuple[str, ...]]) -> Bad:
    make, says = made
    make(folder)
    return Bad(["data", "inspect", "data"], says)


@case("layouts")
def a_target_that_is_no_name(folder: Path) -> Bad:
    _cases(folder)
    return Bad(["data", "inspect", "data", "--target", "/../trainA"], ("target '/../trainA'",))


@case("layouts")
def markup_in_a_name(folder: Path) -> Bad:
    """The table's title and its lines hold the name as it is; an image without partner is a warning."""
    write_png(folder / "[/b]:bomb:" / "trainA" / "x[/red]\n.png", RGB)
    write_png(folder / "[/b]:bomb:" / "trainB" / "y.png", RGB)
    (folder / "[/b]:bomb:" / "trainA" / "z.png").touch()
    return Bad(["data", "inspect", "[/b]:bomb:"], ("[/b]:bomb:: layout mist", "x[/red]", "z.png: cannot be read"), 1)


@case("layouts")
def bytes_in_a_name(folder: Path) -> Bad:
    base = folder / os.fsdecode(b"caf\xe9")
    write_png(base / "trainA" / "x.png", RGB)
    (base / "trainB").mkdir()
    (base / "trainB" / "x.png").touch()
    return Bad(
        ["data", "inspect", str(base), "--out", "out"], ("caf\\udce9", "Training cannot start."), 1, ("out", "out/*")
    )
