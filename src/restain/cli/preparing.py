"""Commands that make and inspect data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from restain.cli.app import Json, Marker, app, data_app


@app.command(rich_help_panel="Prepare data")
def phantom(
    marker: Marker,
    out: Annotated[Path, typer.Option(help="new folder for the data set")],
    pairs: Annotated[int, typer.Option(help="number of image pairs (ignored with --slide)")] = 32,
    size: Annotated[int, typer.Option(help="side of an image in pixels")] = 512,
    seed: Annotated[int, typer.Option(help="seed of the tissue")] = 0,
    mpp: Annotated[float, typer.Option(help="microns per pixel")] = 0.5,
    val_fraction: Annotated[float, typer.Option(help="share of the slides for validation")] = 0.2,
    slide: Annotated[bool, typer.Option("--slide", help="draw one large pair as tiled TIFF")] = False,
    jpeg_quality: Annotated[
        int | None, typer.Option(help="write JPEG of this quality instead of lossless files")
    ] = None,
    blur: Annotated[float, typer.Option(help="blur of the scanner, in pixels")] = 0.6,
    noise: Annotated[float, typer.Option(help="noise of the scanner, in grey levels")] = 2.0,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="draw the IHC on the next section of the tissue")
    ] = False,
    warp: Annotated[float, typer.Option(help="with --consecutive: largest deformation in pixels")] = 6.0,
    shift: Annotated[float, typer.Option(help="with --consecutive: largest shift in pixels")] = 12.0,
    rotation: Annotated[float, typer.Option(help="with --consecutive: largest rotation in degrees")] = 2.0,
    turnover: Annotated[float, typer.Option(help="with --consecutive: share of cells that differ")] = 0.3,
    laboratory: Annotated[int, typer.Option(help="laboratory that stains the H&E, a number; 0 is the usual one")] = 0,
) -> None:
    """Draw virtual tissue, H&E and IHC, with known truth."""
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


@app.command(rich_help_panel="Prepare data")
def register(
    he: Annotated[Path, typer.Option(help="H&E slide or picture")],
    ihc: Annotated[Path, typer.Option(help="IHC slide or picture of a nearby section")],
    out: Annotated[Path, typer.Option(file_okay=False, help="folder for the transform, the residuals and the overlay")],
    he_mpp: Annotated[
        float | None, typer.Option(help="microns per pixel of the H&E; overrides a missing or wrong resolution")
    ] = None,
    ihc_mpp: Annotated[
        float | None, typer.Option(help="microns per pixel of the IHC; overrides a missing or wrong resolution")
    ] = None,
    landmarks: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="HE.csv IHC.csv", help="landmarks on both slides (CSV files of ImageJ), to measure the error"
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="number of threads")] = None,
) -> None:
    """Find the transform between the sections on two slides."""
    import restain
    from restain.console.registration import print_registration

    result = restain.register(he, ihc, out=out, he_mpp=he_mpp, ihc_mpp=ihc_mpp, landmarks=landmarks, workers=workers)
    print_registration(result)


@app.command(rich_help_panel="Prepare data")
def pairs(
    out: Annotated[Path, typer.Option(file_okay=False, help="folder for the data set")],
    slides: Annotated[
        Path | None,
        typer.Option(help="CSV file with the columns patient, he, ihc, stain; or a folder with matching names"),
    ] = None,
    refine: Annotated[Path | None, typer.Option(help="data set whose pairs are to be aligned again")] = None,
    target: Annotated[str, typer.Option(help="with --refine: name of the IHC, if the data set has several")] = "B",
    tile: Annotated[int, typer.Option(help="side of a tile in pixels")] = 1024,
    mpp: Annotated[float, typer.Option(help="microns per pixel of the tiles")] = 0.5,
    limit: Annotated[int | None, typer.Option(help="largest number of tiles")] = None,
    per_slide: Annotated[int | None, typer.Option(help="largest number of tiles per pair of slides")] = None,
    balance: Annotated[
        Literal["none", "dab"],
        typer.Option(help="dab: take as many tiles from each quarter of the range of positivity"),
    ] = "none",
    val: Annotated[float, typer.Option(help="share of the patients for validation")] = 0.15,
    test: Annotated[float, typer.Option(help="share of the patients for the test set")] = 0.15,
    seed: Annotated[int, typer.Option(help="seed of the choice of patients and tiles")] = 0,
    max_residual: Annotated[float, typer.Option(help="largest residual displacement in microns")] = 10.0,
    min_confidence: Annotated[float, typer.Option(help="smallest share of a tile whose two stains agree")] = 0.25,
    min_tissue: Annotated[float, typer.Option(help="smallest share of tissue in a tile")] = 0.4,
    max_blur: Annotated[float, typer.Option(help="largest blur effect, from 0 (sharp) to 1")] = 0.65,
    max_pen: Annotated[float, typer.Option(help="largest share of ink in a tile")] = 0.01,
    max_fold: Annotated[float, typer.Option(help="largest share of folded tissue")] = 0.1,
    workers: Annotated[int | None, typer.Option(min=1, help="number of threads")] = None,
) -> None:
    """Cut aligned, checked training pairs out of whole slides, or align existing pairs again."""
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


@data_app.command()
def inspect(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="folder in a known layout, or a CSV manifest")],
    out: Annotated[Path | None, typer.Option(help="folder for inspection.json and inspection.csv")] = None,
    target: Annotated[str, typer.Option(help="name of the IHC, if the data set has several")] = "B",
    crop: Annotated[int | None, typer.Option(help="crop that the training will use, in pixels")] = None,
    as_json: Json = False,
) -> None:
    """Check files, partners, duplicates, leaks between splits and the shift between H&E and IHC.

    The exit status is 0 if training can start, else 1.
    """
    import restain
    from restain.console.as_json import print_json
    from restain.console.inspection import print_inspection
    from restain.data.inspection import summarise

    inspection = restain.inspect(root, out, target, crop)
    if as_json:
        print_json(**summarise(inspection))
    else:
        print_inspection(inspection, written=out is not None)
    if not inspection.can_train:
        raise typer.Exit(1)
