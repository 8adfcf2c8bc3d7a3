"""Averages gradients in fewer bits, with error feedback, to the same bits on all ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.distributed.codecs import Codec
    from ul2q.distributed.world import World


@dataclass
class _Pending:
    """A gradient that is under way."""

    name: str
    gradient: NDArray[Any]
    first: Any  # the request of the first half
    received: NDArray[np.uint8]
    sent: NDArray[np.uint8]  # which MPI reads until the request is done
    second: Any = None
    shards: NDArray[np.uint8] | None = None
    shard: NDArray[np.uint8] | None = None


class CompressedExchange:
    """Averages coded gradients in two halves, as a reduce-scatter and an allgather do for floats.

    Of n ranks each owns the n-th part, or shard, of a gradient. A rank encodes each shard of its
    gradient, plus what earlier codes have left out (its error), and sends it to its owner
    (Alltoall). The owner decodes, sums in the order of the ranks, divides, encodes the mean plus
    the error of earlier means, and sends it to all (Allgather): all decode the same bytes.

    Source of error feedback: Seide et al., "1-bit stochastic gradient descent and its application
    to data-parallel distributed training of speech DNNs", Interspeech 2014; of the second half's:
    Tang et al., "DoubleSqueeze", ICML 2019.
    """

    def __init__(self, world: World, codec: Codec) -> None:
        """Average over the ranks of `world`, with numbers coded by `codec`."""
        self._world = world
        self._codec = codec
        self._errors: dict[str, NDArray[Any]] = {}
        self._pending: list[_Pending] = []
        self.bytes_sent = 0  # by this rank, of gradients

    def begin(self, name: str, gradient: NDArray[Any]) -> None:
        """Encode the gradient, and begin to send its shards to their owners."""
        size, length = self._world.size, self._shard(gradient.size)
        error = self._error(f"{name}/error", gradient.size)
        wanted = np.zeros(size * length, np.float32)
        np.add(gradient, error, out=wanted[: gradient.size])
        sent = np.empty((size, self._codec.size(length)), np.uint8)
        for rank, shard in enumerate(wanted.reshape(size, length)):
            sent[rank] = self._codec.encode(shard)
            shard -= self._codec.decode(sent[rank], length)  # noqa: PLW2901 - a view of `wanted`
        error[:] = wanted[: gradient.size]
        received = np.empty_like(sent)
        request = self._world.gradients.Ialltoall(sent, received)
        self.bytes_sent += (size - 1) * sent.shape[1]
        self._pending.append(_Pending(name, gradient, request, received, sent))

    def progress(self) -> None:
        """Begin the second half of what has come through the first, in order."""
        for one in self._pending:
            if one.second is None:
                if not one.first.Test():
                    return
                self._begin_second(one)
            else:
                one.second.Test()

    def finish(self) -> None:
        """Wait, and decode the means."""
        for one in self._pending:
            if one.second is None:
                one.first.Wait()
                self._begin_second(one)
        for one in self._pending:
            one.second.Wait()
            assert one.shards is not None  # noqa: S101 - _begin_second
            length = self._shard(one.gradient.size)
            means = [self._codec.decode(shard, length) for shard in one.shards]
            one.gradient[:] = np.concatenate(means)[: one.gradient.size]
        self._pending.clear()

    @property
    def errors(self) -> Mapping[str, NDArray[Any]]:
        """What the codes have left out so far, of gradients and of means."""
        return self._errors

    def restore(self, errors: Mapping[str, NDArray[Any]]) -> None:
        """Go on with what the codes had left out."""
        self._errors = {name: array.copy() for name, array in errors.items()}

    def _begin_second(self, one: _Pending) -> None:
        length = self._shard(one.gradient.size)
        mean = np.zeros(length, np.float32)
        for coded in one.received:
            mean += self._codec.decode(coded, length)
        mean /= np.float32(self._world.size)
        error = self._error(f"{one.name}/mean", length)
        mean += error
        one.shard = self._codec.encode(mean)
        np.subtract(mean, self._codec.decode(one.shard, length), out=error)
        one.shards = np.empty((self._world.size, one.shard.size), np.uint8)
        one.second = self._world.second.Iallgather(one.shard, one.shards)
        self.bytes_sent += (self._world.size - 1) * one.shard.size

    def _shard(self, count: int) -> int:
        return int(-(-count // self._world.size))

    def _error(self, name: str, count: int) -> NDArray[Any]:
        if name not in self._errors:
            self._errors[name] = np.zeros(count, np.float32)
        return self._errors[name]
