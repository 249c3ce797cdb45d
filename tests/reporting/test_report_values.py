import base64
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restain.errors import RestainError
from restain.reporting.labels import command_text, label, number
from restain.reporting.pictures import jpeg_uri, overlay, scale_bar, shrink
from restain.reporting.tables import as_number, read_table


@pytest.mark.parametrize(
    ("value", "half_width", "text"),
    [
        (0.34567, 0.033, "0.346"),  # two digits of the half width
        (15456.2, 3300.0, "15\u2009456"),
        (23.3178, 0.61, "23.32"),
        (0.34567, math.nan, "0.3457"),
        (1234567.0, math.nan, "1\u2009234\u2009567"),
        (-0.5, math.nan, "−0.5000"),
        (0.0, math.nan, "0"),
        (1.2e-12, math.nan, "0"),  # rounding is not a result
        (0.00001234, math.nan, "0.000012"),
        (math.inf, math.nan, "∞"),
        (math.nan, math.nan, "–"),
        (1.0, 0.0, "1.000"),
    ],
)
def test_numbers_have_the_digits_that_their_uncertainty_leaves(value: float, half_width: float, text: str) -> None:
    assert number(value, half_width) == text


def test_labels_read_as_words() -> None:
    assert label("dab_mean_od_real") == "DAB mean OD, true IHC"
    assert label("dab_positive_area_pearson_r") == "DAB positive area Pearson r"
    assert label("r_content") == "R content"
    assert label("H&E unchanged: psnr ci95") == "H&E unchanged: PSNR, 95 % interval"
    assert label("colour transfer") == "colour transfer"


def test_commands_are_quoted_where_they_were_kept_as_lists() -> None:
    assert command_text(["restain", "train", "--out", "my run"]) == "restain train --out 'my run'"
    assert command_text("restain train") == "restain train"
    assert command_text(None) == ""


def test_values_of_files_become_numbers_or_nan() -> None:
    assert as_number("inf") == math.inf
    assert as_number(3) == 3.0
    assert all(math.isnan(as_number(value)) for value in ("", "word", None, True, [1]))


def test_a_half_written_last_row_and_empty_cells_are_gaps(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("step,D,G\n10,0.5,\n\n20,0.4\n")
    table = read_table(path)
    assert len(table) == 2
    np.testing.assert_array_equal(table.numbers("D"), [0.5, 0.4])
    assert np.isnan(table.numbers("G")).all() and np.isnan(table.numbers("absent")).all()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"a,b,a\n", "repeats a column name"), (b"\xff\xfe\x00", "is not UTF-8 text")],
)
def test_broken_tables_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "per_image.csv"
    path.write_bytes(content)
    with pytest.raises(RestainError, match=rf"per_image\.csv: {sentence}"):
        read_table(path)


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert number(-0.004, 0.15) == "0.00" and number(-0.2, 0.15) == "−0.20" and number(-1234.0, 20) == "−1\u2009234"


def test_scale_bar_is_a_round_length_of_the_right_share() -> None:
    assert scale_bar(512, 0.5) == (50, pytest.approx(100 * 50 / 256))
    assert scale_bar(1000, 0.25) == (50, pytest.approx(20.0))
    assert scale_bar(512, None) is None
    assert scale_bar(8, 0.25) is None


def test_jpeg_keeps_fine_colour_and_size() -> None:
    stripes = np.zeros((16, 16, 3), dtype=np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (120, 60, 20), (60, 60, 160)  # one pixel of DAB, one of haematoxylin
    data = base64.b64decode(jpeg_uri(stripes).removeprefix("data:image/jpeg;base64,"))
    decoded = np.asarray(Image.open(io.BytesIO(data)), dtype=int)
    assert decoded.shape == stripes.shape
    assert np.abs(decoded - stripes).mean() < 8  # 4:2:0 would average the two colours: 35


def test_shrinking_keeps_proportions_and_never_enlarges() -> None:
    wide = np.full((100, 400, 3), 7, dtype=np.uint8)
    assert shrink(wide, 200).shape == (50, 200, 3)
    assert shrink(wide, 400) is wide
    assert (shrink(wide, 200) == 7).all()


def test_overlay_mixes_grey_tissue_and_magma_in_fixed_shares() -> None:
    tissue = np.full((4, 4, 3), 200, dtype=np.uint8)
    least = overlay(tissue, np.zeros((2, 2), dtype=np.uint8))
    most = overlay(tissue, np.full((2, 2), 255, dtype=np.uint8))
    # magma runs from (0.001462, 0.000466, 0.013866) to (0.987053, 0.991438, 0.749504)
    np.testing.assert_allclose(least[0, 0], 0.35 * 200 + 0.65 * 255 * np.array([0.0015, 0.0005, 0.0139]), atol=0.6)
    np.testing.assert_allclose(most[3, 3], 0.35 * 200 + 0.65 * 255 * np.array([0.9871, 0.9914, 0.7495]), atol=0.6)
