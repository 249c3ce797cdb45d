"""The command that compares systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Device, app


@app.command(rich_help_panel="Evaluate")
def bench(
    data: Annotated[Path, typer.Option(help="folder in a known layout, or a CSV manifest, with a held-out split")],
    recipes: Annotated[
        str, typer.Option(help="names or files, with commas; the others are tested against the first")
    ] = "",
    budget: Annotated[
        str | None, typer.Option(help="2000steps, 2epochs or 10min; each recipe's own length if left out")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each recipe")] = 3,
    out: Annotated[Path, typer.Option(help="folder for tables, pictures, page and trainings")] = Path("bench"),
    paper: Annotated[
        Literal["table2", "table3", "table4", "table5", "table7"] | None,
        typer.Option(help="recipes, metrics and published rows of a table of the ASP-DGRank paper"),
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="train the -small forms of the recipes")] = False,
    batch: Annotated[
        str | None, typer.Option(help="images per step, or own: as each recipe states; 1 with a budget, else own")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.field=value for every recipe; repeatable")
    ] = None,
    metrics: Annotated[str, typer.Option(help="names or families, with commas; all where left out")] = "",
    protocol: Annotated[
        Literal["clean", "asp2023", "bci2022", "unistainnet2026", "cssp2p", "skimage018"],
        typer.Option(case_sensitive=False, help="how scores are computed: well defined, or as a paper did"),
    ] = "clean",
    test_split: Annotated[
        Literal["val", "test"] | None,
        typer.Option(help="held-out fields that are evaluated; val, or test where it alone is held out, if left out"),
    ] = None,
    truth: Annotated[
        str | None, typer.Option(help="IHC that the held-out fields are compared with; the learned one if left out")
    ] = None,
    groups: Annotated[str, typer.Option(help="images of one slide: auto, none, a CSV file, or a pattern")] = "auto",
    compare_with: Annotated[str | None, typer.Option(help="published scores, such as mist-her2 or bci")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="one training after another, or spread over a Ray cluster")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="with Ray: trainings at a time; one per GPU, or per 4 cores, if left out")
    ] = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="measure a few steps of each recipe, and estimate time and memory")
    ] = False,
) -> None:
    """Train recipes under one budget, evaluate them on the same fields, and write the table."""
    import restain
    from restain.benchmarking.budget import read_batch
    from restain.console.benchmark import print_bench

    options = restain.BenchOptions(
        small=small,
        batch=None if batch is None else read_batch(batch),
        overrides=overrides or (),
        metrics=metrics.split(",") if metrics else (),
        protocol=protocol,
        test_split=test_split,
        truth=truth,
        groups=groups,
        compare_with=compare_with,
        device=device,
        workers=workers,
    )
    run = restain.bench(
        data,
        [name.strip() for name in recipes.split(",") if name.strip()],
        budget=budget,
        seeds=seeds,
        out=out,
        paper=paper,
        engine=engine,
        dry_run=dry_run,
        options=options,
    )
    print_bench(run)
    if (run.table is None and all(one.problem for one in run.estimates)) or (run.table is not None and not run.done):
        raise typer.Exit(1)
