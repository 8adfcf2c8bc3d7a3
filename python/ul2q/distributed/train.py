"""Trains with all ranks: rank 0 by `ul2q.training.train`, the others as it asks for."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

import caffe

from ul2q.distributed.follower import follow
from ul2q.distributed.leader import Leader, be_alone
from ul2q.distributed.placement import place_ranks
from ul2q.errors import UserError
from ul2q.training import train as train_alone
from ul2q.util.stopping import stop_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.distributed.exchange import Exchange
    from ul2q.distributed.placement import Place
    from ul2q.distributed.world import World
    from ul2q.training import TrainResult
    from ul2q.util.paths import StrPath


def train(
    solver: StrPath,
    *,
    world: World,
    places: Sequence[Place] | None = None,
    exchange: Exchange | None = None,
    options_of_ranks: Sequence[str] = (),
    **options: Any,
) -> TrainResult | None:
    """Train a net with all ranks.

    The batch of the net is that of each rank: n ranks do in an iteration what one process does
    with a batch n times as large, and to float rounding the same if the net has neither BatchNorm
    nor dropout and the loss is a mean over the batch. The learning rate stays as it is.

    When the launcher ends, be it killed, so does this process, at once.

    Args:
        solver: as for `ul2q.training.train`.
        world: the ranks.
        places: what `place_ranks` gave; None to place them now, which is too late for the number
            of threads if libcaffe has been used.
        exchange: averages large gradients; None for floats.
        options_of_ranks: the options of `ul2q train` that chose it, for the record.
        options: what else `ul2q.training.train` takes; only rank 0's count.

    Returns:
        What the run came to, on rank 0; None on the others.

    Raises:
        As `ul2q.training.train`, on rank 0. What fails while the others wait, or on another rank,
        is printed and ends all.
    """
    stop_with_parent(os.getppid(), signal.SIGKILL)
    try:
        places = place_ranks(world) if places is None else places
        if not world.is_first:
            follow(world, exchange)
            return None
        return _lead(solver, Leader(world, places, exchange, options_of_ranks), options)
    except BaseException as error:
        if world.is_first and not world.is_apart:
            raise
        if not isinstance(error, (UserError, OSError, caffe.CaffeError)):
            traceback.print_exc(file=sys.stderr)
        world.abort(f"{error or type(error).__name__}")


def _lead(solver: StrPath, leader: Leader, options: dict[str, Any]) -> TrainResult:
    try:
        return train_alone(solver, ranks=leader, **options)
    finally:
        leader.end()
        be_alone()
