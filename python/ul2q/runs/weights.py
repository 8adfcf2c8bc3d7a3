"""Which weights of a run are meant where its folder is named in place of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.models.caffemodel import WeightsError
from ul2q.runs.best import read_best
from ul2q.runs.layout import (
    HDF5_MODELS,
    MODELS,
    is_best_model,
    iteration_of_model,
    prefix_of_best,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ChosenWeights:
    """The weights of a run.

    Attributes:
        path: the file.
        reason: why this one, e.g. "of the best test: accuracy 0.8971 after iteration 1500".
    """

    path: Path
    reason: str


def weights_of_run(run: Path) -> ChosenWeights:
    """The weights of the best test of a run, else those of its newest snapshot.

    Args:
        run: the folder of a run.

    Raises:
        WeightsError: it holds no weights, or several of which none is the best or the newest.
    """
    models = sorted([*run.glob(MODELS), *run.glob(HDF5_MODELS)])
    best = [model for model in models if is_best_model(model)]
    if len(best) == 1:
        told = read_best(prefix_of_best(best[0]))
        if told is None:
            return ChosenWeights(best[0], "of the best test")
        reached = f"{told.output} {told.value:.4f} after iteration {told.iteration}"
        return ChosenWeights(best[0], f"of the best test: {reached}")
    iterations = {model: iteration_of_model(model) for model in models if model not in best}
    newest = max((i for i in iterations.values() if i is not None), default=None)
    chosen = [model for model, i in iterations.items() if i == newest]
    if not best and len(chosen) == 1:
        reason = "the only weights" if newest is None else f"the newest, of iteration {newest}"
        return ChosenWeights(chosen[0], reason)
    if not models:
        raise WeightsError(f"{run} holds no weights: give a .caffemodel, or the folder of a run")
    several = ", ".join(model.name for model in best or chosen)
    raise WeightsError(f"{run} holds several weights: give one of {several}")
