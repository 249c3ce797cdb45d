"""Recipes that grow, nest, repeat, go round in circles or ask for the impossible."""

import os
from pathlib import Path

from corpus.registry import Bad, case

HEAD = "extends: tiny\nname: mine\n"
TEXTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "aliases": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ("more than 16 aliases",),
    ),
    "merges": ("a: &a {x: 1}\nb:\n  <<: [" + ", ".join(["*a"] * 500) + "]\n", ("more than 16 aliases",)),
    "alias-of-itself": ("a: &a [*a]\n", ("stands inside its own anchor",)),
    "brackets": ("a: " + "[" * 100_000, ("nests deeper than 20 levels",)),
    "braces": ("{a: " * 50_000, ("nests deeper than 20 levels",)),
    "indents": ("".join(" " * n + "a:\n" for n in range(500)), ("nests deeper than 20 levels",)),
    "digits": (HEAD + "seed: " + "7" * 5000 + "\n", ("a number of 5000 characters",)),
    "hex-digits": (HEAD + "seed: 0x" + "f" * 5000 + "\n", ("a number of 5002 characters",)),
    "sexagesimal": (HEAD + "seed: 1" + ":59" * 5000 + "\n", ("a number of",)),
    "key-twice": (HEAD + "seed: 1\nseed: 2\n", ("the key 'seed' is there twice", "line 4")),
    "field-twice": (HEAD + "optim: {lr: 1.0e-4, lr: 1.0e-3}\n", ("the key 'lr' is there twice",)),
    "epochs": (HEAD + "optim: {epochs: 1000000000}\n", ("field optim.epochs is 1000000000", "1000000")),
    "batch": (HEAD + "optim: {batch: 1000000000}\n", ("field optim.batch is 1000000000", "65536")),
    "steps": (HEAD + "optim: {steps: 1e30}\n", ("field optim.steps",)),
    "crops": (HEAD + "validation: {crops: 1000000000}\n", ("field validation.crops is 1000000000", "100000")),
    "seed": (HEAD + f"seed: {10**30}\n", (f"field seed is {10**30}",)),
    "negative-seed": (HEAD + "seed: -1\n", ("field seed is -1",)),
    "nan": (HEAD + "optim: {lr: .nan}\n", ("field optim.lr is nan",)),
    "mpp": (HEAD + "data: {mpp: 0}\n", ("field data.mpp is 0",)),
    "long-value": (HEAD + "optim: {lr: " + "x" * 10_000 + "}\n", ("field optim.lr is 'xxx", "... (10002 characters)")),
    "date": ("extends: 2001-99-99\n", ("not valid YAML",)),
    "tag": (HEAD + "seed: !!bool seven\n", ("not valid YAML",)),
    "python": ("a: !!python/object/apply:os.system [touch owned]\n", ("not valid YAML",)),
    "list-as-key": ("? [a]\n: 1\n", ("not valid YAML",)),
    "number-as-key": (HEAD + "1: 2\n", ("1",)),
    "two-documents": ("a: 1\n---\nb: 2\n", ("not valid YAML",)),
    "tabs": ("a:\n\tb: 1\n", ("not valid YAML",)),
    "latin-1": ("name: caf\xe9\n".encode("latin-1"), ("not valid YAML",)),
    "nul": ("name: a\0b\n", ("not valid YAML",)),
    "binary": (os.urandom(4000), ("not valid YAML",)),
    "empty": ("", ("holds NoneType; expected fields with values",)),
    "list": ("- 1\n", ("holds list; expected fields with values",)),
    "extends-a-list": ("extends: [tiny]\n", ("field extends is ['tiny']; expected a recipe, by name or file",)),
    "extends-nothing": ("extends: nowhere.yaml\n", ("no recipe named nowhere.yaml",)),
    "extends-a-folder": ("extends: .\n", ("is a folder; expected a file",)),
    "extends-a-device": ("extends: /dev/zero\n", ("is a device; expected a file",)),
    "extends-itself": ("extends: mine.yaml\n", ("extends itself", "mine.yaml")),
    "extends-itself-by-a-path": ("extends: ./x/../mine.yaml\n", ("extends itself", "mine.yaml")),
    "extends-itself-by-a-link": ("extends: link.yaml\n", ("extends itself", "mine.yaml")),
    "method": (HEAD + "method: [1]\n", ("field method is [1]; expected",)),
}


@case("recipes", TEXTS)
def shown(folder: Path, text: tuple[str | bytes, tuple[str, ...]]) -> Bad:
    content, says = text
    (folder / "x").mkdir()
    (folder / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "link.yaml").symlink_to("mine.yaml")
    return Bad(["recipes", "show", "mine.yaml"], says)


@case("recipes")
def a_long_chain(folder: Path) -> Bad:
    for number in range(30):
        (folder / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    return Bad(["recipes", "show", "0.yaml"], ("extends itself, or more than 16 others",))


@case("recipes")
def a_vast_file(folder: Path) -> Bad:
    with (folder / "mine.yaml").open("wb") as file:
        file.truncate(10**11)
    return Bad(["recipes", "show", "mine.yaml"], ("mine.yaml", "MB; expected at most 0.25 MB"))


@case("recipes")
def a_pipe(folder: Path) -> Bad:
    os.mkfifo(folder / "mine.yaml")
    return Bad(["recipes", "show", "mine.yaml"], ("mine.yaml: is a named pipe",))


@case("recipes")
def a_misspelt_name(folder: Path) -> Bad:
    return Bad(["recipes", "show", "asp-dgrnk"], ("no recipe named asp-dgrnk", "did you mean asp-dgrank?"))


OVERRIDES = {
    "without-a-value": ("optim.lr", "expected section.field=value"),
    "without-a-field": ("=1", "expected section.field=value"),
    "with-an-empty-part": ("optim..lr=1", "is no field"),
    "deep": (".".join("a" * 10_000) + "=1", "is no field"),
    "nested": ("optim.lr=" + "[" * 10_000, "nests deeper than 20 levels"),
    "digits": ("seed=" + "9" * 5000, "a number of 5000 characters"),
    "aliases": ("a=[&a x" + ", *a" * 20 + "]", "more than 16 aliases"),
    "bytes": ("seed=\udcff", "override"),
    "unknown": ("optim.rl=1", "unknown field optim.rl; allowed here: lr"),
}


@case("recipes", OVERRIDES)
def override(folder: Path, words: tuple[str, str]) -> Bad:
    return Bad(["recipes", "show", "tiny", "--set", words[0]], (words[1],))
