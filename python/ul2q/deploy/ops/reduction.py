"""Operations that leave a few numbers of many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op, Shape


@dataclass(frozen=True)
class Reduction(Op):
    """coefficient times the sum, the sum of magnitudes or squares, or the mean, from an axis on.

    Attributes:
        kind: "sum", "asum", "sumsq" or "mean".
        axis: the first of the axes that are reduced.
        coefficient: what the result is multiplied by.
    """

    kind: str
    axis: int
    coefficient: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        (x,) = inputs
        rows = x.reshape(*x.shape[: self.axis], -1)
        reduced = {
            "sum": lambda: rows.sum(-1),
            "asum": lambda: np.abs(rows).sum(-1),
            "sumsq": lambda: (rows * rows).sum(-1),
            "mean": lambda: rows.mean(-1),
        }[self.kind]()
        return (self.coefficient * reduced,)


@dataclass(frozen=True)
class ArgMax(Op):
    """The indices of the largest elements, as floats; of equal ones the later comes first.

    Attributes:
        axis: along which; None: over all but the first axis.
        count: k, how many.
        values: with an axis, the values in place of the indices; without, N × 2 × k: both.
        shape: of the result.
    """

    axis: int | None
    count: int
    values: bool
    shape: Shape

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        (x,) = inputs
        if self.axis is None:
            rows = x.reshape(x.shape[0], 1, math.prod(x.shape[1:]))
            indices, largest = self._top(rows, 2)
            both = np.concatenate([indices, largest], 1) if self.values else indices
            return (both.reshape(self.shape),)
        indices, largest = self._top(x, self.axis)
        return (largest if self.values else indices,)

    def _top(self, x: Array, axis: int) -> tuple[Array, Array]:
        flipped = np.flip(x, axis)
        order = np.argsort(-flipped, axis, kind="stable")
        order = np.take(order, range(self.count), axis)
        indices = x.shape[axis] - 1 - order
        return indices.astype(np.float64), np.take_along_axis(x, indices, axis)
