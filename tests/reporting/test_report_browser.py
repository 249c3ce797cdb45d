"""The page in a real browser, on a desk and on a telephone: what is seen first, and the viewer with its curtain."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restain.reporting import report

COLOURS = {"HE": (200, 80, 160), "virtual": (60, 90, 200), "IHC": (140, 80, 40)}


@pytest.fixture(params=[1400, 420])
def page(browser: Any, request: pytest.FixtureRequest, tmp_path: Path, run: Path, evaluation: Path) -> Iterator[Any]:
    """The report of the fixtures, every stain of one colour."""
    for folder, colour in COLOURS.items():
        pixels = np.full((40, 64, 3), colour, dtype=np.uint8)
        for name in (tmp_path / folder / "slide1").iterdir():
            Image.fromarray(pixels).save(name)
    written = report(tmp_path / "page.html", run=run, evaluation=evaluation)
    opened = browser.new_page(viewport={"width": request.param, "height": 800})
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url)
    )
    opened.goto(written.as_uri())
    yield opened
    opened.close()
    assert complaints == []


def shot(page: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def near(colour: np.ndarray, wanted: tuple[int, int, int]) -> bool:
    return bool((np.abs(colour - wanted) <= 6).all())


def test_the_answer_comes_first_and_nothing_is_wider_than_the_window(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    first = page.locator("main section").first
    assert first.locator("h2").inner_text() == "Can this be used?"
    assert first.locator(".usability li").count() == 5
    assert first.locator(".usability").bounding_box()["y"] < 800  # seen without scrolling
    for folded in page.locator("details").all():
        folded.evaluate("one => { one.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def test_the_viewer_draws_the_curtain_between_virtual_and_true(page: Any) -> None:
    page.get_by_role("button", name="Enlarge: virtual stain of field").first.click()
    stage = page.locator(".stage").bounding_box()
    middle, width = round(stage["y"] + stage["height"] / 2), stage["width"]
    page.wait_for_function("document.querySelector('.over').complete && document.querySelector('.under').complete")
    picture = shot(page)
    assert near(picture[middle, round(width * 0.3)], COLOURS["virtual"])
    assert near(picture[middle, round(width * 0.7)], COLOURS["IHC"])
    page.locator(".curtain input").fill("90")
    assert near(shot(page)[middle, round(width * 0.7)], COLOURS["virtual"])
    page.locator(".choice").first.get_by_role("button", name="H&E").click()
    assert near(shot(page)[middle, round(width * 0.3)], COLOURS["HE"])
    page.get_by_role("button", name="close").click()
    assert not page.locator("#viewer").is_visible()


def test_the_scale_bar_follows_the_zoom(page: Any) -> None:
    """64 pixels of 0.5 um fill the width at first."""
    page.get_by_role("button", name="Enlarge: H&E of field").first.click()
    bar = page.locator(".stage .scale")

    def pixels_per_um() -> float:
        return bar.bounding_box()["width"] / float(bar.inner_text().split()[0])

    fitted = pixels_per_um()
    stage = page.locator(".stage").bounding_box()
    assert fitted == pytest.approx(min(stage["width"] / 32, stage["height"] / 20), rel=0.02)
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    assert pixels_per_um() == pytest.approx(2.25 * fitted, rel=0.02)
    page.get_by_role("button", name="1:1").click()
    assert pixels_per_um() == pytest.approx(2, rel=0.02)
    page.get_by_role("button", name="fit").click()
    assert pixels_per_um() == pytest.approx(fitted, rel=0.02)


def test_the_scale_bar_on_the_page_is_as_long_as_it_states(page: Any) -> None:
    picture = page.locator(".field .zoom").first
    bar, image = picture.locator(".scale"), picture.locator("img").bounding_box()
    assert bar.bounding_box()["width"] / image["width"] == pytest.approx(
        float(bar.inner_text().split()[0]) / 32, rel=0.02
    )


def test_plots_are_seen_and_every_point_names_its_field(page: Any) -> None:
    points = page.locator(".plot .point")
    assert points.count() == 2 * 8
    assert points.first.locator("title").text_content().startswith("slide1/field_0: virtual")
    box = page.locator(".plot svg").first.bounding_box()
    assert box["width"] > 300 and box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
