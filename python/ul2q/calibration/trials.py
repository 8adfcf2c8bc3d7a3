"""Try the steps of calibration one by one, and keep those that help on images held out of them.

A step that is fitted to few images can carry what is particular to these into the net, and can so
do harm to all others. What tells is the error of the net's outputs on images that nothing was
fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.calibration.errors import CalibrationError
from ul2q.calibration.lockstep import float_twin
from ul2q.calibration.network import LayerCalibration, calibrate_net
from ul2q.calibration.options import STEPS, CalibrationOptions
from ul2q.calibration.signal import Noise

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import caffe
    from numpy.typing import NDArray

    from ul2q.calibration.lockstep import Batch

_WORTH = 0.99  # what a step must lessen the error to, that it is not kept by chance
_WORSE = 1.1  # of a single output, what it may get worse by where all together get better
_LEAST = 1e-9  # error that counts as none


@dataclass(frozen=True)
class Trial:
    """What a step does to the outputs of a net for images that it was not fitted to.

    Attributes:
        step: a field of CalibrationOptions, e.g. "equalize".
        before: by output, the relative error with the steps that were kept before.
        after: likewise, with this one, too.
        kept: whether it stays.
    """

    step: str
    before: dict[str, float]
    after: dict[str, float]
    kept: bool

    @property
    def worst(self) -> str:
        """The output whose error grows by the largest factor, or falls by the smallest."""
        return max(self.after, key=lambda name: _ratio(self.before[name], self.after[name]))


@dataclass(frozen=True)
class Tried:
    """What came of trials.

    Attributes:
        rows: as of `calibrate_net`, with the steps that were kept.
        trials: in the order in which they were made.
        options: the steps that the net was calibrated with.
    """

    rows: tuple[LayerCalibration, ...]
    trials: tuple[Trial, ...]
    options: CalibrationOptions


def mean_error(errors: Mapping[str, float]) -> float:
    """The geometric mean of the errors of outputs: a tenth less of each is a tenth less."""
    logarithms = [np.log(max(error, _LEAST)) for error in errors.values()]
    return float(np.exp(np.mean(logarithms)))


def calibrate_by_trial(
    net: caffe.Net,
    batches: Sequence[Batch],
    held_out: Sequence[Batch],
    options: CalibrationOptions | None = None,
    tried: Collection[str] = STEPS,
) -> Tried:
    """Calibrate a net by the steps that lessen the error on images they were not fitted to.

    The steps are tried in the order of `STEPS`, each on top of those kept so far. One is kept if
    the geometric mean of the outputs' relative errors falls by a hundredth, and that of no output
    grows by more than a tenth.

    Args:
        net: as `calibrate_net` takes it.
        batches: what all is fitted to.
        held_out: other images, which tell what helps.
        options: ranges, and the steps that are done in any case.
        tried: the steps that are tried, as far as `options` does not do them; those that find
            nothing to do in the net are left out.

    Raises:
        CalibrationError: as of `calibrate_net`; `held_out` is empty; a step is unknown.
    """
    taken = options or CalibrationOptions()
    if unknown := [step for step in tried if step not in STEPS]:
        raise CalibrationError(f"step {unknown[0]!r}; must be one of {', '.join(STEPS)}")
    if not held_out:
        raise CalibrationError("there are no images held out, on which steps could be tried")
    exact = _outputs(float_twin(net), held_out)
    masters = _copy(net)
    rows = calibrate_net(net, batches, taken)
    error = _errors(exact, _outputs(net, held_out))
    trials = []
    for step in STEPS:
        if step not in tried or getattr(taken, step) or not _has_work(net, step):
            continue
        best = _copy(net)
        _paste(net, masters)
        with_step = CalibrationOptions(**(vars(taken) | {step: True}))
        its_rows = calibrate_net(net, batches, with_step)
        its_error = _errors(exact, _outputs(net, held_out))
        kept = _helps(error, its_error)
        trials.append(Trial(step, error, its_error, kept))
        if kept:
            taken, rows, error = with_step, its_rows, its_error
        else:
            _paste(net, best)
    return Tried(rows, tuple(trials), taken)


def _has_work(net: caffe.Net, step: str) -> bool:
    return step != "batch_norm" or any(layer.type == "BatchNorm" for layer in net.layers)


def _helps(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    return mean_error(after) <= _WORTH * mean_error(before) and all(
        _ratio(before[name], after[name]) <= _WORSE for name in before
    )


def _ratio(before: float, after: float) -> float:
    return max(after, _LEAST) / max(before, _LEAST)


def _outputs(net: caffe.Net, batches: Sequence[Batch]) -> list[dict[str, NDArray[Any]]]:
    found = []
    for batch in batches:
        for name, values in batch.items():
            net.blobs[name].reshape(*values.shape)
        net.reshape()
        made = net.forward(**batch)
        found.append({name: np.array(values) for name, values in made.items()})
    return found


def _errors(
    exact: Sequence[Mapping[str, NDArray[Any]]], found: Sequence[Mapping[str, NDArray[Any]]]
) -> dict[str, float]:
    """The relative error of each output; infinity where it is not finite."""
    errors = {}
    for name in exact[0]:
        noise = Noise()
        for one, other in zip(exact, found, strict=True):
            noise.add(one[name], other[name])
        error = noise.relative_error
        errors[name] = error if np.isfinite(error) else float("inf")
    return errors


def _copy(net: caffe.Net) -> list[list[NDArray[Any]]]:
    return [[np.array(blob.data) for blob in layer.blobs] for layer in net.layers]


def _paste(net: caffe.Net, values: Sequence[Sequence[NDArray[Any]]]) -> None:
    for layer, blobs in zip(net.layers, values, strict=True):
        for blob, one in zip(layer.blobs, blobs, strict=True):
            blob.data[...] = one
