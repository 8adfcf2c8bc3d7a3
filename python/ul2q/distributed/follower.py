"""The other ranks: they do what rank 0 asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.distributed.leader import be_alone, become
from ul2q.distributed.rank import Rank
from ul2q.distributed.world import Order
from ul2q.util.stopping import stop_on_signals

if TYPE_CHECKING:
    from ul2q.distributed.exchange import Exchange
    from ul2q.distributed.world import World


def follow(world: World, exchange: Exchange) -> None:
    """Train as rank 0 asks for, until it lets go.

    SIGINT, SIGTERM and SIGUSR1 leave a request that rank 0 hears of with the next iteration.

    Raises:
        CaffeError, OSError: the net cannot be built here, or its data cannot be read.
    """
    become(world)
    caffe.set_mode_cpu()
    with stop_on_signals() as stop:
        order, content = world.hear()
        if order == Order.BUILD:
            param = caffe_pb2.SolverParameter.FromString(content)
            solver = caffe.get_solver(param)
            rank = Rank(world, solver, param, exchange)
        while order != Order.END:
            order, content = world.hear()
            if order == Order.JOIN:
                if content is not None:
                    solver.restore(content)
                rank.join(None)
            elif order == Order.STEP:
                rank.step(stop.asked)
            elif order == Order.FORWARD:
                rank.forward()
            elif order == Order.STATES:
                rank.states()
    be_alone()
