"""Tests a net while it trains, and keeps the best weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.net_outputs import at_layer_not_finite, mean_outputs, not_finite
from ul2q.runs.log import TOTAL_LOSS, label_of_test
from ul2q.training.best import BestKeeper, rating

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import caffe

    from ul2q.runs.best import Best
    from ul2q.training.progress import Reporter
    from ul2q.training.solver_file import Plan


class NetTests:
    """Runs a solver's test nets, as Solver::TestAll of BVLC's solver.cpp does.

    Attributes:
        outputs: the mean outputs in the last test by their names, a dict for each test net; empty
            before any test.
        tested_at: the iteration of the last test; None before any.
        diverged: what was not finite in the last test, and where; None if all was.
    """

    def __init__(
        self,
        solver: caffe.SGDSolver,
        plan: Plan,
        progress: Reporter,
        after_batch: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            solver: the solver of the nets.
            plan: what the run does.
            progress: told of every test.
            after_batch: called after each batch; what it raises ends the test.
        """
        self.outputs: tuple[dict[str, float], ...] = ()
        self.tested_at: int | None = None
        self.diverged: str | None = None
        self._solver = solver
        self._plan = plan
        self._progress = progress
        self._after_batch = after_batch
        self._keeper: BestKeeper | None = None

    def keep_best(self, *, resume: bool) -> None:
        """Keep the weights of the best test from now on, or go on with what stands there."""
        self._keeper = BestKeeper(self._plan.param.snapshot_prefix, resume=resume)

    def run(self) -> bool:
        """Test all test nets with the weights as they are; return whether there are any."""
        nets = self._solver.test_nets
        results: list[dict[str, float]] = []
        losses: list[float] = []
        self.diverged = None
        for net, iterations in zip(nets, self._plan.param.test_iter, strict=True):
            net.share_with(self._solver.net)
            outputs, loss = mean_outputs(net, iterations, after_batch=self._after_batch)
            if self._plan.param.test_compute_loss:
                outputs[TOTAL_LOSS] = loss
            wrong = not_finite(outputs)
            if wrong and self.diverged is None:
                name = label_of_test(len(results), len(nets))
                self.diverged = (
                    f"{name} output {wrong}; training has diverged{at_layer_not_finite(net)}"
                )
            results.append(outputs)
            losses.append(loss)
        if not results:
            return False
        if self._keeper is not None and self.diverged is None:
            test = rating(self._plan.metrics[0], self._solver.iter, results[0], losses[0])
            self._keep_if_best(self._keeper, test)
        self.outputs = tuple(results)
        self.tested_at = self._solver.iter
        self._progress.test(self._solver.iter, self.outputs)
        return True

    @property
    def best(self) -> Best | None:
        """The best test; None if it is not kept, or there was none."""
        return None if self._keeper is None else self._keeper.best

    @property
    def best_weights(self) -> Path | None:
        """The .caffemodel of that test."""
        return None if self._keeper is None or self._keeper.best is None else self._keeper.weights

    def _keep_if_best(self, keeper: BestKeeper, test: Best) -> None:
        try:
            keeper.offer(self._solver.net, test)
        except OSError as error:
            self._progress.warning(f"the best weights could not be written: {error}")
