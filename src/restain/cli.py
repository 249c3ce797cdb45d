"""Commands -> functions; nothing else. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.errors import RestainError

Folder = Annotated[Path, typer.Option(file_okay=False)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Tracker = Literal["tensorboard", "wandb", "mlflow"]
Precision = Annotated[str, typer.Option(help="auto, 32 or bf16")]

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


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="folder in a known layout, or a CSV manifest")],
    out: Annotated[Path, typer.Option(help="run folder to write")],
    recipe: Annotated[
        str | None, typer.Option(help="name of a recipe, or a YAML file; default: asp-dgrank, or the resumed run's own")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="section.field=value; repeatable")] = None,
    track: Annotated[
        list[Tracker] | None, typer.Option(help="where the log also goes, in place of the recipe's choice; repeatable")
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write outputs anew that exist")] = False,
    batch: Annotated[int, typer.Option(min=1, help="images of one size per pass")] = 1,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Turn H&E images into virtual IHC images."""
    import restain

    result = restain.stain(stainer, input, out, overwrite, batch, device, precision)
    typer.echo(f"{len(result.written)} written, {len(result.skipped)} skipped, {len(result.failed)} failed")
    for reason in result.failed.values():
        typer.echo(f"failed: {reason}", err=True)
    if result.failed:
        raise typer.Exit(1)


def _explain(metric: str | None) -> None:
    if metric is not None:
        from restain.evaluation import explain

        typer.echo(explain(metric))
        raise typer.Exit


@app.command()
def slide(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    input: Annotated[list[Path], typer.Option(help="slide, or folder of slides; repeatable")],
    out: Annotated[Path, typer.Option(help="folder for the virtual slides")],
    mpp: Annotated[
        float | None, typer.Option(help="microns per pixel of the slides, if they lie or say nothing")
    ] = None,
    model_mpp: Annotated[float | None, typer.Option(help="microns per pixel at which the stainer works")] = None,
    norm: Annotated[Literal["tile", "slide", "local"], typer.Option(help="whose statistics normalise")] = "slide",
    tile: Annotated[int, typer.Option(help="pixels on a side that pass through the network at once")] = 1024,
    match_source: Annotated[bool, typer.Option("--match-source", help="write on the H&E's own pixel grid")] = False,
    glass: Annotated[bool, typer.Option("--glass", help="stain glass too, in place of filling it with white")] = False,
    lossless: Annotated[bool, typer.Option("--lossless", help="deflate in place of JPEG")] = False,
    quality: Annotated[int, typer.Option(help="of the JPEG, 1 to 100")] = 90,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="leave finished slides alone")] = False,
    force: Annotated[bool, typer.Option("--force", help="stain although resolutions differ twofold")] = False,
    precision: Precision = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="tell tiles, memory, time and size; write nothing")
    ] = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="this process, or a Ray cluster")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="with Ray: processes")] = None,
    device: Device = "auto",
) -> None:
    """Stain whole slides: pyramidal OME-TIFF, seam-free, in register with the H&E.

    The same command again continues a run that was stopped. The exit status is 1 where a slide failed.
    """
    import restain
    from restain.slides.run.batch import print_run

    options = restain.SlideOptions(
        mpp, model_mpp, norm, tile, match_source, glass, lossless, quality, skip_existing, force, precision
    )
    if dry_run:
        from restain.slides.run.estimate import foresee, print_outlook

        print_outlook(foresee(stainer, input, out, options, device))
        return
    try:
        run = restain.slide(stainer, input, out, options, device, engine, workers)
    except KeyboardInterrupt:
        typer.echo("restain: stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    print_run(run)
    if run.failed:
        raise typer.Exit(1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a slide, one that restain wrote or any other")],
) -> None:
    """Open a slide file with every reader that is installed, and see whether they agree."""
    import restain
    from restain.wsi.check.checking import print_check

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
    protocol: Annotated[str, typer.Option(help="clean, asp2023, bci2022, unistainnet2026, cssp2p or skimage018")] = "clean",
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
    marker: Annotated[str, typer.Option(help="her2, er, pr or ki67")],
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
) -> None:
    """Draw virtual tissue, H&E and IHC, whose truth is known."""
    import restain

    section = restain.Consecutive(warp, shift, rotation, turnover) if consecutive else None
    options = restain.PhantomOptions(mpp, val_fraction, slide, jpeg_quality, blur, noise, section)
    restain.phantom(marker, out, pairs, size, seed, options)


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
    from restain.data.inspection import print_inspection

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

    typer.echo(restain.import_weights(family, weights, out, stain, mpp))


@app.command()
def export(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    out: Annotated[Path, typer.Option(help="the file to write, .onnx")],
    to: Annotated[str, typer.Option(help="onnx")] = "onnx",
) -> None:
    """Write a stainer as an ONNX file, checked against PyTorch."""
    import restain

    exported = restain.export(stainer, out, to)
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
    marker: Annotated[str, typer.Option(help="her2, er, pr or ki67")] = "er",
    seed: int = 0,
) -> None:
    """The whole way once: virtual tissue, training, staining, evaluation, a page to look at."""
    import restain

    restain.demo(out, marker, seed)


@app.command()
def doctor() -> None:
    """Print versions and devices, what is missing, and how to get it."""
    import restain
    from restain.diagnosis import print_findings

    print_findings(restain.doctor())


def main() -> None:
    """Run the command line; an error from outside the program becomes one sentence and exit status 2."""
    try:
        app()
    except (RestainError, OSError) as error:  # a full disk or a folder without permission says enough by itself
        typer.echo(f"restain: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
