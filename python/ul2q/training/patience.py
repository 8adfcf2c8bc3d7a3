"""Tells when training has gone on long enough without a better test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ul2q.runs.best import Best


def why_to_stop(
    best: Best | None, iteration: int, *, patience: int | None, test_interval: int
) -> str | None:
    """Why training is to stop after the test at an iteration; None if it is to go on.

    Counted are the tests of the solver's schedule since the best one, so that a run that was
    resumed stops where it would have stopped.

    Args:
        best: the best test up to this one; None if none was finite.
        iteration: a multiple of `test_interval`.
        patience: how many tests in a row may be no better than the best; None for any number.
        test_interval: iterations between two tests, at least 1.
    """
    if patience is None or best is None:
        return None
    tests = iteration // test_interval - best.iteration // test_interval
    if tests < patience:
        return None
    since = "the last test was" if tests == 1 else f"the last {tests} tests were"
    return f"{since} no better than {best.output} {best.value:.4f} after iteration {best.iteration}"
