"""How the gradient of a parameter is averaged over the ranks: as floats, without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.distributed.world import World


class Exchange(Protocol):
    """Averages gradients; all ranks call all methods in the same order."""

    def begin(self, name: str, gradient: NDArray[Any]) -> None:
        """Begin to average a gradient, which stays untouched until `finish`."""

    def progress(self) -> None:
        """Let MPI go on with what has begun: most libraries do so only while they are called."""

    def finish(self) -> None:
        """Wait; the gradients now hold their means."""

    @property
    def errors(self) -> Mapping[str, NDArray[Any]]:
        """What is carried over to the next iteration, by name: views."""

    def restore(self, errors: Mapping[str, NDArray[Any]]) -> None:
        """Go on with what was carried over in a run that was interrupted."""


class FloatExchange:
    """Averages in float32 by MPI's non-blocking Allreduce, in place.

    Each rank gets the same bits, and each run: the order of the sum is the library's, for as many
    ranks and as many elements always the same. (Reduce would sum in another order.)
    """

    def __init__(self, world: World) -> None:
        """Average over the ranks of `world`."""
        self._world = world
        self._pending: list[tuple[Any, NDArray[Any]]] = []
        self._scale = np.float32(1 / world.size)

    def begin(self, name: str, gradient: NDArray[Any]) -> None:  # noqa: ARG002 - of Exchange
        """Begin the sum."""
        comm, mpi = self._world.gradients, self._world.mpi
        self._pending.append((comm.Iallreduce(mpi.IN_PLACE, gradient), gradient))

    def progress(self) -> None:
        """Let MPI go on."""
        if self._pending:
            self._pending[-1][0].Test()

    def finish(self) -> None:
        """Wait for the sums, and divide."""
        for request, gradient in self._pending:
            request.Wait()
            np.multiply(gradient, self._scale, out=gradient)
        self._pending.clear()

    @property
    def errors(self) -> Mapping[str, NDArray[Any]]:
        """Nothing is carried over."""
        return {}

    def restore(self, errors: Mapping[str, NDArray[Any]]) -> None:
        """Nothing is carried over."""
