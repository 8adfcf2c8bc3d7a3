"""The processes, called ranks, that train one net together, as the loop of iterations sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.nets.net_outputs import weighted_loss
from ul2q.runs.rank_states import read_rank_states

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import caffe
    from caffe.proto import caffe_pb2

    from ul2q.runs.snapshots import Snapshot


@dataclass(frozen=True)
class Pass:
    """What an iteration of all ranks has come to.

    Attributes:
        loss: the mean of their losses.
        stop: the signal that asks one of them to stop; None if none was asked.
    """

    loss: float
    stop: int | None = None


class Ranks:
    """The ranks, seen from the first; this base class is one process on its own.

    Attributes:
        size: how many there are.
        launcher: the words in front of `ul2q train` in a command that starts as many.
        options: the options of `ul2q train` that only ranks have, for the same command.
    """

    size = 1
    launcher: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def before_build(
        self,
        param: caffe_pb2.SolverParameter,
        note: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Hear that the first rank's solver is about to be built; tell who trains, and how."""

    def built(
        self,
        solver: caffe.SGDSolver,
        param: caffe_pb2.SolverParameter,  # noqa: ARG002 - for other ranks
    ) -> None:
        """Take the first rank's solver, which was built of `param`; the others build theirs."""
        self._solver = solver

    def join(self, snapshot: Snapshot | None, warn: Callable[[str], None]) -> None:
        """Begin to train together: all ranks have the parameters of the first one's solver.

        Args:
            snapshot: what that was restored from; None if the run begins.
            warn: told if other ranks wrote the snapshot, so that the data go on elsewhere.

        Raises:
            SnapshotError: what the snapshot holds of the ranks is damaged.
        """
        if snapshot is not None:
            read_rank_states(snapshot, self.size, warn)

    def step(self) -> Pass:
        """Do an iteration."""
        self._solver.step(1)
        return Pass(float(self._solver.loss))

    def forward(self) -> float:
        """The mean loss of a forward pass."""
        self._solver.net.forward()
        return weighted_loss(self._solver.net)

    def save_states(self, path: Path) -> None:
        """Write what a snapshot has to hold of each rank.

        Raises:
            OSError: the file cannot be written.
        """
