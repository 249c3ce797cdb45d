"""Tables in CSV files: rows by the names of their columns, and one sentence for everything else."""

from pathlib import Path

import pytest

from restain.csv_text import read_table
from restain.errors import RestainError


def test_rows_come_with_their_place_and_without_spaces(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('\ufeffslide, mpp,,note\r\n" a,b ",0.5,,\r\n\r\nc, 0.25 ,x,"two\nlines"\r\n', encoding="utf-8")
    assert read_table(path, ("mpp", "slide")) == [
        (f"{path}, line 2", {"slide": "a,b", "mpp": "0.5", "": "", "note": ""}),
        (f"{path}, line 5", {"slide": "c", "mpp": "0.25", "": "x", "note": "two\nlines"}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ": has the columns none; missing a, b"),
        ("a\n1\n", ": has the columns a; missing b"),
        ("a,b,a\n", ": repeats the column 'a'"),
        ("a,b\n1,2,3\n", ", line 2: has 3 cells; expected 2"),
        ("a,b\n1\n", ", line 2: has 1 cells; expected 2"),
        ('a,b\n"1,2\n', ", line 2: is not CSV"),
        ("a,b\n" + "x" * 200_000 + ",2\n", ", line 2: is not CSV"),
    ],
)
def test_everything_else_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RestainError, match=rf"t\.csv{words}"):
        read_table(tmp_path / "t.csv", ("a", "b"))
