"""Draw the pictures of docs/study.md: a reader study in a real browser, on virtual tissue, and its analysis.

    python benchmarks/study_screenshots.py [docs/images] [--cases 16] [--widths 1360]

Needs Chromium and the extra `dev`. Tissue is drawn by ``restain.phantom`` as two consecutive sections: the IHC of the
section of the H&E stands where a virtual stain would, that of the next section where a real IHC would. The answers are
not those of people: each reader gives the HER2 class of the drawn cells, read with an error of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import restain
from restain.studies.study_files import read_study, steps_of

HEIGHT = 800  # pixels of the window
QUALITY = 80  # of the JPEG files
FLAGS = [
    "--no-sandbox",  # which Chromium asks for where root starts it
    "--disable-gpu",
    "--disable-background-networking",
]
READERS = 3
ERROR = 0.55  # standard deviation of a reader's error, in classes


def draw(folder: Path, cases: int) -> None:
    """Folders real, virtual and he, of equal names."""
    restain.phantom("her2", folder / "tissue", cases, 640, 4, restain.PhantomOptions(consecutive=restain.Consecutive()))
    for side, place in (("he", "{0}A"), ("real", "{0}B"), ("virtual", "truth/{0}/aligned")):
        (folder / side).mkdir()
        for split in ("train", "val"):
            for path in (folder / "tissue" / place.format(split)).glob("*.png"):
                shutil.copy(path, folder / side / f"{split}_{path.name}")


def ask(link: str, method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of an answer of the study's server."""
    parts = urlsplit(link)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request(method, parts.path + name, json.dumps(body) if body else None)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    if answer.status != 200:
        raise SystemExit(f"{name}: {answer.status} {content}")
    return dict(content)


def read_all(link: str, study: Path, reader: str, seed: int) -> None:
    """Answer every case of a reader: an amount of DAB that belongs to the case, read with an error."""
    random = np.random.default_rng(seed)
    key = json.loads((study / "key.json").read_text())
    decided = read_study(study)
    amounts = {name: amount_of(study.parent / "real" / f"{name}.png") for name in key["names"].values()}
    limits = np.quantile(list(amounts.values()), [0.25, 0.5, 0.75])
    while (state := ask(link, "GET", "state.json"))["status"] == "reading":
        item = state["item"]
        step = steps_of(decided, reader)[item["position"]]
        truth = float(np.searchsorted(limits, amounts[key["names"][decided.case_of[step.item[0]]]]))
        given = int(np.clip(round(truth + random.normal(0, ERROR)), 0, 3))
        seconds = float(random.gamma(6, 3))
        body = {"position": item["position"], "answers": {"her2": given}, "comment": "", "unreadable": False}
        ask(link, "POST", "answer.json", {**body, "seconds": seconds, "final": True})


def amount_of(path: Path) -> float:
    """Mean optical density of an image: more brown is more."""
    return float(-np.log10((np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) + 1) / 256).mean())


def save(page: Page, path: Path) -> None:
    """A screenshot as JPEG."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(path, quality=QUALITY, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def open_page(browser: Browser, address: str, width: int, theme: str) -> Page:
    """A page of that width, light or dark."""
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=theme)
    page.goto(address)
    return page


def wait_for_case(page: Page) -> None:
    """Until all tiles are drawn."""
    page.wait_for_selector(".scale:not([hidden])")
    while not page.evaluate("restain.stage.working.every(({ viewer }) => viewer.world.getItemAt(0).getFullyLoaded())"):
        page.wait_for_timeout(100)
    page.wait_for_timeout(700)


def shoot_reading(browser: Browser, folder: Path, out: Path, widths: list[int]) -> None:
    """The reading page of each design, light and dark."""
    common = {"real": folder / "real", "virtual": folder / "virtual", "cases": 8, "training_cases": 0}
    for design, marker, theme, source in (
        ("score", "her2", "light", folder / "he"),
        ("2afc", "her2", "dark", None),
        ("quality", "her2", "light", None),
    ):
        study = folder / f"{design}-{marker}"
        restain.make_study(study, design=design, marker=marker, source=source, mpp=0.5, **common)
        with restain.serve_study(study, port=0) as server:
            for width in widths:
                page = open_page(browser, server.links["reader-1"], width, theme)
                wait_for_case(page)
                page.keyboard.press("2")
                page.wait_for_timeout(600)
                suffix = "" if width == widths[0] else f"_{width}"
                save(page, out / f"study_{design}_{marker}{suffix}.jpg")
                page.close()


def shoot_analysis(browser: Browser, folder: Path, out: Path, cases: int, widths: list[int]) -> None:
    """The page of the analysis."""
    study = folder / "study"
    restain.make_study(
        study,
        real=folder / "real",
        virtual=folder / "virtual",
        design="score",
        marker="her2",
        cases=cases,
        training_cases=0,
        repeats=cases // 3,
        readers=READERS,
        washout_days=0,
        mpp=0.5,
    )
    with restain.serve_study(study, port=0) as server:
        for number, (reader, link) in enumerate(server.links.items()):
            read_all(link, study, reader, number)
    restain.analyse_study(study, out=folder / "analysis")
    for width in widths:
        page = open_page(browser, (folder / "analysis" / "study.html").as_uri(), width, "light")
        page.evaluate("document.querySelector('#verdict').scrollIntoView({ behavior: 'instant' })")
        suffix = "" if width == widths[0] else f"_{width}"
        save(page, out / f"study_analysis{suffix}.jpg")
        page.close()


def main() -> None:
    """Draw the tissue, make and read the studies, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("docs/images"))
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="+", default=[1360], help="of the window, pixels")
    options = parser.parse_args()
    with TemporaryDirectory() as held, sync_playwright() as playwright:
        folder = Path(held)
        draw(folder, options.cases)
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        shoot_reading(browser, folder, options.out, options.widths)
        shoot_analysis(browser, folder, options.out, options.cases, options.widths)
        browser.close()


if __name__ == "__main__":
    main()
