"""Writes snapshots while a net trains, and keeps the newest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import caffe

from ul2q.runs.layout import snapshot_marker
from ul2q.runs.snapshots import Snapshot, find_snapshots, remove_half_snapshot
from ul2q.util.output_file import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ul2q.training.ranks import Ranks
    from ul2q.training.solver_file import Plan


class SnapshotWriter:
    """Writes a run's snapshots and removes its old ones; warns of what fails, and goes on.

    Attributes:
        error: why the last snapshot could not be written; None if it was, or there was none.
    """

    def __init__(
        self,
        solver: caffe.SGDSolver,
        plan: Plan,
        *,
        ranks: Ranks,
        keep: int,
        warn: Callable[[str], None],
    ) -> None:
        """Begin.

        Args:
            solver: its state is what is written.
            plan: says where it is written.
            ranks: the ranks that train, whose states belong to it.
            keep: how many stay, the newest; 0 for all.
            warn: told of what cannot be written or removed.
        """
        self.error: Exception | None = None
        self._solver = solver
        self._plan = plan
        self._ranks = ranks
        self._keep = keep
        self._warn = warn
        self._keeper = _Keeper(plan.param.snapshot_prefix, keep, warn)
        self._written: Snapshot | None = None
        self._told: int | None = None  # the last iteration whose snapshot could not be written

    def go_on_from(self, snapshot: Snapshot) -> None:
        """Take over what the run wrote up to this snapshot, which the solver was restored from."""
        earlier = find_snapshots(self._plan.param.snapshot_prefix)
        if snapshot.state in [each.state for each in earlier]:
            mine = [each for each in earlier if each.iteration <= self._solver.iter]
            self._keeper = _Keeper(self._plan.param.snapshot_prefix, self._keep, self._warn, mine)

    def write(self) -> None:
        """Write a snapshot unless this iteration has one."""
        if self.current is not None:
            return
        iteration = self._solver.iter
        self.error = None
        snapshot = Snapshot(iteration, *self._plan.snapshot_files(iteration))
        try:
            with _unfinished(self._plan.param.snapshot_prefix, iteration):
                self._ranks.save_states(snapshot.ranks)
                self._solver.snapshot()  # the solver state comes last: it needs all
        except (caffe.CaffeError, OSError) as error:
            self.error = error
            if self._told != iteration:
                self._warn(f"NO SNAPSHOT after iteration {iteration}: {error}; training goes on")
            self._told = iteration
            return
        self._written = snapshot
        self._keeper.written(snapshot)

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot that is there of those that the run wrote or went on from."""
        return self._keeper.newest

    @property
    def current(self) -> Snapshot | None:
        """The snapshot of the present iteration; None if it has none."""
        if self._written is None or self._written.iteration != self._solver.iter:
            return None
        return self._written


@contextmanager
def _unfinished(prefix: str, iteration: int) -> Iterator[None]:
    """Mark a snapshot as unfinished within the block, for the next start of a run that is killed.

    If the block raises, what it left of a snapshot that is not whole goes, too.
    """
    marker = snapshot_marker(prefix, iteration)
    with naming(marker):
        marker.touch()
    try:
        yield
    finally:
        remove_half_snapshot(prefix, iteration)
        marker.unlink(missing_ok=True)


class _Keeper:
    """Lets the newest snapshots of a run stay and removes the older ones."""

    def __init__(
        self,
        prefix: str,
        keep: int,
        warn: Callable[[str], None],
        mine: Iterable[Snapshot] = (),
    ) -> None:
        """Begin.

        Args:
            prefix: the run's `snapshot_prefix`.
            keep: how many stay; 0 for all.
            warn: told of what cannot be removed.
            mine: snapshots that the run wrote before, and may remove.
        """
        self._prefix = prefix
        self._keep = keep
        self._warn = warn
        self._mine = sorted(mine, key=lambda snapshot: snapshot.iteration)

    def written(self, snapshot: Snapshot) -> None:
        """Take note that a snapshot has been written, and remove the oldest if they are many."""
        self._mine = [old for old in self._mine if old.state != snapshot.state]
        self._mine.append(snapshot)
        if self._keep:
            while len(self._mine) > self._keep:
                self._remove(self._mine.pop(0))

    @property
    def newest(self) -> Snapshot | None:
        """The newest of the run's snapshots; None if there is none."""
        return self._mine[-1] if self._mine else None

    def _remove(self, snapshot: Snapshot) -> None:
        try:
            with _unfinished(self._prefix, snapshot.iteration):
                # The state first: it needs the others, they do not need it.
                snapshot.state.unlink(missing_ok=True)
                snapshot.weights.unlink(missing_ok=True)
                snapshot.ranks.unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"an old snapshot could not be removed: {error}")
