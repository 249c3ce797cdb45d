"""The application, its groups of commands, and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
study_app = typer.Typer(no_args_is_help=True, help="Reader studies: virtual and real stains, read blind.")
recipes_app = typer.Typer(help="Recipes: one for each published row.", invoke_without_command=True)
app.add_typer(data_app, name="data", rich_help_panel="Prepare data")
app.add_typer(recipes_app, name="recipes", rich_help_panel="Train")
app.add_typer(weights_app, name="weights", rich_help_panel="Evaluate")
app.add_typer(study_app, name="study", rich_help_panel="Look")


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
