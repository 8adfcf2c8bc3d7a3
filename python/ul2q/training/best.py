"""Keeps the weights of the best test of a net while it trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ul2q.runs.best import Best, read_best, write_best
from ul2q.runs.layout import best_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    import caffe

    from ul2q.nets.metrics import Metrics

_LOSS = "loss"  # the output of a Best that is compared by the net's weighted loss


class BestKeeper:
    """Keeps the weights of the best test beside a run's snapshots.

    Attributes:
        best: the best test; None before any.
        weights: where its weights stand.
    """

    def __init__(self, prefix: str, *, resume: bool) -> None:
        """Begin, or go on with what stands under the `snapshot_prefix`."""
        self.best = read_best(prefix) if resume else None
        self.weights, _ = best_files(prefix)
        self._prefix = prefix

    def offer(self, net: caffe.Net, test: Best) -> bool:
        """Save the weights of `net` if no test before was as good.

        Returns:
            Whether they were saved.

        Raises:
            OSError: a file cannot be written.
        """
        if not _is_better(test, self.best):
            return False
        write_best(self._prefix, net, test)
        self.best = test
        return True


def rating(metrics: Metrics, iteration: int, outputs: Mapping[str, float], loss: float) -> Best:
    """What a test is compared by: the accuracy that stands for the net, else the weighted loss.

    Args:
        metrics: the metrics of the test net.
        iteration: how many iterations the weights have.
        outputs: the mean outputs.
        loss: the mean weighted loss.
    """
    if metrics.accuracy is not None and metrics.accuracy in outputs:
        return Best(iteration, metrics.accuracy, outputs[metrics.accuracy])
    return Best(iteration, _LOSS, loss)


def _is_better(test: Best, than: Best | None) -> bool:
    if than is None or than.output != test.output:
        return math.isfinite(test.value)
    return test.value < than.value if test.output == _LOSS else test.value > than.value
