"""On which cores the ranks compute, with how many threads, and whether that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.distributed.world import World

_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Place:
    """Where a rank computes.

    Attributes:
        host: its machine.
        cores: the cores that it may use.
        cores_of_host: how many the machine has.
        threads: how many threads a parallel loop takes; None if nobody has said.
    """

    host: str
    cores: frozenset[int]
    cores_of_host: int
    threads: int | None


def place_ranks(world: World) -> list[Place]:
    """Give each rank its share of the cores that it has together with others.

    OMP_NUM_THREADS in the environment holds where it is set; else it is set, which has to be done
    before libcaffe is loaded.

    Returns:
        The places of all ranks, with their threads.
    """
    given = os.environ.get(_THREADS, "").partition(",")[0]
    mine = Place(
        world.host,
        frozenset(os.sched_getaffinity(0)),
        os.cpu_count() or 1,
        int(given) if given.isdecimal() and int(given) else None,
    )
    places = [
        shared(place, everyones) for everyones in [world.gather_all(mine)] for place in everyones
    ]
    os.environ[_THREADS] = str(places[world.rank].threads)
    return places


def shared(place: Place, places: Sequence[Place]) -> Place:
    """A place with as many threads as it has been given, or its share of the cores."""
    if place.threads is not None:
        return place
    rivals = sum(one.host == place.host and one.cores == place.cores for one in places)
    threads = max(1, len(place.cores) // rivals)
    return Place(place.host, place.cores, place.cores_of_host, threads)


def describe(places: Sequence[Place]) -> str:
    """The ranks in a line: "4 ranks on 2 machines, 8 threads each"."""
    hosts = len({place.host for place in places})
    threads = sorted({place.threads or 1 for place in places})
    each = f"{threads[0]} to {threads[-1]}" if len(threads) > 1 else f"{threads[0]}"
    return (
        f"{len(places)} rank{'s' * (len(places) > 1)} on {hosts} machine{'s' * (hosts > 1)}, "
        f"{each} thread{'s' * (each != '1')} each"
    )


def misfits(places: Sequence[Place]) -> list[str]:
    """What does not fit, a line for each machine and each kind, with the remedy."""
    found = []
    for host in dict.fromkeys(place.host for place in places):
        here = [place for place in places if place.host == host]
        cores = frozenset[int]().union(*(place.cores for place in here))
        threads = sum(place.threads or 1 for place in here)
        if threads > len(cores):
            found.append(
                f"{host}: {len(here)} ranks have {threads} threads together, for {len(cores)} "
                f"core{'s' * (len(cores) > 1)}: each waits for the others; start fewer ranks, or "
                f"lower {_THREADS}"
            )
        if all(len(place.cores) == 1 for place in here) and here[0].cores_of_host >= 2 * len(here):
            found.append(
                f"{host}: each rank is bound to one core, and {here[0].cores_of_host - len(here)} "
                "of the machine's are left idle: mpiexec --bind-to none (Open MPI) lets the ranks "
                "share them all"
            )
    return found
