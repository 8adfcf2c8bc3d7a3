"""Operations of several inputs, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from ul2q.deploy.ops.op import Array, Op, Shape


@dataclass(frozen=True)
class Sum(Op):
    """Σ coefficient · input, of inputs of one shape."""

    coefficients: tuple[float, ...]

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The weighted sum."""
        return (sum(c * x for c, x in zip(self.coefficients, inputs, strict=True)),)  # type: ignore[return-value]


@dataclass(frozen=True)
class Product(Op):
    """The product of inputs of one shape."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Their product."""
        return (reduce(np.multiply, inputs),)


@dataclass(frozen=True)
class Maximum(Op):
    """The largest of inputs of one shape."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Their maximum."""
        return (reduce(np.maximum, inputs),)


@dataclass(frozen=True)
class Broadcast(Op):
    """The first input times or plus the second, which is first given a shape that broadcasts.

    Attributes:
        operation: "multiply" or "add".
        axis: of the first input that the second one's first lies beside.
        shape: of the second input.
    """

    operation: str
    axis: int
    shape: Shape

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of two inputs."""
        x, other = inputs[0], inputs[1].reshape(self.shape)
        return (x * other if self.operation == "multiply" else x + other,)
