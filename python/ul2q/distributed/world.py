"""The ranks, and how they talk: orders of the first one, and collective operations of all."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ul2q.distributed.errors import RanksError
from ul2q.distributed.launcher import announced_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_EAGER = 0.02  # seconds that a rank waits for an order without sleeping: as long as a step's rest
_NAP = 0.002  # seconds


class Order(IntEnum):
    """What the first rank asks all to do next."""

    BUILD = 1
    JOIN = 2
    STEP = 3
    FORWARD = 4
    STATES = 5
    END = 6


class World:
    """The ranks that MPI has started.

    Attributes:
        rank: the place of this one, from 0.
        size: how many there are.
        host: the name of this machine.
        mpi: mpi4py's module MPI.
        gradients, second: communicators for gradients, and for the second half of a compressed
            exchange: operations of one wait for no operation of the other.
    """

    def __init__(self, mpi: Any) -> None:
        """Join the others; all have to.

        Args:
            mpi: mpi4py's module MPI.

        Raises:
            RanksError: mpiexec is of another MPI than mpi4py's, so that each process is alone.
        """
        self.mpi = mpi
        everybody = mpi.COMM_WORLD
        self.rank, self.size = everybody.Get_rank(), everybody.Get_size()
        self.host = socket.gethostname()
        announced = announced_size()
        if announced is not None and announced != self.size:
            library = mpi.Get_library_version().split(",")[0].split("\n")[0].strip("\0 ")
            raise RanksError(
                f"mpiexec says that it has started {announced} processes, but mpi4py's MPI, "
                f"{library}, sees {self.size}: start them by that MPI's own mpiexec, or let "
                "mpi4py load another library (MPI4PY_MPIABI, LD_LIBRARY_PATH)"
            )
        self._control = everybody.Dup()
        self.gradients = everybody.Dup()
        self.second = everybody.Dup()
        self._order = np.zeros(1, np.int64)
        self._is_apart = False

    @classmethod
    def connect(cls) -> World:
        """Begin MPI and join the others.

        Raises:
            RanksError: mpi4py or its MPI library is missing, or another MPI's mpiexec was used.
        """
        try:
            import mpi4py  # noqa: PLC0415 - an optional package

            mpi4py.rc.thread_level = "funneled"  # one thread talks
            from mpi4py import MPI  # noqa: PLC0415
        except ImportError as error:
            raise RanksError(
                f"training under mpiexec needs mpi4py: pip install 'ul2q[mpi]' ({error})"
            ) from error
        except RuntimeError as error:
            raise RanksError(f"mpi4py finds no MPI library: {error}") from error
        return cls(MPI)

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which leads."""
        return bool(self.rank == 0)

    def tell(self, order: Order, content: object = None) -> None:
        """Ask all ranks to do something; rank 0 calls this."""
        self._order[0] = order
        self._control.Ibcast(self._order).Wait()
        if order in (Order.BUILD, Order.JOIN):
            self._control.bcast(content)

    def hear(self) -> tuple[Order, Any]:
        """Wait for what rank 0 asks for; the others call this.

        While rank 0 tests its net, which may take minutes, the cores are left to it.
        """
        request = self._control.Ibcast(self._order)
        eager_until = time.perf_counter() + _EAGER
        while not request.Test():
            if time.perf_counter() < eager_until:
                os.sched_yield()
            else:
                time.sleep(_NAP)
        order = Order(int(self._order[0]))
        content = self._control.bcast(None) if order in (Order.BUILD, Order.JOIN) else None
        return order, content

    def gather(self, value: object) -> list[Any]:
        """The values of all ranks in their order, on rank 0; nothing on the others."""
        return self._control.gather(value) or []

    def gather_all(self, value: object) -> list[Any]:
        """The values of all ranks in their order, on each of them."""
        return list(self._control.allgather(value))

    def scatter(self, values: list[Any] | None) -> Any:
        """The value for this rank of those that rank 0 has for all."""
        return self._control.scatter(values)

    def numbers_of_all(self, *values: float) -> Any:
        """The numbers of all ranks: float64, size × how many."""
        mine = np.array(values, np.float64)
        everyones = np.empty((self.size, mine.size), np.float64)
        self._control.Allgather(mine, everyones)
        return everyones

    def broadcast(self, array: Any) -> None:
        """Give an array the values that it has on rank 0."""
        self._control.Bcast(array)

    @contextmanager
    def together(self) -> Iterator[None]:
        """The block is one that all ranks do; if it fails here, the others wait in it."""
        self._is_apart = True
        yield
        self._is_apart = False

    @property
    def is_apart(self) -> bool:
        """Whether a block that all do has failed here, so that none can go on."""
        return self._is_apart

    def abort(self, message: str) -> NoReturn:
        """Tell why, and end all ranks at once."""
        name = f"rank {self.rank} on {self.host}" if self.rank else "rank 0"
        print(f"ul2q: error: {name}: {message}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        self.mpi.COMM_WORLD.Abort(1)
        raise SystemExit(1)  # if Abort ever returns
