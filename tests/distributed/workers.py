"""What ranks do in tests: `python -m tests.distributed.workers NAME ARGUMENTS…` under mpiexec."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ul2q.distributed.compressed import CompressedExchange
from ul2q.distributed.placement import place_ranks
from ul2q.distributed.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray


def checked_steps(solver: str, iterations: str, out: str, *compress: str) -> None:
    """Train, compare all ranks' parameters after each iteration, and keep rank 0's."""
    world = World.connect()
    place_ranks(world)  # before libcaffe is loaded

    import caffe

    from ul2q.distributed.leader import become
    from ul2q.distributed.parameters import checksum
    from ul2q.distributed.rank import Rank
    from ul2q.distributed.train import make_exchange
    from ul2q.nets.prototxt import read_solver

    become(world)
    param = read_solver(Path(solver))
    made = caffe.get_solver(param)
    kind = compress[0] if compress else None
    bits = int(compress[1]) if compress[1:] else None
    rank = Rank(world, made, param, make_exchange(world, kind, bits))
    rank.join(None)
    losses = []
    for _ in range(int(iterations)):
        losses.append(rank.step(None).loss)
        assert len(set(world.gather_all(checksum(made.net)))) == 1
    if world.is_first:
        blobs = [blob.data for layer in made.net.layers for blob in layer.blobs]
        np.savez(out, *blobs, losses=np.array(losses))


def exchange(sizes: str, rounds: str, out: str, *compress: str) -> None:
    """Average random gradients several times, and keep the means of each time."""
    from ul2q.distributed.train import make_exchange

    world = World.connect()
    bits = int(compress[1]) if compress[1:] else None
    exchange = make_exchange(world, compress[0], bits)
    means = []
    for turn in range(int(rounds)):
        gradients = [gradient_of(world.rank, turn, int(size)) for size in sizes.split(",")]
        for i, gradient in enumerate(gradients):
            exchange.begin(f"layer{i}", gradient)
            exchange.progress()
        exchange.finish()
        check = [zlib.crc32(gradient.data) for gradient in gradients]
        assert len({tuple(one) for one in world.gather_all(check)}) == 1
        means += gradients
    if world.is_first:
        assert isinstance(exchange, CompressedExchange)
        np.savez(out, *means, bytes_sent=np.array(exchange.bytes_sent))


def gradient_of(rank: int, turn: int, size: int) -> NDArray[np.float32]:
    """A gradient that each process can make of each rank."""
    random = np.random.default_rng([rank, turn, size])
    return random.standard_t(4, size).astype(np.float32)  # with the tails of gradients


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
