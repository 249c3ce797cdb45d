"""Commands that make a stainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Device, app, recipes_app


@app.command(rich_help_panel="Train")
def train(
    data: Annotated[Path, typer.Option(help="folder in a known layout, or a CSV manifest")],
    out: Annotated[Path, typer.Option(help="run folder to write")],
    recipe: Annotated[
        str | None, typer.Option(help="name of a recipe, or a YAML file; default: asp-dgrank, or the resumed run's own")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a field of the recipe: section.field=value; repeatable")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="tracker of the log, instead of the recipe's: tensorboard, wandb, mlflow; repeatable"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="print what would happen, with time and memory of a few steps; write nothing"),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="continue from the last checkpoint in --out")] = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="number of processes on each machine, one per GPU")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="number of machines, with torchrun or SLURM")] = 1,
) -> None:
    """Train a stainer on pairs (or unpaired folders) of H&E and IHC images."""
    import restain

    changes = list(overrides or ())
    if track is not None:
        changes.append(f"log.trackers=[{', '.join(track)}]")
    machine = restain.Machine(device=device, devices=devices, nodes=nodes)
    if dry_run:
        from restain.console.training import print_estimate
        from restain.training.estimate import estimate_training

        estimate = estimate_training(data, out, recipe, overrides=changes, resume=resume, machine=machine)
        if estimate is not None:
            print_estimate(estimate)
        return
    stainer = restain.train(data, out, recipe, overrides=changes, resume=resume, machine=machine)
    typer.echo(f"stainer: {stainer}")


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
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a field: section.field=value; repeatable")
    ] = None,
) -> None:
    """Print a recipe with every value resolved."""
    from restain.recipes import load_recipe

    typer.echo(load_recipe(name, overrides or ()).to_yaml(), nl=False)


@app.command(rich_help_panel="Train")
def calibrate(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    data: Annotated[Path, typer.Option(help="H&E like that of the training: a data set, or a folder of images")],
    out: Annotated[Path | None, typer.Option(help="folder for the result; the stainer itself if left out")] = None,
    crops: Annotated[int, typer.Option(min=50, help="random crops to measure")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="seed of the random crops")] = 0,
    target: Annotated[str, typer.Option(help="name of the IHC, if the data set has several")] = "B",
    device: Device = "auto",
) -> None:
    """Measure normalisation statistics on H&E and store them in a stainer.

    With stored statistics, the amount of stain follows the tissue in each image. A training does this at its end.
    For H&E of another laboratory, calibrate a copy (--out) on that H&E. Batch norms always need --out.
    """
    import restain

    written = restain.calibrate(stainer, data, out=out, crops=crops, seed=seed, target=target, device=device)
    made = restain.load_stainer(written)
    if not made.adaptable:
        typer.echo("this generator has no norms to calibrate; the appearance of the H&E was stored")
    typer.echo(written)


@app.command(rich_help_panel="Train")
def extract(
    run: Annotated[Path, typer.Option(help="run folder of a training, finished or stopped")],
    out: Annotated[Path, typer.Option(help="stainer folder to write")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="file in the run's checkpoints [default: the last one]", show_default=False)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="training data, if they were moved since the training")] = None,
    device: Device = "auto",
) -> None:
    """Write the stainer of a checkpoint, such as the last one of a run that was stopped."""
    import restain

    typer.echo(restain.extract(run, out, checkpoint=checkpoint, data=data, device=device))


@app.command("import", rich_help_panel="Train")
def import_weights(
    weights: Annotated[Path, typer.Argument(help="published weight file, latest_net_G.pth")],
    family: Annotated[
        Literal["cyclegan", "pix2pix", "pspstain", "asp", "cut"],
        typer.Option("--from", help="publication of the weights"),
    ],
    out: Annotated[Path, typer.Option(help="stainer folder to write")],
    stain: Annotated[str | None, typer.Option(help="name of the stain, such as HER2")] = None,
    mpp: Annotated[float | None, typer.Option(help="microns per pixel of its training images (MIST: 0.4661)")] = None,
) -> None:
    """Turn published generator weights into a stainer."""
    import restain

    typer.echo(restain.import_weights(family, weights, out, stain=stain, mpp=mpp))


@app.command(rich_help_panel="Train")
def export(
    stainer: Annotated[Path, typer.Option(help="stainer folder, or a run folder")],
    out: Annotated[Path, typer.Option(help="the file to write, .onnx")],
    to: Annotated[Literal["onnx"], typer.Option(case_sensitive=False, help="format of the file")] = "onnx",
    norm: Annotated[
        Literal["stainer", "image"] | None,
        typer.Option(
            help="where normalisation takes its statistics from: those stored in the stainer, or each image (not with "
            "batch norms); stainer if it has statistics, else image"
        ),
    ] = None,
) -> None:
    """Write a stainer as an ONNX file, checked against PyTorch."""
    import restain

    exported = restain.export(stainer, out, to=to, norm=norm)
    typer.echo(f"{exported.path}: differs from PyTorch by at most {exported.largest_difference:.2g} grey levels")


@app.command(rich_help_panel="Share")
def push(
    stainer: Annotated[Path, typer.Argument(help="stainer folder, or a run folder", show_default=False)],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="repository on the Hugging Face Hub")],
    licence: Annotated[str, typer.Option(help="licence of the weights, such as apache-2.0 or cc-by-nc-4.0")],
    datasets: Annotated[
        list[str] | None, typer.Option("--dataset", help="data set that it was trained on; repeatable")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="output folder of restain evaluate; the card lists its scores")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="make the repository private, if it is new")] = False,
) -> None:
    """Upload a stainer to the Hugging Face Hub, with its model card."""
    import restain

    typer.echo(
        restain.push(
            stainer, repository, licence=licence, datasets=datasets or (), evaluation=evaluation, private=private
        )
    )


@app.command(rich_help_panel="Share")
def pull(
    reference: Annotated[str, typer.Argument(metavar="hf://OWNER/NAME[@REVISION]", help="a stainer on the Hub")],
    out: Annotated[Path, typer.Option(help="stainer folder to write")],
) -> None:
    """Download a stainer from the Hugging Face Hub and verify its hashes."""
    import restain

    typer.echo(restain.pull(reference, out))
