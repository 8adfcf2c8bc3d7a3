"""Snapshots while a net trains: written, and the newest kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe

from ul2q.training.snapshots import Keeper, Snapshot, find_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from ul2q.training.solver_file import Plan


class SnapshotWriter:
    """Writes a run's snapshots and removes the older ones; what fails is told, and no more.

    Attributes:
        error: why the last snapshot could not be written; None if it was, or there was none.
    """

    def __init__(
        self, solver: caffe.SGDSolver, plan: Plan, *, keep: int, warn: Callable[[str], None]
    ) -> None:
        """Begin.

        Args:
            solver: its state is what is written.
            plan: says where to.
            keep: how many stay, the newest; 0 for all.
            warn: told of what cannot be written or removed.
        """
        self.error: Exception | None = None
        self._solver = solver
        self._plan = plan
        self._keep = keep
        self._warn = warn
        self._keeper = Keeper(keep, warn)
        self._written: Snapshot | None = None
        self._told: int | None = None  # the last iteration whose snapshot could not be written

    def go_on_from(self, snapshot: Snapshot) -> None:
        """Take over what the run wrote up to this snapshot, which the solver was restored from."""
        earlier = find_snapshots(self._plan.param.snapshot_prefix)
        if snapshot.state in [each.state for each in earlier]:
            mine = [each for each in earlier if each.iteration <= self._solver.iter]
            self._keeper = Keeper(self._keep, self._warn, mine)

    def write(self) -> None:
        """Write a snapshot unless this iteration has one."""
        if self.current is not None:
            return
        iteration = self._solver.iter
        self.error = None
        try:
            self._solver.snapshot()
        except (caffe.CaffeError, OSError) as error:
            self.error = error
            if self._told != iteration:
                self._warn(f"NO SNAPSHOT after iteration {iteration}: {error}; training goes on")
            self._told = iteration
            return
        self._written = Snapshot(iteration, *self._plan.snapshot_files(iteration))
        self._keeper.written(self._written)

    @property
    def current(self) -> Snapshot | None:
        """The snapshot of the present iteration; None if it has none."""
        if self._written is None or self._written.iteration != self._solver.iter:
            return None
        return self._written
