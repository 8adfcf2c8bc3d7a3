"""Functions of one element, and of one element and its channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy.ops.op import Array, Op, along

if TYPE_CHECKING:
    from ul2q.deploy.quantized import Weight


@dataclass(frozen=True)
class Relu(Op):
    """max(x, 0) + slope min(x, 0)."""

    slope: float = 0.0

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        (x,) = inputs
        return (np.maximum(x, 0) + self.slope * np.minimum(x, 0),)


@dataclass(frozen=True, eq=False)
class PRelu(Op):
    """max(x, 0) + slope min(x, 0) with a slope for each channel, axis 1, or one for all.

    Attributes:
        slopes: as many as there are channels, or one.
    """

    slopes: Array

    @property
    def weights(self) -> dict[str, Weight]:
        """The slopes."""
        return {"slopes": self.slopes}

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        (x,) = inputs
        slopes = along(self.slopes, 1, x.ndim)
        return (np.maximum(x, 0) + slopes * np.minimum(x, 0),)


@dataclass(frozen=True)
class Elu(Op):
    """x above 0, alpha (e^x - 1) below."""

    alpha: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        (x,) = inputs
        return (np.maximum(x, 0) + self.alpha * np.expm1(np.minimum(x, 0)),)


@dataclass(frozen=True)
class Sigmoid(Op):
    """1 / (1 + e^-x)."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (sigmoid(inputs[0]),)


@dataclass(frozen=True)
class Tanh(Op):
    """The hyperbolic tangent."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (np.tanh(inputs[0]),)


@dataclass(frozen=True)
class Swish(Op):
    """x / (1 + e^(-beta x))."""

    beta: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        (x,) = inputs
        return (x * sigmoid(self.beta * x),)


@dataclass(frozen=True)
class Abs(Op):
    """The magnitude."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (np.abs(inputs[0]),)


@dataclass(frozen=True)
class Power(Op):
    """(scale x + shift)^power."""

    power: float
    scale: float
    shift: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return ((self.scale * inputs[0] + self.shift) ** self.power,)


@dataclass(frozen=True)
class Exp(Op):
    """base^(scale x + shift); base -1 stands for e."""

    base: float
    scale: float
    shift: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        inner, outer = self.factors
        return (outer * np.exp(inner * inputs[0]),)

    @property
    def factors(self) -> tuple[float, float]:
        """The function is the second times e^(the first times x)."""
        logarithm = 1.0 if self.base == -1 else float(np.log(self.base))
        return logarithm * self.scale, float(np.exp(logarithm * self.shift))


@dataclass(frozen=True)
class Log(Op):
    """The logarithm of scale x + shift to the base; base -1 stands for e."""

    base: float
    scale: float
    shift: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (self.factor * np.log(self.scale * inputs[0] + self.shift),)

    @property
    def factor(self) -> float:
        """What the natural logarithm is multiplied by."""
        return 1.0 if self.base == -1 else 1 / float(np.log(self.base))


@dataclass(frozen=True)
class Softplus(Op):
    """ln(1 + e^x), Caffe's BNLL."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (np.logaddexp(0, inputs[0]),)


@dataclass(frozen=True)
class Threshold(Op):
    """1 above the threshold, else 0."""

    threshold: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return ((inputs[0] > self.threshold).astype(np.float64),)


@dataclass(frozen=True)
class Clip(Op):
    """x, but no less than lowest and no more than highest."""

    lowest: float
    highest: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (np.maximum(self.lowest, np.minimum(inputs[0], self.highest)),)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)
