"""Scores on held-out fields during training, and the checkpoint that they call best.

The fields are stained as ``restain stain`` will do it with the finished stainer: with statistics of training crops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from restain.data.records import Manifest, Record
from restain.errors import RestainError
from restain.metrics.pixels.similarity import ssim
from restain.metrics.stain.dab import dab_density, mean_density
from restain.networks.generator import Generator
from restain.networks.statistics import freeze, measure
from restain.recipes.common import ValidationConfig
from restain.run_folder import RunFolder
from restain.tensors import to_rgb, to_tensor
from restain.tracking import Tracker
from restain.training.hooks import due_every, refuse_nonfinite_weights
from restain.training.state import save_state

if TYPE_CHECKING:
    from restain.training.loop import Trainer

HIGHER_IS_BETTER = {"dab_error": False, "dab_r": True, "ssim": True}
SAME, BETTER, ENOUGH, FAILED = range(4)  # what the first process tells the others


@dataclass
class BestScore:
    """The best validation so far; part of a checkpoint."""

    score: float | None = None
    step: int = 0
    misses: int = 0  # validations since

    def exhausts(self, patience: int | None) -> bool:
        """Whether there were as many validations since as a recipe has patience for; None: any number."""
        return patience is not None and self.misses >= patience


class Validation:
    """Stains held-out fields now and then, logs their scores, and keeps the best state.

    Args:
        config: how often, on how many fields, and which score decides.
        records: the held-out fields, H&E and IHC.
        run: where the best state is kept.
        tracker: where the scores go; None on all processes but the first.

    Raises:
        RestainError: too few fields for the score that decides.
    """

    def __init__(
        self, config: ValidationConfig, records: list[Record], run: RunFolder, tracker: Tracker | None
    ) -> None:
        if config.best == "dab_r" and min(config.fields, len(records)) < 3:
            raise RestainError(
                f"field validation.best is 'dab_r', a correlation over fields; expected at least 3 of them, found "
                f"{min(config.fields, len(records))}"
            )
        self._config, self._run, self._tracker = config, run, tracker
        places = np.linspace(0, len(records) - 1, min(config.fields, len(records))).round().astype(int)
        self._records = [records[place] for place in places]

    def due(self, step: int, total: int, stopping: bool) -> bool:
        """See ``Hook``."""
        return due_every(self._config.every, step, total)

    def run(self, trainer: Trainer) -> None:
        """See ``Hook``.

        Raises:
            RestainError: a held-out field cannot be read, or weights are not finite.
        """
        refuse_nonfinite_weights(trainer, self._run)
        verdict, problem = SAME, None
        if trainer.is_first:
            try:
                verdict = self._validate(trainer)
            except RestainError as error:  # a field that cannot be read; the others wait to hear of it
                verdict, problem = FAILED, error
        verdict = trainer.processes.largest(verdict)
        if verdict == FAILED:
            raise problem or RestainError("validation failed on the first process; its message says why")
        if verdict == BETTER:
            save_state(trainer, self._run.checkpoints, "best")
        if verdict == ENOUGH:
            save_state(trainer, self._run.checkpoints)
            trainer.out_of_patience = True

    def _validate(self, trainer: Trainer) -> int:
        crops = trainer.crops(self._config.crops)
        scores = score_fields(trainer.stainer(), self._records, crops, trainer.recipe.optim.batch)
        if self._tracker is not None:
            self._tracker.log(trainer.step, {f"val/{name}": value for name, value in scores.items()})
        best, score = trainer.best, scores.get(self._config.best)
        if score is None:
            return SAME
        if best.score is None or ((score > best.score) == HIGHER_IS_BETTER[self._config.best] and score != best.score):
            best.score, best.step, best.misses = score, trainer.step, 0
            return BETTER
        best.misses += 1
        return ENOUGH if best.exhausts(self._config.patience) else SAME


def held_out(manifest: Manifest) -> list[Record]:
    """The fields of the val split, or else of the test split; none of them is trained on."""
    return manifest.pairs("val") or manifest.pairs("test")


@torch.no_grad()
def score_fields(
    generator: Generator, records: list[Record], crops: Iterator[Tensor], batch: int = 1
) -> dict[str, float]:
    """Scores of a generator whose norms are fixed to the statistics of crops of the training images.

    Args:
        generator: in any state; it is put into eval mode.
        records: fields with both sides.
        crops: see above, (1, 3, h, w) each.
        batch: crops that batch norms see together.

    Returns:
        ``ssim`` (mean over fields, Gaussian window), ``dab_error`` (mean absolute error of the mean DAB optical
        density), and, of three fields or more, ``dab_r`` (Pearson correlation of it over the fields).
    """
    generator.eval()
    device = next(generator.parameters()).device
    network = freeze(generator, measure(generator, crops, batch))
    similar, amounts = [], []
    with torch.compiler.set_stance("force_eager"):
        for record in records:
            assert record.source and record.target  # held_out gives pairs
            he, real = record.source.read(), record.target.read()
            if he.shape != real.shape:
                raise RestainError(f"{record.source} and {record.target}: differ in size; a pair must have one size")
            fake = to_rgb(network(to_tensor(he)[None].to(device))[0])
            similar.append(ssim(real, fake))
            amounts.append([mean_density(dab_density(image)) for image in (fake, real)])
    virtual, true = np.array(amounts).T
    scores = {"ssim": float(np.mean(similar)), "dab_error": float(np.abs(virtual - true).mean())}
    if len(records) >= 3 and virtual.std() > 0 and true.std() > 0:
        scores["dab_r"] = float(np.corrcoef(virtual, true)[0, 1])
    return scores
