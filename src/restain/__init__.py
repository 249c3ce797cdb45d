"""restain: virtual staining for digital pathology - learn, evaluate and apply H&E to immunohistochemistry.

Every verb of the command line is a function here, with the same name and the same words for its arguments. Modules
are nouns and verbs are functions, so ``restain.train`` is always the function. Nothing heavy is imported until it
is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restain.benchmarking.bench_verb import bench
    from restain.benchmarking.options import BenchOptions
    from restain.calibration import calibrate
    from restain.data.inspection import inspect
    from restain.demonstration import demo
    from restain.diagnosis import doctor
    from restain.errors import RestainError
    from restain.evaluation import EvaluationOptions, evaluate
    from restain.exporting import export
    from restain.phantoms import Consecutive, PhantomOptions, phantom
    from restain.published import import_weights
    from restain.recipes import Recipe, load_recipe, recipe_names
    from restain.registration.options import PairOptions
    from restain.registration.pairs_verb import pairs
    from restain.registration.register_verb import register
    from restain.reporting import report
    from restain.reporting.paper_table import table
    from restain.sharing import pull, push
    from restain.slides.options import SlideOptions
    from restain.slides.run.batch import slide
    from restain.stainer import Stainer, StainerCard
    from restain.stainer_files import load_stainer
    from restain.staining import stain
    from restain.studies.analysis import analyse_study
    from restain.studies.making import StudyMade, make_study
    from restain.studies.serving import StudyServer, serve_study
    from restain.training.distributed import Machine
    from restain.training.extraction import extract
    from restain.training.session import train
    from restain.viewer.launch import Viewer, view
    from restain.weights import add_weights, fetch_weights, list_weights, weights_path
    from restain.wsi.check.checking import check

_HOMES = {
    "BenchOptions": "benchmarking.options",
    "Consecutive": "phantoms",
    "EvaluationOptions": "evaluation",
    "Machine": "training.distributed",
    "PairOptions": "registration.options",
    "PhantomOptions": "phantoms",
    "Recipe": "recipes",
    "RestainError": "errors",
    "Stainer": "stainer",
    "StainerCard": "stainer",
    "SlideOptions": "slides.options",
    "StudyMade": "studies.making",
    "StudyServer": "studies.serving",
    "add_weights": "weights",
    "analyse_study": "studies.analysis",
    "bench": "benchmarking.bench_verb",
    "calibrate": "calibration",
    "check": "wsi.check.checking",
    "demo": "demonstration",
    "doctor": "diagnosis",
    "evaluate": "evaluation",
    "export": "exporting",
    "extract": "training.extraction",
    "fetch_weights": "weights",
    "import_weights": "published",
    "inspect": "data.inspection",
    "list_weights": "weights",
    "load_recipe": "recipes",
    "load_stainer": "stainer_files",
    "make_study": "studies.making",
    "pairs": "registration.pairs_verb",
    "phantom": "phantoms",
    "pull": "sharing",
    "push": "sharing",
    "recipe_names": "recipes",
    "register": "registration.register_verb",
    "report": "reporting",
    "serve_study": "studies.serving",
    "slide": "slides.run.batch",
    "stain": "staining",
    "table": "reporting.paper_table",
    "train": "training.session",
    "view": "viewer.launch",
    "Viewer": "viewer.launch",
    "weights_path": "weights",
}

__all__ = [  # noqa: RUF022 - the verbs in the order of a day's work
    "phantom",
    "register",
    "pairs",
    "inspect",
    "train",
    "extract",
    "calibrate",
    "stain",
    "slide",
    "check",
    "view",
    "evaluate",
    "bench",
    "report",
    "table",
    "make_study",
    "serve_study",
    "analyse_study",
    "demo",
    "doctor",
    "import_weights",
    "list_weights",
    "weights_path",
    "add_weights",
    "fetch_weights",
    "export",
    "push",
    "pull",
    "load_stainer",
    "load_recipe",
    "recipe_names",
    "BenchOptions",
    "Consecutive",
    "EvaluationOptions",
    "Machine",
    "PairOptions",
    "PhantomOptions",
    "Recipe",
    "RestainError",
    "SlideOptions",
    "Stainer",
    "StainerCard",
    "StudyMade",
    "StudyServer",
    "Viewer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'restain' has no attribute {name!r}")
    return getattr(import_module(f"restain.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
