"""The application, its groups of commands, and the options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(case_sensitive=False, help="device of the computation; auto: cuda if available"),
]
Precision = Annotated[
    Literal["auto", "32", "bf16"],
    typer.Option(
        case_sensitive=False, help="precision of the network; auto: bf16 where the device computes it natively"
    ),
]
Marker = Annotated[
    Literal["her2", "er", "pr", "ki67"], typer.Option(case_sensitive=False, help="stain of the virtual tissue")
]

Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of a table")]

app = typer.Typer(
    name="restain",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Virtual staining for digital pathology: train, evaluate and apply H&E to immunohistochemistry. "
    "Research software, not for clinical use.",
)
data_app = typer.Typer(no_args_is_help=True, help="Inspect a data set before training.")
weights_app = typer.Typer(no_args_is_help=True, help="Weights of the networks that FID, KID, LPIPS and PHV need.")
study_app = typer.Typer(no_args_is_help=True, help="Reader studies: virtual and real stains, read blind.")
recipes_app = typer.Typer(help="Recipes: the settings of each published system.", invoke_without_command=True)
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
