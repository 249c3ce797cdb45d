"""The page of a comparison: tables, fields, learning curves, cost and origin in one HTML file. No torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from restain.benchmarking.plan import Plan
from restain.benchmarking.result_tables import cost_sheet
from restain.files import write_text
from restain.images import read_rgb
from restain.reporting import charts
from restain.reporting.labels import label
from restain.reporting.page import page_templates
from restain.reporting.pictures import Picture, jpeg_uri, svg_uri
from restain.reporting.provenance import Fact
from restain.reporting.score_sheet import ScoreSheet, SheetCell, cell_text
from restain.reporting.tables import Numbers, read_table

_TITLES = {"dab_error": "error of the mean DAB", "dab_r": "r of the mean DAB", "ssim": "SSIM"}


def write_page(plan: Plan, table: ScoreSheet, sheet: Path | None) -> Path:
    """Write ``index.html`` from the tables and the picture sheet; returns its path."""
    pages = page_templates("restain.benchmarking")
    pages.globals.update(shown=_shown)
    picture = None
    if sheet is not None:
        picture = Picture(
            "rows are systems, columns are fields", "Fields under every system", jpeg_uri(read_rgb(sheet))
        )
    html = pages.get_template("comparison.html.j2").render(
        date=datetime.now().astimezone(),
        plan=plan,
        table=table,
        costs=cost_sheet(plan),
        sheet=picture,
        curves=_curves(plan),
        provenance=_provenance(plan),
    )
    path = plan.out / "index.html"
    write_text(path, html)
    return path


def _shown(cell: SheetCell) -> tuple[str, str]:
    """The number, and what stands behind it."""
    value, _, rest = cell_text(cell).partition(" ")
    return value, rest


def _curves(plan: Plan) -> str | None:
    panels: dict[str, dict[str, list[tuple[Numbers, Numbers]]]] = {}
    for job in plan.jobs():
        path = job.run.root / "logs" / "validation.csv"
        if not path.is_file():
            continue
        log = read_table(path)
        for name in log.columns:
            if name != "step":
                lines = panels.setdefault(name, {}).setdefault(job.contender.name, [])
                lines.append((log.numbers("step"), log.numbers(name)))
    drawn = [charts.LinesPanel(_TITLES.get(name, label(name)), panel) for name, panel in panels.items()]
    return svg_uri(charts.lines(drawn)) if drawn else None


def _provenance(plan: Plan) -> list[Fact]:
    batch = "as each recipe states" if plan.batch is None else str(plan.batch)
    facts = {
        "data": str(plan.data),
        "recipes": ", ".join(contender.name for contender in plan.contenders),
        "seeds": ", ".join(map(str, plan.seeds)),
        "budget": "each recipe's own length" if plan.budget is None else str(plan.budget),
        "images per step": batch,
        "changes to every recipe": ", ".join(plan.overrides),
        "protocol": plan.protocol,
        "held-out split": plan.split,
    }
    for job in plan.jobs():
        sessions = job.run.read_environment().sessions
        if sessions:
            first = sessions[0]
            facts |= {
                "command": first.command,
                "restain": first.restain,
                "torch": first.torch,
                "device": f"{first.device}, {first.threads} threads, {first.platform}",
                "commit": f"{first.git.commit}{' with changes' if first.git.dirty else ''}" if first.git else "",
            }
            break
    return [Fact(name, value) for name, value in facts.items() if value]
