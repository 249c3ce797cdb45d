"""The page in a real browser: what a pathologist sees is where and what it must be."""

import io
import json

import numpy as np
import pytest
from marked_slides import HE, IHC, MARK
from PIL import Image

import restain

VIEWS = "restain.stage.working.map((pane) => pane.view)"
READY = "window.restain && restain.stage.working.length === {count} && restain.stage.view"


def open_page(page, url, count=2):
    page.goto(url)
    wait_until(page, READY.format(count=count))
    settle(page)


def wait_until(page, truth):
    """Playwright's own wait evaluates strings in the page, which the page's security policy forbids."""
    for _ in range(300):
        if page.evaluate(f"Boolean({truth})"):
            return
        page.wait_for_timeout(60)
    raise AssertionError(f"never came true: {truth}")


def settle(page):
    """Until no pane moves, and all tiles are drawn."""
    wait_until(page, "restain.stage.working.every(({ viewer }) => viewer.world.getItemAt(0)?.getFullyLoaded())")
    views = None
    for _ in range(100):
        before, views = views, page.evaluate(VIEWS)
        if before == views:
            return
        page.wait_for_timeout(120)
    raise AssertionError("the panes do not come to rest")


def assert_in_step(page):
    views = page.evaluate(VIEWS)
    for view in views[1:]:
        assert view == pytest.approx(views[0], abs=1e-6, rel=1e-9)
    return views[0]


def pixel(page, x, y):
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return np.array(shot.getpixel((round(x), round(y))), dtype=int)


def close_to(colour, wanted, tolerance=4):
    return bool((np.abs(np.asarray(colour, int) - np.asarray(wanted, int)) <= tolerance).all())


def test_panes_of_different_resolution_stay_in_step(page, viewer):
    open_page(page, viewer.url)
    boxes = [page.locator(".pane").nth(index).bounding_box() for index in (0, 1)]
    for box, lead in ((boxes[0], 0), (boxes[1], 1)):
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = assert_in_step(page)
        page.mouse.move(*middle)
        page.mouse.wheel(0, -300)
        page.mouse.down()
        page.mouse.move(middle[0] - 90, middle[1] + 40, steps=4)
        assert_in_step(page)  # during the animation as well
        page.mouse.up()
        settle(page)
        after = assert_in_step(page)
        assert after["um"] < before["um"] and after["x"] > before["x"], lead
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.set_viewport_size({"width": 1100, "height": 640})
    settle(page)
    assert_in_step(page)


def test_the_same_tissue_is_at_the_same_place_of_every_pane(page, viewer):
    open_page(page, viewer.url)
    page.keyboard.press("n")  # the navigator holds the mark as well
    page.evaluate("restain.stage.look({ x: 740, y: 300, um: 0.8 }, true)")
    settle(page)
    centres = []
    for index in (0, 1):
        box = page.locator(".pane").nth(index).bounding_box()
        shot = np.array(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("L"), dtype=int)
        rows, columns = np.nonzero(shot[100:-100] < 60)
        centres.append((columns.mean() - box["width"] / 2, rows.mean() + 100 - box["height"] / 2))
    expected = ((MARK[0] + MARK[2]) / 2 - 740) / 0.8, ((MARK[1] + MARK[3]) / 2 - 300) / 0.8
    assert centres[0] == pytest.approx(expected, abs=1.0)
    assert centres[1] == pytest.approx(expected, abs=1.0)


def test_the_curtain_shows_the_left_picture_up_to_the_line_and_the_right_one_beyond(page, viewer):
    open_page(page, viewer.url)
    page.keyboard.press("c")
    page.evaluate("restain.stage.look({ x: 300, y: 600, um: 0.5 }, true); restain.stage.setMix(0.3)")
    settle(page)
    box = page.locator("#stage").bounding_box()
    line, row = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"]
    assert close_to(pixel(page, line - 6, row), HE)
    assert close_to(pixel(page, line + 6, row), IHC)
    handle = page.locator("#curtain span").bounding_box()  # and by hand to 70 %
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], row, steps=3)
    page.mouse.up()
    assert page.evaluate("restain.stage.mix.curtain") == pytest.approx(0.7, abs=0.002)
    assert close_to(pixel(page, box["x"] + 0.68 * box["width"], row), HE)


def test_a_blend_mixes_the_two_by_its_slider(page, viewer):
    open_page(page, viewer.url)
    page.keyboard.press("o")
    page.evaluate("restain.stage.look({ x: 300, y: 600, um: 0.5 }, true); restain.stage.setMix(0.25)")
    settle(page)
    box = page.locator("#stage").bounding_box()
    mixed = 0.75 * np.array(HE) + 0.25 * np.array(IHC)
    assert close_to(pixel(page, box["x"] + 300, box["y"] + 300), mixed)


def test_scale_bar_and_magnification_are_those_of_the_view(page, viewer):
    open_page(page, viewer.url)
    page.keyboard.press("3")  # 10x: one micron for a pixel
    settle(page)
    assert assert_in_step(page)["um"] == pytest.approx(1.0)
    assert page.inner_text("#magnification") == "10×"
    bar = page.locator(".scale").first
    assert bar.inner_text() == "100 µm"
    assert bar.locator("i").bounding_box()["width"] == pytest.approx(100, abs=0.51)


def test_a_link_opens_the_same_view_again(page, viewer, browser):
    open_page(page, viewer.url)
    page.keyboard.press("c")
    page.select_option("#overlay", "dab")
    page.keyboard.press("t")
    page.evaluate("restain.stage.look({ x: 512.25, y: 301.5, um: 0.75 }, true); restain.stage.setMix(0.4)")
    wait_until(page, "location.hash.includes('x=512.250')")
    other = browser.new_page(viewport={"width": 1280, "height": 720})
    open_page(other, page.url)
    assert other.evaluate("restain.stage.view") == pytest.approx({"x": 512.25, "y": 301.5, "um": 0.75})
    state = "({ layout, mix, overlay, outlined }) => [layout, mix.curtain, overlay.key, outlined]"
    assert other.evaluate(f"({state})(restain.stage)") == ["curtain", 0.4, "dab", True]
    assert other.inner_text("#legend").startswith("DAB, optical density")
    other.close()


def test_a_snapshot_says_that_the_stain_is_virtual(page, viewer):
    open_page(page, viewer.url)
    page.evaluate("restain.stage.look({ x: 300, y: 600, um: 0.5 }, true)")
    settle(page)
    with page.expect_download() as download:
        page.keyboard.press("p")
    shot = Image.open(download.value.path())
    shot.load()
    assert "virtual stain, not a real IHC" in shot.text["Description"]
    assert "µm/px" in shot.text["Description"]
    pixels = shot.convert("RGB")
    assert close_to(pixels.getpixel((200, 300)), HE) and close_to(pixels.getpixel((shot.width - 200, 300)), IHC)


def test_the_record_is_one_click_away(page, viewer):
    open_page(page, viewer.url)
    page.click("#record")
    page.wait_for_selector("dialog dl")
    said = page.inner_text("dialog")
    for words in ("asp-dgrank", "f00d" * 16, "1.02", "the resolutions differ by a factor of 2", "er"):
        assert words in said


def test_panes_can_be_hidden_and_reordered(page, viewer):
    open_page(page, viewer.url)
    page.locator(".head button[title='Move right']").first.click()
    wait_until(page, "document.querySelector('.head b')?.textContent === 'virtual stain'")
    page.locator(".pictures input").first.uncheck()
    wait_until(page, "restain.stage.working.length === 1")
    assert page.inner_text(".head b") == "H&E"
    assert page.locator("#layout-curtain").is_disabled()


def test_a_broken_slide_shows_its_error_and_the_others_go_on(page, result):
    with restain.view([result / "he" / "case.tif", result / "broken.tif"], port=0) as viewer:
        open_page(page, viewer.url, count=1)
        fault = page.inner_text(".fault")
        assert "broken.tif" in fault and str(result) not in fault
        assert page.evaluate("restain.stage.working[0].picture.label") == "H&E"


def test_light_and_dark(page, viewer):
    open_page(page, viewer.url)
    grounds = []
    for _ in range(2):
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.keyboard.press("m")
    bright = [sum(json.loads(f"[{ground[4:-1]}]")) for ground in grounds]
    assert max(bright) > 600 and min(bright) < 90
