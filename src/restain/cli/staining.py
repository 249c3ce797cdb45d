"""Commands that apply a stainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Device, Json, Precision, app
from restain.cli.signals import signals_as_interrupt


@app.command(rich_help_panel="Stain")
def stain(
    stainer: Annotated[Path, typer.Option(help="stainer folder, run folder, or hf://OWNER/NAME")],
    out: Annotated[Path, typer.Option(help="folder for the virtual stains")],
    images: Annotated[list[Path] | None, typer.Argument(help="images, or folders of images")] = None,
    input: Annotated[list[Path] | None, typer.Option(help="image, or folder of images; repeatable")] = None,
    norm: Annotated[
        Literal["stainer", "folder", "image"] | None,
        typer.Option(
            help="where normalisation takes its statistics from: those stored in the stainer, crops of all the input "
            "images, or each image; stainer if it has statistics, else image"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write all outputs again, unchanged ones too")] = False,
    batch: Annotated[int, typer.Option(min=1, help="number of images per pass")] = 1,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Turn H&E images into virtual IHC images."""
    import restain

    result = restain.stain(
        stainer,
        [*(images or ()), *(input or ())],
        out,
        norm=norm,
        overwrite=overwrite,
        batch=batch,
        device=device,
        precision=precision,
    )
    replaced = f" ({len(result.replaced)} of them replace different ones)" if result.replaced else ""
    typer.echo(f"{len(result.written)} written{replaced}, {len(result.skipped)} unchanged, {len(result.failed)} failed")
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for reason in result.failed.values():
        typer.echo(f"failed: {reason}", err=True)
    if result.failed:
        raise typer.Exit(1)


@app.command(rich_help_panel="Stain")
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
    model_mpp: Annotated[
        float | None, typer.Option(help="microns per pixel at which the stainer works; default: from the stainer")
    ] = None,
    tissue: Annotated[
        Path | None,
        typer.Option(help="GeoJSON of the tissue in pixels of the H&E: a file, or a folder of NAME.tissue.geojson"),
    ] = None,
    roi: Annotated[
        Path | None,
        typer.Option(
            help="GeoJSON of the region of interest, outside which nothing is stained: a file, or a folder of "
            "NAME.roi.geojson"
        ),
    ] = None,
    norm: Annotated[
        Literal["stainer", "slide", "local", "tile"] | None,
        typer.Option(
            help="where normalisation takes its statistics from: the stainer, the slide, the neighbourhood (local), or "
            "each tile; default: stainer if it has statistics, else slide"
        ),
    ] = None,
    tile: Annotated[int, typer.Option(help="side in pixels of the tiles that the network stains")] = 1024,
    seams: Annotated[
        Literal["auto", "exact", "feather"],
        typer.Option(help="exact halo, feathered windows, or auto: exact if the halo is at most half a tile"),
    ] = "auto",
    match_source: Annotated[bool, typer.Option("--match-source", help="write on the H&E's own pixel grid")] = False,
    stain_background: Annotated[
        bool, typer.Option("--stain-background", help="stain the bare glass too, instead of filling it with one colour")
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
    devices: Annotated[
        int, typer.Option(min=1, help="processes on this machine, one per GPU; each stains one slide at a time")
    ] = 1,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="where it runs: on this machine, or on a Ray cluster")
    ] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="number of processes, with --engine ray")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Stain whole slides, without seams and aligned with the H&E, as pyramidal OME-TIFF.

    The same command again continues a run that was stopped, and leaves finished slides alone. The exit status is 1 if
    a slide failed or is being stained by another process.
    """
    import restain
    from restain.console.as_json import print_json
    from restain.console.slides import print_estimates, print_run

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

        dry = estimate_slides(
            stainer,
            inputs,
            out,
            options=options,
            device=device,
            tissue=tissue,
            roi=roi,
            mpp_table=mpp_table,
            devices=devices,
            engine=engine,
            workers=workers,
        )
        if as_json:
            print_json(estimates=dry.estimates, ignored=dry.ignored)
        else:
            print_estimates(dry)
        if any(estimate.error for estimate in dry.estimates):
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
                roi=roi,
                mpp_table=mpp_table,
                devices=devices,
                engine=engine,
                workers=workers,
            )
    except KeyboardInterrupt:
        typer.echo("restain: stopped; the same command continues from here", err=True)
        raise typer.Exit(130) from None
    if as_json:
        print_json(out=run.out, slides=run.records, ignored=run.ignored)
    else:
        print_run(run)
    if run.failed or any(record.status == "busy" for record in run.records):
        raise typer.Exit(1)


@app.command(rich_help_panel="Stain")
def check(
    file: Annotated[Path, typer.Argument(help="a slide file, or the folder of a DICOM series")],
    as_json: Json = False,
) -> None:
    """Open a slide file with every installed reader and compare what they see."""
    import restain
    from restain.console.as_json import print_json
    from restain.console.check import print_check

    result = restain.check(file)
    if as_json:
        print_json(ok=result.ok, **vars(result))
    else:
        print_check(result)
    if not result.ok:
        raise typer.Exit(1)
