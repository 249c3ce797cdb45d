"""Draw the pictures of docs/viewer.md: the viewer in a real browser, on virtual tissue.

    python benchmarks/viewer_screenshots.py [docs/images] [--marker er] [--side 2048]

Needs Chromium and the extra `dev`. The tissue is drawn by ``restain.phantom`` as two consecutive sections: H&E, IHC of
the same section (it stands where a virtual stain would) and IHC of the next one (where a real IHC would).
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import restain

SIZE = {"width": 1360, "height": 780}  # pixels of the window
QUALITY = 80  # of the JPEG files, so that each stays below 300 kB
FLAGS = [
    "--no-sandbox",  # which Chromium asks for where root starts it
    "--disable-gpu",
    "--disable-background-networking",
]


def show_panes(page: Page) -> None:
    """Three panes, the whole slides."""
    page.keyboard.press("0")


def show_overlay(page: Page) -> None:
    """DAB over both IHC, at 10x."""
    page.keyboard.press("3")
    page.keyboard.press("d")


def show_curtain(page: Page) -> None:
    """H&E up to the line, IHC beyond it, dark, at 20x."""
    page.keyboard.press("x")
    page.keyboard.press("c")
    page.keyboard.press("m")
    page.keyboard.press("4")
    page.evaluate("restain.stage.setMix(0.45)")


SHOTS: dict[str, Callable[[Page], None]] = {
    "viewer.jpg": show_panes,
    "viewer_overlay.jpg": show_overlay,
    "viewer_curtain.jpg": show_curtain,
}


def take(page: Page, out: Path) -> None:
    """Write one picture after the other."""
    for name, act in SHOTS.items():
        act(page)
        page.wait_for_timeout(500)
        while not page.evaluate(
            "restain.stage.working.every(({ viewer }) => viewer.world.getItemAt(0).getFullyLoaded())"
        ):
            page.wait_for_timeout(100)
        page.wait_for_timeout(1500)  # until the views come to rest and the overlays are there
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shot.save(out / name, quality=QUALITY, optimize=True)
        print(f"{out / name}: {(out / name).stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Draw the tissue, open the viewer, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("docs/images"))
    parser.add_argument("--marker", default="er")
    parser.add_argument("--side", type=int, default=2048)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        drawn = Path(folder)
        section = restain.Consecutive()
        restain.phantom(
            options.marker, drawn, 1, options.side, 3, restain.PhantomOptions(slide=True, consecutive=section)
        )
        named = {path.stem: path for path in drawn.rglob("*.tif")}
        slides = [named["he"], named["ihc_aligned"], named["ihc"]]
        program = shutil.which("chromium") or shutil.which("google-chrome")
        with restain.view(slides, port=0) as viewer, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            page.goto(viewer.url)
            page.wait_for_selector(".scale >> nth=2")
            take(page, options.out)
            browser.close()


if __name__ == "__main__":
    main()
