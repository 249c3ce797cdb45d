"""``restain demo``: the whole way once, on virtual tissue, ending in a page to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restain.console.evaluation import print_evaluation
from restain.console.slides import print_run
from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate
from restain.files import read_json
from restain.phantoms import PhantomOptions, phantom
from restain.progress import console
from restain.reporting import report
from restain.slides.options import SlideOptions
from restain.slides.run.batch import slide
from restain.staining import stain
from restain.training.session import train

SLIDE_OF_A_FIELD = r"^(\d+)_"  # in the names of virtual tissue


@dataclass(frozen=True)
class DemoSize:
    """How much the demonstration does; the defaults take some minutes on two CPU cores."""

    pairs: int = 100
    size: int = 256  # pixels
    epochs: int = 50
    decay_epochs: int = 25
    slide: int = 1536  # pixels on a side of the whole slide


def demo(out: str | Path = "demo", marker: str = "er", seed: int = 0, scale: DemoSize | None = None) -> Path:
    """Draw virtual tissue, train ``restain-small``, stain held-out fields and a whole slide, evaluate, write a page.

    Args:
        out: folder for everything; its parts that are already there are used again, so an interrupted
            demonstration continues.
        marker: her2, er, pr or ki67.
        seed: of the tissue and of the training.
        scale: how much is done.

    Returns:
        the path of the page, ``out/report.html``.

    Raises:
        RestainError: ``out`` holds something else, or a demonstration of another marker, seed or scale.
    """
    root, scale = Path(out), scale or DemoSize()
    tissue, run = root / "tissue", root / "run"
    if root.exists() and not (tissue / "phantom.json").exists() and any(root.iterdir()):
        raise RestainError(f"{root}: is not empty and holds no demonstration; expected a new folder")
    if (tissue / "phantom.json").exists():
        _refuse_other_tissue(tissue, {"marker": marker, "seed": seed, "pairs": scale.pairs, "size": scale.size})
    else:
        phantom(marker, tissue, pairs=scale.pairs, size=scale.size, seed=seed)
    if not (run / "stainer").is_dir():
        overrides = [
            f"seed={seed}",
            f"optim.epochs={scale.epochs}",
            f"optim.decay_epochs={scale.decay_epochs}",
            f"data.stain={marker.upper()}",
            "data.mpp=0.5",
        ]
        train(tissue, run, "restain-small", overrides=overrides, resume=True)
    stain(run, tissue / "valA", root / "virtual")
    evaluation = evaluate(
        real=tissue / "valB",
        fake=root / "virtual",
        out=root / "evaluation",
        source=tissue / "valA",
        reference=tissue / "trainB",
        options=EvaluationOptions(groups=SLIDE_OF_A_FIELD),
    )
    print_evaluation(evaluation)
    _stain_a_slide(root, run, marker, seed, scale.slide)
    page = report(root / "report.html", run=run, evaluation=root / "evaluation", slides=root / "virtual_slide")
    console.print(f"\nOpen {page} in a browser, and {root / 'virtual_slide'} in QuPath.", soft_wrap=True)
    return page


def _stain_a_slide(root: Path, run: Path, marker: str, seed: int, size: int) -> None:
    tissue = root / "slide"
    if not tissue.exists():
        phantom(marker, tissue, size=size, seed=seed + 1, options=PhantomOptions(slide=True))
    options = SlideOptions(tile=256)  # more borders than the slide needs, to show that none shows
    print_run(slide(run, tissue / "he.tif", root / "virtual_slide", options=options))


def _refuse_other_tissue(tissue: Path, wanted: dict[str, str | int]) -> None:
    drawn = read_json(tissue / "phantom.json")
    for field, value in wanted.items():
        if drawn.get(field) != value:
            raise RestainError(
                f"{tissue}: was drawn with {field} {drawn.get(field)}, now it is {value}; expected another folder"
            )
