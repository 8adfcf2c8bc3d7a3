"""Matrix products and tables of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op
from ul2q.deploy.quantized import Weight, values_of


@dataclass(frozen=True, eq=False)
class InnerProduct(Op):
    """y = x Wᵀ + b for x flattened from `axis` on.

    Attributes:
        weight: N × K.
        bias: N values; None: no bias.
        axis: the first axis of a vector; the axes before it count vectors.
    """

    weight: Weight
    bias: Weight | None
    axis: int

    @property
    def weights(self) -> dict[str, Weight]:
        """Weight and bias."""
        named = {"weight": self.weight}
        return named if self.bias is None else named | {"bias": self.bias}

    @property
    def outputs(self) -> int:
        """The number of outputs, N."""
        return int(self.weight.shape[0])

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The product for one input of any shape."""
        (x,) = inputs
        kept = x.shape[: self.axis]
        y = x.reshape(math.prod(kept), -1) @ values_of(self.weight).astype(np.float64).T
        if self.bias is not None:
            y = y + values_of(self.bias)
        return (y.reshape(*kept, self.outputs),)


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """y = W[x] + b: a row of a table for each index.

    Attributes:
        weight: K × N.
        bias: N values; None: no bias.
    """

    weight: Weight
    bias: Weight | None

    @property
    def weights(self) -> dict[str, Weight]:
        """Weight and bias."""
        named = {"weight": self.weight}
        return named if self.bias is None else named | {"bias": self.bias}

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The rows for one input of indices, given as floats."""
        y = values_of(self.weight)[inputs[0].astype(np.int64)].astype(np.float64)
        return (y if self.bias is None else y + values_of(self.bias),)
