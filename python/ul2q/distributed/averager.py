"""Averages gradients over the ranks while the backward pass goes on, and statistics with them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from ul2q.distributed.parameters import learned, statistics

if TYPE_CHECKING:
    import caffe

    from ul2q.distributed.exchange import Exchange
    from ul2q.distributed.parameters import Learned
    from ul2q.distributed.world import World

SMALL = 8192
"""Gradients of fewer elements travel together, in one message at the end: each message has its
latency, and the biases and channel scales of a net are many."""


class Averager:
    """Hangs on to a solver: before each update its gradients are the means over all ranks.

    A large gradient sets out as soon as backward has computed it (after the last of `iter_size`
    passes), while the layers below still compute. Running averages of BatchNorm and
    QuantizedActivation layers travel with the small gradients in every iteration: as what they have
    moved since the last one, so that those that stand still do so to the bit.
    """

    def __init__(
        self,
        solver: caffe.SGDSolver,
        world: World,
        exchange: Exchange,
        *,
        iter_size: int,
        layer_wise: bool,
    ) -> None:
        """Install it; the solvers of all ranks have the same parameters.

        Args:
            solver: the solver.
            world: the ranks.
            exchange: averages large gradients.
            iter_size: that of the solver.
            layer_wise: whether gradients set out during backward; else all do after it, and
                backward can run neighbouring layers as one.
        """
        net = solver.net
        self._world = world
        self._exchange = exchange
        self._iter_size = iter_size
        self._layer_wise = layer_wise
        self._top = len(net.layers) - 1
        self._passes = 0
        gradients = learned(net)
        self._small = [one for one in gradients if one.gradient.size < SMALL]
        self._large: dict[int, list[Learned]] = defaultdict(list)
        for one in gradients:
            if one.gradient.size >= SMALL:
                self._large[one.ready_after].append(one)
        self._statistics = statistics(net)
        self._before = [statistic.copy() for statistic in self._statistics]
        sizes = [one.gradient.size for one in self._small]
        sizes += [statistic.size for statistic in self._statistics]
        self._packed = np.empty(sum(sizes), np.float32)
        self._parts = np.split(self._packed, np.cumsum(sizes)[:-1]) if sizes else []
        solver.add_callback(self._on_start, self._on_gradients_ready)
        if layer_wise:
            net.after_backward(self._after_layer)

    @property
    def bytes_of_gradients(self) -> int:
        """How many bytes the gradients and statistics have that are averaged, as floats."""
        large = sum(one.gradient.nbytes for many in self._large.values() for one in many)
        return large + self._packed.nbytes

    def _on_start(self) -> None:
        self._passes = 0

    def _after_layer(self, layer: int) -> None:
        if layer == self._top:
            self._passes += 1
        if self._passes < self._iter_size:
            return
        for one in self._large.get(layer, ()):
            self._exchange.begin(one.name, one.gradient)
        self._exchange.progress()

    def _on_gradients_ready(self) -> None:
        if not self._layer_wise:
            for many in self._large.values():
                for one in many:
                    self._exchange.begin(one.name, one.gradient)
        if self._parts:
            self._average_small()
        self._exchange.finish()

    def _average_small(self) -> None:
        gradients = self._parts[: len(self._small)]
        moves = self._parts[len(self._small) :]
        for one, part in zip(self._small, gradients, strict=True):
            part[:] = one.gradient
        for statistic, before, part in zip(self._statistics, self._before, moves, strict=True):
            np.subtract(statistic, before, out=part)
        self._world.gradients.Iallreduce(self._world.mpi.IN_PLACE, self._packed).Wait()
        self._packed /= self._world.size
        for one, part in zip(self._small, gradients, strict=True):
            one.gradient[:] = part
        for statistic, before, part in zip(self._statistics, self._before, moves, strict=True):
            np.add(before, part, out=before)
            statistic[:] = before
