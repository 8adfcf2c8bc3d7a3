"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.runs.log import label_of_test

if TYPE_CHECKING:
    from pathlib import Path

    from ul2q.runs.best import Best


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        iterations: how many iterations the net has now, those before a resume included.
        seconds: how long this run took, tests and snapshots included.
        train_loss: the last train loss, averaged over the solver's `average_loss` iterations;
            NaN if the snapshot left nothing to do.
        test: the mean outputs in the last test by their names, a dict for each test net; empty if
            there was no test.
        accuracy: which output of test[0] is its accuracy (`ul2q.nets.metrics`); None if none is.
        tested_at: the iteration of the last test; None if there was none.
        snapshot: the .solverstate; None if the solver's `snapshot_after_train` is false.
        weights: the .caffemodel beside it.
        log: log.csv; None without a run folder.
        data: the databases of the train net, then of the test nets.
        finished: whether the run to be resumed was finished already, so that nothing has been
            done, and the numbers are those of its log.
        best: the best test; None if it was not to be kept, or there was none.
        best_weights: the .caffemodel of that test.
        stopped_early: why it ended before the solver's max_iter; None if it did not.
    """

    iterations: int
    seconds: float
    train_loss: float
    test: tuple[dict[str, float], ...]
    accuracy: str | None
    tested_at: int | None
    snapshot: Path | None
    weights: Path | None
    log: Path | None
    data: tuple[Path, ...]
    finished: bool = False
    best: Best | None = None
    best_weights: Path | None = None
    stopped_early: str | None = None

    def shown_tests(self) -> list[tuple[str, dict[str, float]]]:
        """What a summary shows of the last test: a label for each net, with its outputs.

        The first net, the one that counts, stands last, with its accuracy alone.
        """
        shown = [dict(outputs) for outputs in self.test]
        if shown and self.accuracy is not None and self.accuracy in shown[0]:
            shown[0] = {self.accuracy: shown[0][self.accuracy]}
        return [(label_of_test(i, len(shown)), one) for i, one in enumerate(shown)][::-1]
