"""Softmax, local response normalisation and MVN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op
from ul2q.deploy.ops.pooling import Pooling


@dataclass(frozen=True)
class Softmax(Op):
    """e^x over its sum along an axis."""

    axis: int

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        (x,) = inputs
        powers = np.exp(x - x.max(self.axis, keepdims=True))
        return (powers / powers.sum(self.axis, keepdims=True),)


@dataclass(frozen=True)
class ChannelLrn(Op):
    """x (k + alpha/size Σ x²)^-beta, the sum over `size` neighbouring channels."""

    size: int
    alpha: float
    beta: float
    k: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input, N × C × the rest."""
        (x,) = inputs
        half = (self.size - 1) // 2
        squares = np.pad(x * x, [(0, 0), (half, half)] + [(0, 0)] * (x.ndim - 2))
        sums = sum(squares[:, i : i + x.shape[1]] for i in range(self.size))
        return (x * (self.k + self.alpha / self.size * sums) ** -self.beta,)


@dataclass(frozen=True)
class WindowLrn(Op):
    """x (1 + alpha mean(x²))^-beta, the mean over a window of `size` × `size` of each channel."""

    size: int
    alpha: float
    beta: float

    def mean(self, height: int, width: int) -> Pooling:
        """The pooling that gives the mean for images of this size."""
        half = (self.size - 1) // 2
        return Pooling("average", (self.size,) * 2, (1, 1), (half, half), (height, width))

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input, N × C × height × width."""
        (x,) = inputs
        (means,) = self.mean(*x.shape[2:]).run(x * x)
        return (x * (1 + self.alpha * means) ** -self.beta,)


@dataclass(frozen=True)
class Mvn(Op):
    """x minus its mean, divided by its deviation + eps where `with_variance`.

    Attributes:
        axes: that mean and deviation are taken over.
        with_variance: whether to divide.
        eps: added to the deviation.
    """

    axes: tuple[int, ...]
    with_variance: bool
    eps: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        (x,) = inputs
        y = x - x.mean(self.axes, keepdims=True)
        if self.with_variance:
            y = y / (np.sqrt((y * y).mean(self.axes, keepdims=True)) + self.eps)
        return (y,)
