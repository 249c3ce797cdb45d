"""Slides that lie or are cut off, and what is given with them or lies where their results go."""

import os
from collections.abc import Callable
from pathlib import Path

import tifffile
from bad_files import tiff_bytes
from corpus.others import RGB, write_stainer
from corpus.registry import Bad, case
from small_slides import cut_tile_off, draw_tissue, write_slide, write_svs

SLIDE = ["slide", "he.tif", "--stainer", "stainer", "--out", "out", "--device", "cpu", "--tile", "64"]
SUMMARY = ("out", "out/summary.*", "out/qupath.groovy")  # what is written about slides that failed


def _no_index(folder: Path) -> None:
    """The offsets of its tiles lie behind the end of the file."""
    write_svs(folder / "he.tif", draw_tissue(300, 300))
    content = bytearray((folder / "he.tif").read_bytes())
    with tifffile.TiffFile(folder / "he.tif") as file:
        place = file.pages.first.tags["TileOffsets"].offset
    content[place + 4 : place + 8] = (2**32 - 16).to_bytes(4, "little")
    (folder / "he.tif").write_bytes(content)


def _cut_slide(folder: Path) -> None:
    big = RGB.repeat(8, axis=0).repeat(8, axis=1)
    tifffile.imwrite(folder / "he.tif", big, photometric="rgb", tile=(256, 256), resolution=(20_000, 20_000))
    (folder / "he.tif").write_bytes((folder / "he.tif").read_bytes()[:100_000])


SLIDES_MADE: dict[str, Callable[[Path], object]] = {
    "cut": _cut_slide,
    "petabytes": lambda folder: (folder / "he.tif").write_bytes(tiff_bytes(2**31, 2**31)),
    "pipe": lambda folder: os.mkfifo(folder / "he.tif"),
    "no-index": _no_index,
    "words": lambda folder: (folder / "he.tif").write_text("none"),
    "half-a-header": lambda folder: (folder / "he.tif").write_bytes(b"II*\0\x08\0"),
    "eps": lambda folder: (folder / "he.tif").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\nshowpage\n"
    ),
    "absent": lambda folder: None,
}


@case("slides", {name: make for name, make in SLIDES_MADE.items() if name not in ("cut", "no-index")})
def checked(folder: Path, make: Callable[[Path], object]) -> Bad:
    make(folder)
    return Bad(["check", "he.tif"], ("he.tif",))


@case("slides", {"cut": "the file at byte 100000", "no-index": "its first directory is damaged"})
def checked_in_part(folder: Path, sentence: str) -> Bad:
    """libvips opens a file that was cut off, the others do not: a table that says so, and 1."""
    SLIDES_MADE["cut" if "100000" in sentence else "no-index"](folder)
    return Bad(["check", "he.tif"], ("problem: tifffile cannot open it", sentence), status=1)


@case("slides", {name: SLIDES_MADE[name] for name in ("absent", "pipe")})
def not_there(folder: Path, make: Callable[[Path], object]) -> Bad:
    write_stainer(folder)
    make(folder)
    words = ["slide", "--stainer", "stainer", "--input", "he.tif", "--out", "out", "--mpp", "0.5", "--dry-run"]
    return Bad([*words, "--device", "cpu"], ("he.tif",))


UNREADABLE = {
    "cut": "cannot be opened as a slide (its pixels end at byte 786752, the file at byte 100000)",
    "petabytes": "declares a tile or strip of 2147483648 x 2147483648 pixels; expected at most 89 million",
    "no-index": "cannot be decoded at level 0, x 0, y 0, 300 x 300 pixels (it declares 300 x 300 pixels",
    "words": "cannot be opened as a slide; its first bytes are those of no known format",
    "half-a-header": "cannot be opened as a slide (",
    "eps": "cannot be opened as a slide; its first bytes are those of no known format",
}


@case("slides", {name: (SLIDES_MADE[name], sentence) for name, sentence in UNREADABLE.items()})
def dry_run(folder: Path, made: tuple[Callable[[Path], object], str]) -> Bad:
    """A slide that cannot be read is named, and the dry run ends with 1."""
    make, sentence = made
    return Bad(not_there(folder, make).words, (f"he.tif: {sentence}",), status=1)


@case("slides")
def a_tile_cut_off(folder: Path) -> Bad:
    """Its slide fails, where the decoder would have filled it with grey."""
    write_stainer(folder)
    cut_tile_off(write_svs(folder / "he.svs", draw_tissue(512, 512)), 0)
    words = ["slide", "--stainer", "stainer", "he.svs", "--out", "out", "--tile", "256", "--device", "cpu"]
    return Bad(words, ("he.svs: cannot be decoded", "stream of a tile is cut off"), status=1, leaves=SUMMARY)


@case("slides", {"zero": "0", "tiny": "1e-9", "nan": "nan", "infinite": "inf", "negative": "-1"})
def slide_mpp(folder: Path, value: str) -> Bad:
    write_stainer(folder)
    tifffile.imwrite(folder / "he.tif", RGB, photometric="rgb")
    words = ["slide", "--stainer", "stainer", "--input", "he.tif", "--out", "out", "--mpp", value, "--dry-run"]
    return Bad([*words, "--device", "cpu"], ("mpp",))


RING = '{"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 90]]]}'
CONTOURS = {
    "words": ("none", "cannot be read as GeoJSON"),
    "deep": ("[" * 100_000, "cannot be read as GeoJSON"),
    "digits": ('{"a": ' + "7" * 5000 + "}", "cannot be read as GeoJSON"),
    "no-polygon": ('{"type": "Point", "coordinates": [1, 2]}', "holds no polygon"),
    "nan": ('{"type": "Polygon", "coordinates": [[[NaN, 0], [9, 0], [9, 9]]]}', "expected at least three corners"),
    "one-corner": ('{"type": "Polygon", "coordinates": [[[0, 0]]]}', "expected at least three corners"),
    "no-scale": ('{"type": "FeatureCollection", "mpp": 0, "features": [' + RING + "]}", "mpp is 0; expected microns"),
    "latin-1": ('{"type": "\xe9"}', "is not UTF-8 text"),
}


@case("slides", CONTOURS)
def region(folder: Path, made: tuple[str, str]) -> Bad:
    """The slide that it belongs to fails."""
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    (folder / "roi.geojson").write_bytes(made[0].encode("latin-1"))
    return Bad([*SLIDE, "--roi", "roi.geojson"], ("roi.geojson: ", made[1]), status=1, leaves=SUMMARY)


@case("slides", {f"{option}-{name}": (option, name) for option in ("roi", "tissue") for name in ("gone", "pipe")})
def contours_not_there(folder: Path, given: tuple[str, str]) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    os.mkfifo(folder / "pipe")
    return Bad([*SLIDE, f"--{given[0]}", given[1]], (given[1],))


TABLES = {
    "words": ("none", "has the columns none; missing slide, mpp"),
    "others": ("slide,mpp\nother.svs,0.5\n", "names none of the 1 slides"),
    "twice": ("slide,mpp,mpp\nhe.tif,0.5,9\n", "repeats the column 'mpp'"),
    "long-row": ("slide,mpp\nhe.tif,0.5,9\n", "line 2: has 3 cells; expected 2"),
    "vast-cell": ("slide,mpp\n" + "a" * 200_000 + ",0.5\n", "is not CSV"),
    "infinite": ("slide,mpp\nhe.tif,inf\n", "line 2: mpp is 'inf'"),
}


@case("slides", TABLES)
def resolutions(folder: Path, made: tuple[str, str]) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    (folder / "mpp.csv").write_text(made[0])
    return Bad([*SLIDE, "--mpp-table", "mpp.csv"], ("mpp.csv", made[1]))


IN_THE_WAY = ("he.ome.tif", "he.json", "he.preview.png", ".he.unfinished")


@case("slides", {name: name for name in IN_THE_WAY})
def a_pipe_in_the_way(folder: Path, name: str) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    (folder / "out").mkdir()
    os.mkfifo(folder / "out" / name)
    return Bad([*SLIDE, "--stain-background"], (name,), status=1, leaves=SUMMARY)


@case("slides", {name: name for name in ("summary.json", "summary.csv", "qupath.groovy")})
def a_pipe_for_the_summary(folder: Path, name: str) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    (folder / "out").mkdir()
    os.mkfifo(folder / "out" / name)
    return Bad(SLIDE, (f"{name}: was not written by restain",))


@case("slides")
def files_of_others_among_finished_tiles(folder: Path) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    (folder / "out" / ".he.unfinished").mkdir(parents=True)
    (folder / "out" / ".he.unfinished" / "thesis.txt").write_text("mine")
    return Bad(SLIDE, ("thesis.txt: was not written by restain",), status=1, leaves=SUMMARY)


@case("slides")
def a_full_disk(folder: Path) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    sentence = "out/summary.json: cannot be written (No space left on device)"
    return Bad(SLIDE, (sentence,), leaves=("out",), full=True)


@case("slides")
def no_slides(folder: Path) -> Bad:
    write_stainer(folder)
    return Bad(["slide", *SLIDE[2:]], ("no slides are named; expected files or folders",))


@case("slides")
def a_long_name(folder: Path) -> Bad:
    """Its tissue could not be written at the end."""
    write_stainer(folder)
    write_slide(folder / ("x" * 242 + ".tif"), RGB)
    return Bad(["slide", ".", *SLIDE[2:]], ("results would have names of 257 bytes; expected at most 250",))


@case("slides", {"small": "8", "vast": "1000000000", "odd": "65"})
def tile(folder: Path, value: str) -> Bad:
    write_stainer(folder)
    write_slide(folder / "he.tif", RGB)
    return Bad([*SLIDE, "--tile", value], (f"tile is {value}",))
