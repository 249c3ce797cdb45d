"""Commands that measure virtual stains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Device, app, weights_app


def _explain(metric: str | None) -> None:
    if metric is not None:
        from restain.evaluation import explain

        typer.echo(explain(metric))
        raise typer.Exit


@app.command(rich_help_panel="Evaluate")
def evaluate(
    real: Annotated[Path, typer.Option(help="folder of real IHC")],
    fake: Annotated[
        list[str], typer.Option(help="folder of virtual IHC, same names; NAME=DIR for several, repeatable")
    ],
    out: Annotated[Path, typer.Option(help="folder for summary.json and per_image.csv")],
    source: Annotated[
        Path | None, typer.Option(help="folder of H&E, for content correlation and the baselines")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="real IHC whose colours the classical transfer takes")] = None,
    protocol: Annotated[
        Literal["clean", "asp2023", "bci2022", "unistainnet2026", "cssp2p", "skimage018"],
        typer.Option(case_sensitive=False, help="how scores are computed: well defined, or as a paper did"),
    ] = "clean",
    seed: Annotated[int, typer.Option(help="of the intervals and tests")] = 0,
    metrics: Annotated[str, typer.Option(help="names or families, with commas; all where left out")] = "",
    groups: Annotated[str, typer.Option(help="images of one slide: auto, none, a CSV file, or a pattern")] = "auto",
    compare_with: Annotated[str | None, typer.Option(help="published scores, such as mist-her2 or bci")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="microns per pixel; from the data set or the stainer where left out")
    ] = None,
    marker: Annotated[
        str | None, typer.Option(help="nuclear, membrane or cytoplasm, or a stain such as ki67; which cell scores vote")
    ] = None,
    stainer: Annotated[Path | None, typer.Option(help="stainer or run folder that tells mpp and marker")] = None,
    mask: Annotated[Path | None, typer.Option(help="folder of masks; only cells inside them are counted")] = None,
    repeat: Annotated[
        Path | None, typer.Option(help="folder of a second section of the truth, scored as what can be reached")
    ] = None,
    nuclei: Annotated[
        Path | None, typer.Option(help="folder of label images of nuclei (PNG, TIFF, NPY) for scores cell by cell")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="NPY file of an encoder's features, with a CSV file of names beside it")
    ] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="write pictures of what was counted")] = False,
    test: Annotated[str | None, typer.Option(help="name of the one system whose differences are tested")] = None,
    batch: Annotated[int, typer.Option(min=1, help="images per pass of a feature network")] = 8,
    device: Device = "auto",
    explain: Annotated[
        str | None,
        typer.Option(callback=_explain, is_eager=True, help="print what a metric means (or all) and stop"),
    ] = None,
) -> None:
    """Compare virtual stains with real ones, with confidence intervals, tests and two baselines."""
    import restain
    from restain.console.evaluation import print_evaluation
    from restain.evaluation import parse_systems

    options = restain.EvaluationOptions(
        metrics=metrics.split(","),
        groups=groups,
        compare_with=compare_with,
        mpp=mpp,
        marker=marker,
        stainer=stainer,
        mask=mask,
        repeat=repeat,
        nuclei=nuclei,
        features=features,
        overlays=overlays,
        test=test,
        batch=batch,
        device=device,
    )
    evaluation = restain.evaluate(
        real,
        parse_systems(fake),
        out=out,
        source=source,
        reference=reference,
        protocol=protocol,
        seed=seed,
        options=options,
    )
    print_evaluation(evaluation)


@app.command(rich_help_panel="Evaluate")
def report(
    out: Annotated[Path, typer.Option(help="the HTML page to write")],
    run: Annotated[Path | None, typer.Option(help="run folder of restain train")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="output folder of restain evaluate")] = None,
    images: Annotated[int, typer.Option(min=1, help="fields of view to show")] = 6,
) -> None:
    """Write one self-contained HTML page about a run and its evaluation."""
    import restain

    typer.echo(restain.report(out, run=run, evaluation=evaluation, images=images))


@weights_app.command("list")
def list_weights() -> None:
    """Show each weight file: present or missing, size, hash, and which metric needs it."""
    import restain
    from restain.console.weights import print_weights

    print_weights(restain.list_weights())


@weights_app.command("path")
def weights_path(
    name: Annotated[str, typer.Argument(help="name of a weight file, as restain weights list shows")],
) -> None:
    """Print where a weight file lies, after its hash was verified."""
    import restain

    typer.echo(restain.weights_path(name))


@weights_app.command("add")
def add_weights(
    file: Annotated[Path, typer.Argument(help="a weight file under any name, or a registered alternative")],
    name: Annotated[str | None, typer.Option("--as", help="what it must be; else it is told by its hash")] = None,
) -> None:
    """Copy a weight file into the weights folder, if its hash is known."""
    import restain

    typer.echo(restain.add_weights(file, name))


@weights_app.command("fetch")
def fetch_weights(
    names: Annotated[list[str] | None, typer.Argument(help="which files; all that are missing by default")] = None,
) -> None:
    """Download weight files, go on where a download broke off, and keep only what has the right hash."""
    import restain

    for path in restain.fetch_weights(names):
        typer.echo(path)
