"""Commands of a reader study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import study_app
from restain.cli.signals import signals_as_interrupt


@study_app.command("make")
def make_study(
    virtual: Annotated[
        list[Path], typer.Option(help="folder of virtual stains; twice for a preference between two systems")
    ],
    design: Annotated[
        Literal["score", "2afc", "single", "quality", "preference"],
        typer.Option(case_sensitive=False, help="form of the study and its question"),
    ],
    marker: Annotated[
        Literal["her2", "er", "pr", "ki67"],
        typer.Option(case_sensitive=False, help="stain of the IHC; it sets the questions"),
    ],
    cases: Annotated[int, typer.Option(help="cases that are read")],
    out: Annotated[Path, typer.Option(help="new folder for the study")],
    real: Annotated[Path | None, typer.Option(help="folder of real IHC, same names")] = None,
    source: Annotated[Path | None, typer.Option(help="folder of H&E, same names, shown beside each image")] = None,
    readers: Annotated[int, typer.Option(help="number of readers")] = 3,
    repeats: Annotated[int, typer.Option(help="images that each reader reads a second time, in a last session")] = 0,
    washout_days: Annotated[float, typer.Option(help="days between two sessions of a reader")] = 14.0,
    training_cases: Annotated[int, typer.Option(help="cases that are read first and not analysed")] = 2,
    margin: Annotated[
        float | None,
        typer.Option(
            help="margin of non-inferiority; default by design: 0.1 of kappa, 0.5 points, or 0.1 of the share"
        ),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="microns per pixel of all images, instead of what the files state")
    ] = None,
    groups: Annotated[
        str, typer.Option(help="cases of one slide or patient: auto, none, a CSV file, or a pattern")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="seed of the drawn cases and their orders")] = 0,
) -> None:
    """Draw cases and their orders, encode the images alike, and write the key apart."""
    import restain
    from restain.console.studies import print_study

    made = restain.make_study(
        out,
        virtual=virtual,
        real=real,
        source=source,
        design=design,
        marker=marker,
        cases=cases,
        readers=readers,
        repeats=repeats,
        washout_days=washout_days,
        training_cases=training_cases,
        margin=margin,
        mpp=mpp,
        groups=groups,
        seed=seed,
    )
    print_study(made)


@study_app.command("serve")
def serve_study(
    study: Annotated[Path, typer.Argument(help="folder of restain study make")],
    port: Annotated[int, typer.Option(help="0 takes any that is free")] = 8766,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 lets other machines in")] = "127.0.0.1",
) -> None:
    """Show the cases to the readers, each by a link of their own, and save their answers."""
    import restain
    from restain.console.studies import show_study_server

    with signals_as_interrupt(), restain.serve_study(study, host=host, port=port) as server:
        show_study_server(server)


@study_app.command("analyse")
def analyse_study(
    study: Annotated[Path, typer.Argument(help="folder of restain study make, with the answers")],
    out: Annotated[Path, typer.Option(help="folder for tables, JSON and the page")],
) -> None:
    """Agreement, confusion, choices and non-inferiority, as CSV, JSON and a page."""
    import restain
    from restain.console.studies import print_analysis

    print_analysis(restain.analyse_study(study, out=out))
