"""Commands -> functions; nothing else. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.errors import RestainError, in_short, os_reason, printable

Folder = Annotated[Path, typer.Option(file_okay=False)]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(case_sensitive=False, help="where to compute; auto: cuda if it is there"),
]
Precision = Annotated[
    Literal["auto", "32", "bf16"],
    typer.Option(case_sensitive=False, help="of the network; auto: bf16 where the device multiplies it natively"),
]
Marker = Annotated[
    Literal["her2", "er", "pr", "ki67"], typer.Option(case_sensitive=False, help="which stain the tissue is given")
]

app = typer.Typer(
    name="restain",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Virtual staining for digital pathology: learn, evaluate and apply H&E to immunohistochemistry. "
    "Research software, not for clinical use.",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at a data set before it is trained on.")
weights_app = typer.Typer(
    no_args_is_help=True, help="Weights of the networks that FID, KID, LPIPS and PHV look through."
)
recipes_app = typer.Typer(help="Recipes: one for each published row.", invoke_without_command=True)
app.add_typer(data_app, name="data")
app.add_typer(recipes_app, name="recipes")
app.add_typer(weights_app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"restain {metadata.version('restain')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="folder in a known layout, or a CSV manifest")],
    out: Annotated[Path, typer.Option(help="run folder to write")],
    recipe: Annotated[
        str | None, typer.Option(help="name of a recipe, or a YAML file; default: asp-dgrank, or the resumed run's own")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="section.field=value; repeatable")] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="where the log also goes, in place of the recipe's choice: tensorboard, wandb, mlflow; repeatable"
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue from the last checkpoint in --out")] = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="processes on each machine, one per GPU")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="machines, under torchrun or SLURM")] = 1,
) -> None:
    """Learn a stain from pairs (or unpaired folders) of H&E and IHC."""
    import restain

    changes = list(overrides or ())
    if track is not None:
        changes.append(f"log.trackers=[{', '.join(track)}]")
    machine = restain.Machine(device=device, devices=devices, nodes=nodes)
    stainer = restain.train(data, out, recipe, overrides=changes, resume=resume, machine=machine)
    typer.echo(f"stainer: {stainer}")


@app.command()
def stain(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    input: Annotated[list[Path], typer.Option(help="image or folder; repeatable")],
    out: Annotated[Path, typer.Option(help="folder for the virtual stains")],
    norm: Annotated[
        Literal["stainer", "folder", "image"] | None,
        typer.Option(
            help="where normalisation takes its statistics from: those stored in the stainer, crops of all the input "
            "images, or each image; stainer if it has statistics, else image"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write all outputs again, unchanged ones too")] = False,
    batch: Annotated[int, typer.Option(min=1, help="images of one size per pass")] = 1,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Turn H&E images into virtual IHC images."""
    import restain

    result = restain.stain(
        stainer, input, out, norm=norm, overwrite=overwrite, batch=batch, device=device, precision=precision
    )
    replaced = f" ({len(result.replaced)} of them made otherwise before)" if result.replaced else ""
    typer.echo(f"{len(result.written)} written{replaced}, {len(result.skipped)} unchanged, {len(result.failed)} failed")
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for reason in result.failed.values():
        typer.echo(f"failed: {reason}", err=True)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def calibrate(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    data: Annotated[Path, typer.Option(help="H&E like that of the training: a data set, or a folder of images")],
    out: Annotated[Path | None, typer.Option(help="folder for the result; the stainer itself if left out")] = None,
    crops: Annotated[int, typer.Option(min=50, help="random crops to measure")] = 300,
    seed: Annotated[int, typer.Option(help="seed of the random crops")] = 0,
    target: Annotated[str, typer.Option(help="name of the IHC, if the data set has several")] = "B",
    device: Device = "auto",
) -> None:
    """Measure normalisation statistics on H&E and store them in a stainer.

    With stored statistics, the amount of stain follows the tissue in each image. A training does this at its end.
    """
    import restain

    written = restain.calibrate(stainer, data, out=out, crops=crops, seed=seed, target=target, device=device)
    made = restain.load_stainer(written)
    if made.fixed:
        typer.echo("the norms of this generator are fixed: it needs no statistics; stored how the H&E looks")
    typer.echo(written)


def _explain(metric: str | None) -> None:
    if metric is not None:
        from restain.evaluation import explain

        typer.echo(explain(metric))
        raise typer.Exit


@app.command()
def slide(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    out: Annotated[Path, typer.Option(help="folder for the virtual slides")],
    slides: Annotated[list[Path] | None, typer.Argument(help="slides, or folders of slides")] = None,
    input: Annotated[list[Path] | None, typer.Option(help="slide, or folder of slides; repeatable")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="microns per pixel of the slides; overrides a missing or wrong resolution")
    ] = None,
    mpp_table: Annotated[
        Path | None, typer.Option(help="CSV file with the columns slide and mpp; overrides --mpp")
    ] = None,
    model_mpp: Annotated[float | None, typer.Option(help="microns per pixel at which the stainer works")] = None,
    tissue: Annotated[
        Path | None,
        typer.Option(help="GeoJSON of the tissue in pixels of the H&E: a file, or a folder of NAME.tissue.geojson"),
    ] = None,
    norm: Annotated[
        Literal["stainer", "slide", "local", "tile"] | None,
        typer.Option(help="whose statistics normalise the network [default: stainer, if it has them, else slide]"),
    ] = None,
    tile: Annotated[int, typer.Option(help="side in pixels of what the network stains at once")] = 1024,
    seams: Annotated[
        Literal["auto", "exact", "feather"],
        typer.Option(help="exact halo, feathered windows, or exact while the halo is at most half a tile"),
    ] = "auto",
    match_source: Annotated[bool, typer.Option("--match-source", help="write on the H&E's own pixel grid")] = False,
    stain_background: Annotated[
        bool, typer.Option("--stain-background", help="stain the bare glass too, instead of filling it with white")
    ] = False,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="compress without loss (deflate) instead of JPEG")
    ] = False,
    quality: Annotated[int, typer.Option(help="JPEG quality, 1 to 100")] = 90,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="stain slides again that the same stainer and options have made")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="stain although resolutions differ by more than a factor of two")
    ] = False,
    precision: Precision = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print tiles, memory, time and file size; write nothing")
    ] = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="this process, or a Ray cluster")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="number of processes, with --engine ray")] = None,
    device: Device = "auto",
) -> None:
    """Stain whole slides: pyramidal OME-TIFF, seam-free, in register with the H&E.

    The same command again continues a run that was stopped, and leaves finished slides alone. The exit status is 1 if
    a slide failed or is being stained by another process.
    """
    import restain
    from restain.console.slides import print_estimates, print_run, signals_as_interrupt

    inputs = [*(slides or ()), *(input or ())]
    options = restain.SlideOptions(
        mpp=mpp,
        model_mpp=model_mpp,
        norm=norm,
        tile=tile,
        seams=seams,
        match_source=match_source,
        stain_background=stain_background,
        lossless=lossless,
        quality=quality,
        overwrite=overwrite,
        force=force,
        precision=precision,
    )
    if dry_run:
        from restain.slides.run.estimate import estimate_slides

        estimates = estimate_slides(
            stainer, inputs, out, options=options, device=device, tissue=tissue, mpp_table=mpp_table
        )
        print_estimates(estimates)
        if any(estimate.error for estimate in estimates):
            raise typer.Exit(1)
        return
    try:
        with signals_as_interrupt():
            run = restain.slide(
                stainer,
                inputs,
                out,
                options=options,
                device=device,
                tissue=tissue,
                mpp_table=mpp_table,
                engine=engine,
                workers=workers,
            )
    except KeyboardInterrupt:
        typer.echo("restain: stopped; the same command continues from here", err=True)
        raise typer.Exit(130) from None
    print_run(run)
    if run.failed or any(record.status == "busy" for record in run.records):
        raise typer.Exit(1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a slide file, or the folder of a DICOM series")],
) -> None:
    """Open a slide file with every reader that is installed, and see whether they agree."""
    import restain
    from restain.console.check import print_check

    result = restain.check(file)
    print_check(result)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
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


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="the HTML page to write")],
    run: Annotated[Path | None, typer.Option(help="run folder of restain train")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="output folder of restain evaluate")] = None,
    images: Annotated[int, typer.Option(min=1, help="fields of view to show")] = 6,
) -> None:
    """Write one self-contained HTML page about a run and its evaluation."""
    import restain

    typer.echo(restain.report(out, run=run, evaluation=evaluation, images=images))


@app.command()
def phantom(
    marker: Marker,
    out: Annotated[Path, typer.Option(help="new folder for the data set")],
    pairs: Annotated[int, typer.Option(help="image pairs (ignored with --slide)")] = 32,
    size: Annotated[int, typer.Option(help="side in pixels")] = 512,
    seed: int = 0,
    mpp: Annotated[float, typer.Option(help="microns per pixel")] = 0.5,
    val_fraction: Annotated[float, typer.Option(help="share of the slides held out")] = 0.2,
    slide: Annotated[bool, typer.Option("--slide", help="one large image pair as tiled TIFF")] = False,
    jpeg_quality: Annotated[int | None, typer.Option(help="JPEG instead of lossless files")] = None,
    blur: Annotated[float, typer.Option(help="scanner point spread, pixels")] = 0.6,
    noise: Annotated[float, typer.Option(help="scanner noise, grey levels")] = 2.0,
    consecutive: Annotated[bool, typer.Option("--consecutive", help="IHC on the next section of the tissue")] = False,
    warp: Annotated[float, typer.Option(help="consecutive: largest deformation, pixels")] = 6.0,
    shift: Annotated[float, typer.Option(help="consecutive: largest shift, pixels")] = 12.0,
    rotation: Annotated[float, typer.Option(help="consecutive: largest rotation, degrees")] = 2.0,
    turnover: Annotated[float, typer.Option(help="consecutive: share of other cells")] = 0.3,
    laboratory: Annotated[int, typer.Option(help="which laboratory stained the H&E; 0 is the usual one")] = 0,
) -> None:
    """Draw virtual tissue, H&E and IHC, whose truth is known."""
    import restain

    section = restain.Consecutive(warp=warp, shift=shift, rotation=rotation, turnover=turnover)
    options = restain.PhantomOptions(
        mpp=mpp,
        val_fraction=val_fraction,
        slide=slide,
        jpeg_quality=jpeg_quality,
        blur=blur,
        noise=noise,
        consecutive=section if consecutive else None,
        laboratory=laboratory,
    )
    restain.phantom(marker, out, pairs, size, seed, options)


@app.command()
def register(
    he: Annotated[Path, typer.Option(help="H&E slide or picture")],
    ihc: Annotated[Path, typer.Option(help="IHC slide or picture of a section nearby")],
    out: Folder,
    he_mpp: Annotated[float | None, typer.Option(help="microns per pixel of the H&E, if its file is wrong")] = None,
    ihc_mpp: Annotated[float | None, typer.Option(help="microns per pixel of the IHC, if its file is wrong")] = None,
    landmarks: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="HE.csv IHC.csv", help="ImageJ's CSVs, for the error at landmarks"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="threads")] = None,
) -> None:
    """Find how the sections on two slides lie against each other."""
    import restain
    from restain.console.registration import print_registration

    result = restain.register(he, ihc, out=out, he_mpp=he_mpp, ihc_mpp=ihc_mpp, landmarks=landmarks, workers=workers)
    print_registration(result)


@app.command()
def pairs(
    out: Folder,
    slides: Annotated[
        Path | None, typer.Option(help="CSV with patient, he, ihc, stain; or a folder whose names pair up")
    ] = None,
    refine: Annotated[Path | None, typer.Option(help="data set of given pairs, to be aligned anew")] = None,
    target: Annotated[str, typer.Option(help="which IHC, with --refine, where there are several")] = "B",
    tile: Annotated[int, typer.Option(help="side of a tile, pixels")] = 1024,
    mpp: Annotated[float, typer.Option(help="microns per pixel of the tiles")] = 0.5,
    limit: Annotated[int | None, typer.Option(help="most tiles in all")] = None,
    per_slide: Annotated[int | None, typer.Option(help="most tiles of one pair of slides")] = None,
    balance: Annotated[Literal["none", "dab"], typer.Option(help="level tiles over positivity")] = "none",
    val: Annotated[float, typer.Option(help="share of the patients for validation")] = 0.15,
    test: Annotated[float, typer.Option(help="share of the patients for the test set")] = 0.15,
    seed: Annotated[int, typer.Option(help="which patients and tiles")] = 0,
    max_residual: Annotated[float, typer.Option(help="largest residual displacement, microns")] = 10.0,
    min_confidence: Annotated[float, typer.Option(help="smallest share of a tile that agrees")] = 0.25,
    min_tissue: Annotated[float, typer.Option(help="smallest share of tissue")] = 0.4,
    max_blur: Annotated[float, typer.Option(help="largest blur effect, 0 sharp to 1")] = 0.65,
    max_pen: Annotated[float, typer.Option(help="largest share of ink")] = 0.01,
    max_fold: Annotated[float, typer.Option(help="largest share of tissue that lies double")] = 0.1,
    workers: Annotated[int | None, typer.Option(min=1, help="threads")] = None,
) -> None:
    """Cut aligned, gated training pairs out of whole slides, or align given pairs anew."""
    import restain
    from restain.console.registration import print_pairs

    options = restain.PairOptions(
        tile=tile,
        mpp=mpp,
        limit=limit,
        per_slide=per_slide,
        balance=balance,
        val=val,
        test=test,
        seed=seed,
        max_residual=max_residual,
        min_confidence=min_confidence,
        min_tissue=min_tissue,
        max_blur=max_blur,
        max_pen=max_pen,
        max_fold=max_fold,
    )
    run = restain.pairs(slides, out=out, refine=refine, target=target, options=options, workers=workers)
    print_pairs(run)
    if run.failed:
        raise typer.Exit(1)


@app.command()
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


@data_app.command()
def inspect(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="folder in a known layout, or a CSV manifest")],
    out: Annotated[Path | None, typer.Option(help="folder for inspection.json and pairs.csv")] = None,
    target: Annotated[str, typer.Option(help="which IHC, where a folder holds several")] = "B",
    crop: Annotated[int | None, typer.Option(help="crop that training will use, pixels")] = None,
) -> None:
    """Check files, partners, duplicates, leaks between splits and the shift between H&E and IHC.

    The exit status says whether training could start.
    """
    import restain
    from restain.console.inspection import print_inspection

    inspection = restain.inspect(root, out, target, crop)
    print_inspection(inspection)
    if not inspection.can_train:
        raise typer.Exit(1)


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes that ship with restain."""
    if context.invoked_subcommand is None:
        from restain.recipes import load_recipe, recipe_names

        for name in recipe_names():
            typer.echo(f"{name:30} {load_recipe(name).about}")


@recipes_app.command()
def schema() -> None:
    """Print the JSON schema of a recipe file, for completion in an editor."""
    import json

    from restain.recipes import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=2))


@recipes_app.command()
def show(
    name: Annotated[str, typer.Argument(help="name of a recipe, or a YAML file")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="section.field=value; repeatable")] = None,
) -> None:
    """Print a recipe with every value resolved."""
    from restain.recipes import load_recipe

    typer.echo(load_recipe(name, overrides or ()).to_yaml(), nl=False)


@app.command("import")
def import_weights(
    weights: Annotated[Path, typer.Argument(help="a published latest_net_G.pth")],
    family: Annotated[Literal["asp", "cut"], typer.Option("--from", help="whose release it is")],
    out: Annotated[Path, typer.Option(help="stainer folder to write")],
    stain: Annotated[str | None, typer.Option(help="name of the marker")] = None,
    mpp: Annotated[float | None, typer.Option(help="microns per pixel of its training images (MIST: 0.4661)")] = None,
) -> None:
    """Turn published ASP or CUT generator weights into a stainer."""
    import restain

    typer.echo(restain.import_weights(family, weights, out, stain=stain, mpp=mpp))


@app.command()
def export(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    out: Annotated[Path, typer.Option(help="the file to write, .onnx")],
    to: Annotated[Literal["onnx"], typer.Option(case_sensitive=False, help="format of the file")] = "onnx",
    norm: Annotated[
        Literal["stainer", "image"] | None,
        typer.Option(
            help="where normalisation takes its statistics from: those stored in the stainer, or each image; "
            "stainer if it has statistics, else image"
        ),
    ] = None,
) -> None:
    """Write a stainer as an ONNX file, checked against PyTorch."""
    import restain

    exported = restain.export(stainer, out, to=to, norm=norm)
    typer.echo(f"{exported.path}: differs from PyTorch by at most {exported.largest_difference:.2g} grey levels")


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for everything that is made")] = Path("demo"),
    marker: Marker = "er",
    seed: int = 0,
) -> None:
    """The whole way once: virtual tissue, training, staining, evaluation, a page to look at."""
    import restain

    restain.demo(out, marker, seed)


@app.command()
def doctor() -> None:
    """Print versions and devices, what is missing, and how to get it."""
    import restain
    from restain.console.doctor import print_findings

    print_findings(restain.doctor())


def main() -> None:
    """Run the command line; an error from outside the program becomes one sentence and exit status 2.

    Whatever the terminal can show and however long it listens: a character that it lacks is printed as an escape, and
    a reader that goes away (``restain recipes | head -1``) ends the program without a word.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(prog_name="restain", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        status = _leave_quietly()
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        with contextlib.suppress(OSError):
            typer.echo(sentence, err=True)
        status = 2
    raise SystemExit(status if isinstance(status, int) else 0)


def _leave_quietly() -> int:
    """Nobody reads any more: what is still in the buffers goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return 1


def _sentence(error: Exception) -> str | None:
    """What the terminal shows of an error that comes from outside the program; None where it is the program's own."""
    if isinstance(error, RestainError):
        reason = str(error)
    elif isinstance(error, OSError):
        reason = f"{os.fsdecode(error.filename)}: {os_reason(error)}" if error.filename else os_reason(error)
    elif isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        reason = f"there is not enough memory ({in_short(error)}); expected less at a time"
    elif isinstance(error, typer.Abort):
        reason = "stopped"
    elif callable(message := getattr(error, "format_message", None)):  # how the command line is used
        text, context = str(message()).replace("Value error, ", ""), getattr(error, "ctx", None)
        if "\n" in text or not text:  # a command without arguments: its help, or nothing where that was printed
            return text
        reason = f"{text.rstrip('.')} (see {context.command_path if context else 'restain'} --help)"
    else:
        return None
    return f"restain: {printable(reason)}"


if __name__ == "__main__":
    main()
