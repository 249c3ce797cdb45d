"""Commands that measure virtual stains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Device, Json, app, weights_app


def _explain(metric: str | None) -> None:
    if metric is not None:
        from restain.evaluation import explain

        typer.echo(explain(metric))
        raise typer.Exit


@app.command(rich_help_panel="Evaluate")
def evaluate(
    real: Annotated[Path, typer.Option(help="folder of real IHC images")],
    fake: Annotated[
        list[str],
        typer.Option(help="folder of virtual IHC images with the same names; NAME=DIR for several systems, repeatable"),
    ],
    out: Annotated[Path, typer.Option(help="folder for summary.json and per_image.csv")],
    source: Annotated[
        Path | None, typer.Option(help="folder of H&E images, for the baselines and content correlation")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="folder of real IHC images, whose colours the colour-transfer baseline uses")
    ] = None,
    protocol: Annotated[
        Literal["clean", "asp2023", "bci2022", "unistainnet2026", "cssp2p", "skimage018"],
        typer.Option(
            case_sensitive=False, help="how scores are computed: clean is well defined, the others repeat a paper"
        ),
    ] = "clean",
    seed: Annotated[int, typer.Option(help="seed of the intervals and tests")] = 0,
    metrics: Annotated[str, typer.Option(help="names or families of metrics, separated by commas; default: all")] = "",
    groups: Annotated[
        str, typer.Option(help="which images are of one slide: auto, none, a CSV file, or a regular expression")
    ] = "auto",
    compare_with: Annotated[
        str | None, typer.Option(help="published scores to print beside these, such as mist-her2 or bci")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="microns per pixel; default: from the data set or the stainer")
    ] = None,
    marker: Annotated[
        str | None,
        typer.Option(help="nuclear, membrane or cytoplasm, or a stain such as ki67; decides which cell scores vote"),
    ] = None,
    stainer: Annotated[
        Path | None, typer.Option(help="stainer or run folder from which mpp and marker are taken")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="the only system whose differences are tested; default: all pairs")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="folder of masks; only cells inside them are counted")] = None,
    repeat: Annotated[
        Path | None, typer.Option(help="folder of a second real section, scored as what can be reached at most")
    ] = None,
    nuclei: Annotated[
        Path | None, typer.Option(help="folder of label images of nuclei (PNG, TIFF, NPY), for scores cell by cell")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="NPY file of an encoder's features, with a CSV file of names beside it")
    ] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="write pictures of the cells that were counted")] = False,
    batch: Annotated[int, typer.Option(min=1, help="images per pass of a feature network")] = 8,
    device: Device = "auto",
    explain: Annotated[
        str | None,
        typer.Option(callback=_explain, is_eager=True, help="print what a metric means (or the list of all) and stop"),
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
    if not any(system.estimates for system in evaluation.systems):
        raise typer.Exit(1)  # why is printed with the scores


@app.command(rich_help_panel="Evaluate")
def report(
    out: Annotated[Path, typer.Option(help="the HTML page to write")],
    run: Annotated[Path | None, typer.Option(help="run folder of restain train")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="output folder of restain evaluate")] = None,
    slides: Annotated[Path | None, typer.Option(help="output folder of restain slide, to show its slides")] = None,
    images: Annotated[int, typer.Option(min=1, help="fields of view to show")] = 6,
    force: Annotated[
        bool, typer.Option("--force", help="write the page although run and evaluation do not belong together")
    ] = False,
) -> None:
    """Write one self-contained HTML page about a run and its evaluation."""
    import restain

    typer.echo(restain.report(out, run=run, evaluation=evaluation, slides=slides, images=images, force=force))


@app.command(rich_help_panel="Evaluate")
def table(
    evaluations: Annotated[list[Path], typer.Argument(help="output folders of restain evaluate", show_default=False)],
    format: Annotated[
        Literal["markdown", "latex", "csv"] | None,
        typer.Option(case_sensitive=False, help="by default as the suffix of --out asks for: .md, .tex or .csv"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write; by default the table is printed")] = None,
    metrics: Annotated[str, typer.Option(help="names or families, with commas; a short list by default")] = "",
    uncertainty: Annotated[
        Literal["interval", "sd", "none"],
        typer.Option(case_sensitive=False, help="95 % interval, standard deviation over images, or neither"),
    ] = "interval",
    force: Annotated[
        bool, typer.Option("--force", help="make the table although evaluations do not compare, and mark them")
    ] = False,
) -> None:
    """Write a table of scores for a paper: the best bold, the second underlined."""
    import restain

    text = restain.table(
        evaluations, format=format, out=out, metrics=metrics.split(","), uncertainty=uncertainty, force=force
    )
    typer.echo(text if out is None else out, nl=out is not None)


@weights_app.command("list")
def list_weights(as_json: Json = False) -> None:
    """Show each weight file: present or missing, size, hash, and which metric needs it."""
    import restain
    from restain.console.as_json import print_json
    from restain.console.weights import as_fields, print_weights

    held = restain.list_weights()
    if as_json:
        print_json(**as_fields(held))
    else:
        print_weights(held)


@weights_app.command("path")
def weights_path(
    name: Annotated[str, typer.Argument(help="name of a weight file, as restain weights list shows")],
) -> None:
    """Verify the hash of a weight file and print its path."""
    import restain

    typer.echo(restain.weights_path(name))


@weights_app.command("add")
def add_weights(
    file: Annotated[Path, typer.Argument(help="a weight file, under any file name")],
    name: Annotated[
        str | None, typer.Option("--as", help="name that it must have; by default its hash decides")
    ] = None,
) -> None:
    """Copy a weight file into the weights folder, if its hash is known."""
    import restain

    typer.echo(restain.add_weights(file, name))


@weights_app.command("fetch")
def fetch_weights(
    names: Annotated[list[str] | None, typer.Argument(help="names of the files; default: all that are missing")] = None,
) -> None:
    """Download weight files, continue broken downloads, and keep only files with the right hash."""
    import restain

    for path in restain.fetch_weights(names):
        typer.echo(path)
