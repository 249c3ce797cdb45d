"""What ``restain register`` and ``restain pairs`` print."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from restain.progress import counted
from restain.registration.pairs_verb import PairsRun
from restain.registration.register_verb import RegistrationResult


def print_registration(result: RegistrationResult, console: Console | None = None) -> None:
    """Print how two slides lie and how well that is known."""
    console = console or _console()
    turned = f"turned by {result.transform.rotation:z.2f}°" + (", mirrored" if result.transform.mirrored else "")
    field = "with a smooth field" if result.transform.field is not None else "affine"
    table = Table(title=f"{escape(str(result.out))}: {turned}, {field}", show_header=False, title_justify="left")
    rows = [
        ("residual, median (90 %)", f"{result.residual_um[0]:.2f} µm ({result.residual_um[1]:.2f} µm)"),
        ("blocks that agree", f"{100 * result.inliers:.0f} %"),
        ("robustness", f"{result.robustness:.3f}"),
        ("correlation above chance", f"{result.peak:.1f} standard deviations"),
        ("support; of the next orientation", f"{result.support:.2f}; {result.runner_up:.2f}"),
    ]
    if result.rtre is not None:
        error = result.rtre
        rows.append(("rTRE, median (mean, 90 %)", f"{error.median:.3%} ({error.mean:.3%}, {error.p90:.3%})"))
        rows.append(("robustness at landmarks", f"{error.robustness:.3f}"))
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_pairs(run: PairsRun, console: Console | None = None) -> None:
    """Print a table of the slides, how many tiles each split has, and why the others were left out."""
    console = console or _console()
    if run.slides:
        title = f"{counted(len(run.slides), 'pair')} of slides in {escape(str(run.out))}"
        table = Table(title=title, title_justify="left")
        for heading in ("pair", "split", "kept", "tiles", "residual, µm", "rotation, °", "mirrored"):
            table.add_column(heading, justify="left" if heading in ("pair", "split", "mirrored") else "right")
        for slide in run.slides:
            found = ("–", "–", "–")
            if slide.residual_um is not None:
                mirrored = "yes" if slide.mirrored else "no"
                found = (f"{slide.residual_um:.2f}", f"{slide.rotation_deg:z.1f}", mirrored)
            table.add_row(escape(slide.name), slide.split, str(slide.kept), str(slide.tiles), *found)
        console.print(table)
    kept = Counter(row.split for row in run.rows if row.kept)
    counts = ", ".join(f"{kept[split]} {split}" for split in ("train", "val", "test") if kept[split]) or "none"
    console.print(f"kept {sum(kept.values())} of {len(run.rows)} tiles: {counts}", markup=False)
    for reason, count in Counter(row.reason for row in run.rows if not row.kept).most_common():
        console.print(f"  {count} left out: {reason}", markup=False, soft_wrap=True)
    for slide in run.failed:
        console.print(f"{slide.name}: {slide.error}", markup=False, soft_wrap=True)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)
