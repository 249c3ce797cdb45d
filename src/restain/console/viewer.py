"""What ``restain view`` prints, and how it waits."""

from __future__ import annotations

import webbrowser

from rich.console import Console

from restain.progress import counted
from restain.viewer.launch import Viewer


def show_viewer(viewer: Viewer, *, browser: bool, console: Console | None = None) -> None:
    """Print the link, open it where wanted, and wait until the user presses Ctrl+C."""
    console = console or Console(highlight=False)
    pictures = sum(len(case.pictures) for case in viewer.cases)
    console.print(f"{counted(len(viewer.cases), 'case')}, {counted(pictures, 'picture')}; Ctrl+C ends")
    console.print(viewer.url, soft_wrap=True, markup=False)
    if browser:
        webbrowser.open(viewer.url)
    viewer.wait()
