"""Rank 0: runs the loop of iterations, and takes the others with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.distributed.errors import RanksError
from ul2q.distributed.placement import describe, misfits
from ul2q.distributed.rank import Rank
from ul2q.distributed.records import batch_size, not_shared
from ul2q.distributed.world import Order
from ul2q.nets.solver_nets import solver_nets
from ul2q.runs.rank_states import read_rank_states, write_rank_states
from ul2q.training.ranks import Pass, Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ul2q.distributed.exchange import Exchange
    from ul2q.distributed.placement import Place
    from ul2q.distributed.world import World
    from ul2q.runs.snapshots import Snapshot


class Leader(Ranks):
    """The ranks as rank 0's loop sees them: each call makes all ranks do the same."""

    def __init__(
        self,
        world: World,
        places: Sequence[Place],
        exchange: Exchange,
        options: Sequence[str],
    ) -> None:
        """Lead the ranks of `world`, which compute at `places`.

        Args:
            world: the ranks.
            places: where they compute.
            exchange: averages large gradients.
            options: the options of `ul2q train` that chose it.
        """
        self.size = world.size
        self.launcher = ("mpiexec", "-n", str(world.size))
        self.options = tuple(options)
        self._world = world
        self._places = places
        self._exchange = exchange

    def check(self, param: caffe_pb2.SolverParameter) -> None:
        """Refuse a solver that the ranks cannot run.

        Raises:
            RanksError: it computes on a GPU.
        """
        if param.solver_mode == param.GPU and param.HasField("solver_mode"):
            raise RanksError(
                "solver_mode is GPU, but ranks average gradients on CPUs: set solver_mode=CPU, or "
                "train on GPUs by NCCL, python -m caffe.scripts.train --gpus 0 1"
            )

    def before_build(
        self,
        param: caffe_pb2.SolverParameter,
        note: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Say who trains, with what batch, and what does not fit."""
        self.check(param)
        become(self._world)
        net, state = next(solver_nets(param))
        batch = batch_size(net, state)
        told = describe(self._places)
        if batch is not None:
            together = batch * param.iter_size * self.size
            told += f"; batch {batch} each, {together} an iteration"
        note(f"{told}; base_lr {param.base_lr:g} as the solver has it")
        for line in (*misfits(self._places), *not_shared(net, state)):
            warn(line)

    def built(self, solver: caffe.SGDSolver, param: caffe_pb2.SolverParameter) -> None:
        """Let the others build their solvers."""
        super().built(solver, param)
        self._rank = Rank(self._world, solver, param, self._exchange)
        self._world.tell(Order.BUILD, of_follower(param).SerializeToString())

    def join(self, snapshot: Snapshot | None, warn: Callable[[str], None]) -> None:
        """Let the others restore the snapshot and take the parameters."""
        states = None if snapshot is None else read_rank_states(snapshot, self.size, warn)
        self._world.tell(Order.JOIN, None if snapshot is None else str(snapshot.state.absolute()))
        self._rank.join(states)

    def step(self) -> Pass:
        """Do an iteration."""
        self._world.tell(Order.STEP)
        return self._rank.step(None)  # the loop asks for rank 0's own stop itself

    def forward(self) -> float:
        """The mean loss of a forward pass."""
        self._world.tell(Order.FORWARD)
        return self._rank.forward()

    def save_states(self, path: Path) -> None:
        """Write where each rank stands."""
        self._world.tell(Order.STATES)
        write_rank_states(path, self._rank.states())

    def end(self) -> None:
        """Let the others go, unless they wait for a step that has failed here."""
        if not self._world.is_apart:
            self._world.tell(Order.END)


def become(world: World) -> None:
    """Let Caffe know this process's place among the solvers: it reads its share of the records."""
    caffe.set_solver_count(world.size)
    caffe.set_solver_rank(world.rank)
    caffe.set_multiprocess(True)


def be_alone() -> None:
    """Let Caffe know that this process has the only solver again."""
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)
    caffe.set_multiprocess(False)


def of_follower(param: caffe_pb2.SolverParameter) -> caffe_pb2.SolverParameter:
    """The solver of the other ranks: rank 0's without what it does alone, the net in it."""
    net, _ = next(solver_nets(param))
    mine = caffe_pb2.SolverParameter()
    mine.CopyFrom(param)
    for field in (
        *("net", "net_param", "train_net", "train_net_param"),
        *("test_net", "test_net_param", "test_iter", "test_state", "snapshot", "display"),
    ):
        mine.ClearField(field)
    mine.train_net_param.CopyFrom(net)
    return mine
