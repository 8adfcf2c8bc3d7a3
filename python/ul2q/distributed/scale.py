"""How long an iteration takes with any number of ranks: a model of latency and bandwidth.

An Allreduce of m bytes over n ranks takes, by the cheaper of two ways,

    ⌈log₂ n⌉ (α + m / β)                       recursive doubling, for short messages
    2 ⌈log₂ n⌉ α + 2 (n - 1) / n · m / β       reduce-scatter and allgather, for long ones

where α is the latency and β the bandwidth of a message between two ranks, each with what it costs
to add. Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication
operations in MPICH", 2005, without their term for the arithmetic, which β has in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ul2q.distributed.averager import SMALL
from ul2q.distributed.parameters import learned, statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    import caffe

    from ul2q.distributed.codecs import Codec

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Network:
    """What a message between two ranks takes.

    Attributes:
        latency: α, seconds.
        bandwidth: β, bytes a second.
    """

    latency: float
    bandwidth: float

    def allreduce(self, size: float, ranks: int) -> float:
        """The seconds of an Allreduce of `size` bytes."""
        if ranks == 1:
            return 0.0
        steps = math.ceil(math.log2(ranks))
        short = steps * (self.latency + size / self.bandwidth)
        share = 2 * (ranks - 1) / ranks
        return min(short, 2 * steps * self.latency + share * size / self.bandwidth)

    @classmethod
    def fitted(cls, sizes: Sequence[float], seconds: Sequence[float], ranks: int) -> Network:
        """The network of least relative error for measured Allreduces, by the second formula.

        Args:
            sizes: the bytes of each.
            seconds: how long each took.
            ranks: how many took part.
        """
        steps, share = math.ceil(math.log2(ranks)), 2 * (ranks - 1) / ranks
        took = np.asarray(seconds, np.float64)
        terms = np.stack([np.full(took.size, 2.0 * steps), share * np.asarray(sizes)], axis=1)
        (latency, per_byte), *_ = np.linalg.lstsq(terms / took[:, None], np.ones(took.size))
        return cls(max(float(latency), 0.0), 1 / max(float(per_byte), 1e-15))


@dataclass(frozen=True)
class Traffic:
    """What the ranks of a net average in an iteration.

    Attributes:
        large: the elements of each gradient that travels alone, in the order of backward.
        small: the elements of all others, and of running averages, which travel together.
    """

    large: tuple[int, ...]
    small: int

    @property
    def elements(self) -> int:
        """All of them."""
        return sum(self.large) + self.small

    def bytes_sent(self, ranks: int, codec: Codec | None = None) -> float:
        """The bytes that a rank sends in an iteration, by the way for long messages.

        Args:
            ranks: how many there are.
            codec: how large gradients are coded; None for float32.
        """
        share = 2 * (ranks - 1) / ranks
        total = share * _FLOAT * self.small
        for count in self.large:
            if codec is None:
                total += share * _FLOAT * count
            else:
                total += 2 * (ranks - 1) * codec.size(-(-count // ranks))
        return total

    def seconds(
        self, ranks: int, network: Network, codec: Codec | None = None
    ) -> tuple[float, float]:
        """The seconds that averaging takes in an iteration, one message after the other.

        Returns:
            Those of large gradients, and those of the small ones, which come at the end.
        """
        sizes = [_FLOAT * count if codec is None else codec.size(count) for count in self.large]
        large = sum(network.allreduce(size, ranks) for size in sizes)
        return large, network.allreduce(_FLOAT * self.small, ranks)


def traffic(net: caffe.Net) -> Traffic:
    """What the ranks average of a train net."""
    sizes = [one.gradient.size for one in learned(net)]
    small = sum(size for size in sizes if size < SMALL)
    small += sum(statistic.size for statistic in statistics(net))
    return Traffic(tuple(size for size in sizes if size >= SMALL), small)


def iteration_seconds(
    compute: float,
    traffic: Traffic,
    ranks: int,
    network: Network,
    *,
    hidden: float = 0.0,
    codec: Codec | None = None,
) -> float:
    """The seconds of an iteration.

    Args:
        compute: those of one rank without any other.
        traffic: what is averaged.
        ranks: how many there are.
        network: what joins them.
        hidden: how many of `compute`'s seconds can pass while large gradients are on their way: up
            to the time of backward where the network moves data by itself, 0 where the cores do.
        codec: how large gradients are coded; None for float32.
    """
    large, small = traffic.seconds(ranks, network, codec)
    return compute + max(0.0, large - hidden) + small
