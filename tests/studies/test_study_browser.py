"""A whole study clicked through in a real browser by two readers, with the server killed in the middle."""

import pytest
from studies_folder import ServerProcess, key_of

import restain
from restain.studies.answers import AnswerBook
from restain.studies.study_files import read_study, steps_of

SHOWN = "window.restain && document.querySelector('#form').offsetParent && restain.stage.working.length"


def wait_until(page, truth):
    """Playwright's own wait evaluates strings in the page, which the page's security policy forbids."""
    for _ in range(400):
        if page.evaluate(f"Boolean({truth})"):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {truth}")


def at_case(page, number):
    """Wait for that case, from 1."""
    wait_until(page, f"document.querySelector('#count').textContent.startsWith('{number} of')")
    wait_until(page, f"{SHOWN} && restain.stage.working.every(({{ viewer }}) => viewer.world.getItemCount())")


def test_two_readers_click_through_a_study_and_nothing_is_lost(make, browser, tmp_path):
    folder = make(cases=3, training_cases=0)  # two sessions of three
    study, key = read_study(folder), key_of(folder)
    server = ServerProcess(folder)
    try:
        pages = {reader: browser.new_page(viewport={"width": 1200, "height": 700}) for reader in server.links}
        for reader, page in pages.items():
            page.goto(server.links[reader])
        given = {reader: [] for reader in pages}
        for position in range(6):
            for number, (reader, page) in enumerate(pages.items()):
                at_case(page, position + 1)
                score = (position * 3 + number) % 4
                page.locator(".options label").nth(score).click()
                if position == 2:
                    page.fill("#comment textarea", f"comment of {reader}")
                if (reader, position) == ("reader-2", 3):
                    server.kill()
                    page.click("#save")  # to nobody
                    page.wait_for_selector("#offline:not([hidden])")
                    assert page.evaluate("restain.form.answers.her2") == score  # still on the page
                    server = ServerProcess(folder, server.port)
                else:
                    page.keyboard.press("Enter") if position % 2 else page.click("#save")
                given[reader].append(score)
        for page in pages.values():
            page.wait_for_selector("text=All cases are done")
            page.close()
    finally:
        server.kill()
    book = AnswerBook(folder / "answers.sqlite")
    for reader, scores in given.items():
        kept = book.of(reader)
        assert [kept[step.position].answers["her2"] for step in steps_of(study, reader)] == scores
        assert all(answer.final and 0 < answer.seconds < 120 for answer in kept.values())
        assert kept[2].comment == f"comment of {reader}"
    book.close()
    analysis = restain.analyse_study(folder, out=tmp_path / "out")
    assert [reader.answered for reader in analysis.readers] == [6, 6]
    pool = analysis.confusion[0]
    pairs = {}
    for reader, scores in given.items():
        for step, score in zip(steps_of(study, reader), scores, strict=True):
            (picture,) = step.item
            pairs.setdefault((reader, study.case_of[picture]), {})[key["pictures"][picture]["arm"]] = score
    for row in range(4):
        for column in range(4):
            wanted = {"first": row, "second": column}
            assert pool.table[row][column] == list(pairs.values()).count(wanted)


@pytest.fixture
def open_study(make, page):
    """Serve a study and open the first reader's page."""
    servers = []

    def opened(**options):
        servers.append(restain.serve_study(make(training_cases=0, readers=1, **options), port=0))
        page.goto(servers[-1].links["reader-1"])
        at_case(page, 1)
        return servers[-1]

    yield opened
    for server in servers:
        server.close()


def test_a_draft_is_there_again_after_a_reload(open_study, page):
    open_study()
    page.keyboard.press("2")
    page.fill("#comment textarea", "blurred at the edge")
    page.wait_for_selector("text=Draft saved")
    page.wait_for_timeout(500)
    page.reload()
    at_case(page, 1)
    assert page.evaluate("restain.form.answers") == {"her2": 2}
    assert page.input_value("#comment textarea") == "blurred at the edge"
    assert page.is_enabled("#save")


def test_nothing_can_be_saved_before_every_question_is_answered(open_study, page):
    open_study(design="quality")
    for digit in "1234":
        assert page.is_disabled("#save")
        page.keyboard.press(digit)
    assert page.is_enabled("#save")
    assert page.evaluate("Object.values(restain.form.answers)") == [0, 1, 2, 3]


def test_percentages_give_an_h_score_and_cannot_exceed_a_hundred(open_study, page):
    open_study(marker="er")
    for place, value in enumerate(("10", "20", "30")):
        page.locator("input[type=number]").nth(place).fill(value)
    assert page.inner_text(".sum") == "Positive 60 %, H-score 140"
    assert page.is_enabled("#save")
    page.locator("input[type=number]").nth(0).fill("60")
    assert "more than 100 %" in page.inner_text(".sum") and page.is_disabled("#save")
    page.click("text=None stained")
    assert page.evaluate("restain.form.answers") == {"er": [0, 0, 0]} and page.is_enabled("#save")


def test_an_image_that_cannot_be_assessed_needs_no_score(open_study, page):
    server = open_study()
    page.check("#unreadable input")
    assert page.is_disabled("fieldset input >> nth=0") and page.is_enabled("#save")
    page.click("#save")
    at_case(page, 2)
    assert server.progress() == {"reader-1": (1, 16)}


def test_a_pair_is_shown_side_by_side_and_in_step(open_study, page):
    open_study(design="2afc")
    names = page.locator(".head b").all_inner_texts()
    assert names == ["Left", "Right"]
    page.keyboard.press("+")
    page.wait_for_timeout(900)
    first, second = page.evaluate("restain.stage.working.map((pane) => pane.view)")
    assert second == pytest.approx(first, abs=1e-6)
    page.keyboard.press("2")
    assert page.evaluate("restain.form.answers") == {"real": 1}


def test_the_washout_is_told(open_study, page):
    open_study(cases=1, washout_days=14)
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Session 1 is complete")
    assert "Session 2 opens on" in page.inner_text("#message p")
    assert not page.is_visible("#form") and not page.is_visible("#stage")


@pytest.mark.parametrize(("width", "height"), [(1400, 800), (420, 760)])
def test_everything_is_in_reach_on_a_wide_and_a_narrow_screen(open_study, page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    open_study()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#stage", ".options label >> nth=3", "#save"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height, selector
    assert page.locator("#stage").bounding_box()["height"] > 0.35 * height
