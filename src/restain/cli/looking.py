"""Commands that show something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restain.cli.app import Marker, app


@app.command(rich_help_panel="Look")
def view(
    input: Annotated[
        list[Path],
        typer.Argument(
            metavar="HE VIRTUAL [REAL] [TRANSFORM.json] | FOLDER...",
            help="slides or images of one tissue, or folders of results, of a run, an evaluation or image pairs",
            show_default=False,
        ),
    ],
    roles: Annotated[
        str | None, typer.Option("--as", help="what they are, e.g. he,real: he, virtual, real or other for each")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="microns per pixel, instead of what the files state")] = None,
    port: Annotated[int, typer.Option(help="0 takes any that is free")] = 8765,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 lets other machines in")] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(help="secret part of the link, so that it stays the same")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the page")] = True,
) -> None:
    """Look at H&E, virtual stain and real IHC side by side in a browser."""
    import restain
    from restain.console.viewer import show_viewer

    chosen = roles.split(",") if roles else None
    with restain.view(input, roles=chosen, mpp=mpp, host=host, port=port, token=token) as viewer:
        show_viewer(viewer, browser=browser)


@app.command(rich_help_panel="Look")
def demo(
    out: Annotated[Path, typer.Option(help="folder for everything that is made")] = Path("demo"),
    marker: Marker = "er",
    seed: int = 0,
) -> None:
    """The whole way once: virtual tissue, training, staining, evaluation, a page to look at."""
    import restain

    restain.demo(out, marker, seed)


@app.command(rich_help_panel="Look")
def doctor() -> None:
    """Print versions and devices, what is missing, and how to get it."""
    import restain
    from restain.console.doctor import print_findings

    print_findings(restain.doctor())
