"""Trains with all ranks: rank 0 by `ul2q.training.train`, the others as it asks for."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

import caffe

from ul2q.distributed.codecs import Bfloat16, Codes
from ul2q.distributed.compressed import CompressedExchange
from ul2q.distributed.errors import RanksError
from ul2q.distributed.exchange import FloatExchange
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
    compress: str | None = None,
    bits: int | None = None,
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
        compress: how gradients travel: "bf16", "ul2q", or None for float32.
        bits: of a code of "ul2q": 2, 4 or 8, which is also None's.
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
        exchange = make_exchange(world, compress, bits)
        if not world.is_first:
            follow(world, exchange)
            return None
        return _lead(solver, Leader(world, places, exchange, _options(compress, bits)), options)
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


def make_exchange(world: World, compress: str | None, bits: int | None) -> Exchange:
    """What averages large gradients.

    Args:
        world: the ranks.
        compress: as for `train`.
        bits: as for `train`.

    Raises:
        RanksError: there is no such way.
    """
    if bits is not None and compress != "ul2q":
        raise RanksError("--bits is of --compress ul2q; bfloat16 and floats have theirs")
    if compress is None:
        return FloatExchange(world)
    if compress == "bf16":
        return CompressedExchange(world, Bfloat16())
    if compress == "ul2q":
        return CompressedExchange(world, Codes(8 if bits is None else bits))
    raise RanksError(f"compress is {compress!r}; must be 'bf16', 'ul2q' or None")


def _options(compress: str | None, bits: int | None) -> list[str]:
    """The options of `ul2q train` that choose it."""
    given = ["--compress", compress] if compress is not None else []
    return given + (["--bits", str(bits)] if bits is not None else [])
