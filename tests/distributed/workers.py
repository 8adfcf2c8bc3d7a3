"""What ranks do in tests: `python -m tests.distributed.workers NAME ARGUMENTS…` under mpiexec."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ul2q.distributed.placement import place_ranks
from ul2q.distributed.world import World


def checked_steps(solver: str, iterations: str, out: str) -> None:
    """Train, compare all ranks' parameters after each iteration, and keep rank 0's."""
    world = World.connect()
    place_ranks(world)  # before libcaffe is loaded

    import caffe

    from ul2q.distributed.leader import become
    from ul2q.distributed.parameters import checksum
    from ul2q.distributed.rank import Rank
    from ul2q.nets.prototxt import read_solver

    become(world)
    param = read_solver(Path(solver))
    made = caffe.get_solver(param)
    rank = Rank(world, made, param, None)
    rank.join(None)
    losses = []
    for _ in range(int(iterations)):
        losses.append(rank.step(None).loss)
        assert len(set(world.gather_all(checksum(made.net)))) == 1
    if world.is_first:
        blobs = [blob.data for layer in made.net.layers for blob in layer.blobs]
        np.savez(out, *blobs, losses=np.array(losses))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
