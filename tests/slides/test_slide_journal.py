"""The journal gives back what was put in, and only to the run that it belongs to."""

from pathlib import Path

import numpy as np
import pytest
from small_slides import identity

from restain.errors import RestainError
from restain.slides.run.journal import Journal
from restain.slides.tiling import Tile
from restain.wsi.geometry import Region

TILE = Tile(3, 12, Region(1536, 384, 40, 24))
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_finished_tiles_survive_the_process(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j", identity("a"))
    assert TILE not in first
    first.save(TILE, PIXELS)
    again = Journal(tmp_path / "j", identity("a"))
    assert TILE in again and len(again) == 1
    np.testing.assert_array_equal(again.load(TILE), PIXELS)


def test_other_settings_start_from_nothing(tmp_path: Path) -> None:
    Journal(tmp_path / "j", identity("a")).save(TILE, PIXELS)
    other = Journal(tmp_path / "j", identity("b"))
    assert TILE not in other and other.dropped == 1
    assert Journal(tmp_path / "j", identity("b")).dropped == 0
    assert not list((tmp_path / "j" / "tiles").iterdir())


def test_what_was_half_written_does_not_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", identity())
    (tmp_path / "j" / "tiles" / ".00003-00012-x.zst").write_bytes(b"half")
    assert len(Journal(tmp_path / "j", identity())) == 0
    journal.remove()
    assert not (tmp_path / "j").exists()


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", identity())
    journal.save(TILE, PIXELS)
    (file,) = (tmp_path / "j" / "tiles").iterdir()
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(RestainError, match=r"00003-00012\.zst: is not a finished tile any more .* delete it"):
        journal.load(TILE)


def test_how_finely_tiles_are_cut_is_remembered(tmp_path: Path) -> None:
    Journal(tmp_path / "j", identity()).divide()
    assert Journal(tmp_path / "j", identity()).division == 2
