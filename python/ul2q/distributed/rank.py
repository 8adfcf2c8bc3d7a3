"""What each rank does when all do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.distributed.averager import Averager
from ul2q.distributed.errors import RanksError
from ul2q.distributed.parameters import all_parameters, checksum
from ul2q.nets.net_outputs import weighted_loss
from ul2q.runs.rank_states import RankState
from ul2q.training.parameters import parameters_kept
from ul2q.training.ranks import Pass

if TYPE_CHECKING:
    import caffe
    from caffe.proto import caffe_pb2

    from ul2q.distributed.exchange import Exchange
    from ul2q.distributed.world import World


class Rank:
    """A rank's solver among the others'. Every method is one that all ranks call together."""

    def __init__(
        self,
        world: World,
        solver: caffe.SGDSolver,
        param: caffe_pb2.SolverParameter,
        exchange: Exchange,
    ) -> None:
        """Take a solver, which was built of `param`; `exchange` averages its large gradients."""
        self._world = world
        self._solver = solver
        self._param = param
        self._exchange = exchange

    def join(self, states: list[RankState] | None) -> None:
        """Take rank 0's parameters, and hang on to the solver.

        Args:
            states: on rank 0 where each rank stands in a run that goes on; None if it begins.
        """
        with self._world.together():
            mine = self._world.scatter(
                None if not self._world.is_first else states or [None] * self._world.size
            )
            if mine is not None:
                self._solver._restore_resume_state(mine.resume)
                self._exchange.restore(mine.errors)
            for parameter in all_parameters(self._solver.net):
                self._world.broadcast(parameter)
            self._averager = Averager(
                self._solver,
                self._world,
                self._exchange,
                iter_size=self._param.iter_size,
                layer_wise=self._param.layer_wise_reduce,
            )

    def step(self, stop: int | None) -> Pass:
        """Do an iteration.

        Args:
            stop: the signal that asks this rank to stop; None if none does.
        """
        with self._world.together():
            self._solver.step(1)
            numbers = self._world.numbers_of_all(float(self._solver.loss), float(stop or 0))
        asked = int(numbers[:, 1].max())
        return Pass(float(numbers[:, 0].mean()), asked or None)

    def forward(self) -> float:
        """The mean loss of a forward pass, which leaves no trace in data and parameters."""
        with self._world.together():
            before = self._solver._resume_state()
            with parameters_kept(self._solver.net):
                self._solver.net.forward()
                loss = weighted_loss(self._solver.net)
            self._solver._restore_resume_state(before)
            return float(self._world.numbers_of_all(loss).mean())

    def states(self) -> list[RankState]:
        """Where each rank stands, on rank 0; nothing on the others.

        Raises:
            RanksError: the parameters of two ranks differ.
        """
        with self._world.together():
            checks = self._world.gather_all(checksum(self._solver.net))
            if len(set(checks)) > 1:
                strange = next(i for i, one in enumerate(checks) if one != checks[0])
                raise RanksError(
                    f"iteration {self._solver.iter}: the parameters of ranks 0 and {strange} "
                    "differ: their machines, or their MPI libraries, do not compute the same; "
                    "train on machines of one kind"
                )
            state = RankState(self._solver._resume_state(), dict(self._exchange.errors))
            return self._world.gather(state)
