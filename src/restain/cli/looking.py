"""Commands that show something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restain.cli.app import Json, Marker, app
from restain.cli.signals import signals_as_interrupt


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
        str | None, typer.Option("--as", help="role of each input, such as he,real; roles: he, virtual, real, other")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="microns per pixel, instead of what the files state")] = None,
    port: Annotated[int, typer.Option(help="port to listen on; 0: any free port")] = 8765,
    host: Annotated[
        str, typer.Option(help="address to listen on; 0.0.0.0: reachable from other machines")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(help="secret part of the link, to keep a link valid; default: random")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the page in a browser")] = True,
) -> None:
    """Look at H&E, virtual stain and real IHC side by side in a browser."""
    import restain
    from restain.console.viewer import show_viewer

    chosen = roles.split(",") if roles else None
    with (
        signals_as_interrupt(),
        restain.view(input, roles=chosen, mpp=mpp, host=host, port=port, token=token) as viewer,
    ):
        show_viewer(viewer, browser=browser)


@app.command(rich_help_panel="Look")
def demo(
    out: Annotated[Path, typer.Option(help="folder for all results")] = Path("demo"),
    marker: Marker = "er",
    seed: Annotated[int, typer.Option(help="seed of the tissue and of the training")] = 0,
) -> None:
    """Run all steps once: draw virtual tissue, train, stain, evaluate, stain a slide, write a report."""
    import restain

    restain.demo(out, marker, seed)


@app.command(rich_help_panel="Look")
def doctor(as_json: Json = False) -> None:
    """Print versions and devices, what is missing, and how to install it."""
    import restain
    from restain.console.as_json import print_json
    from restain.console.doctor import print_findings

    findings = restain.doctor()
    if as_json:
        print_json(ok=all(finding.ok for finding in findings), findings=findings)
    else:
        print_findings(findings)
