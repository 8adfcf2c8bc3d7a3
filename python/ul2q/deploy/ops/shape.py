"""Operations that move elements and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op, Shape


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in another shape.

    Attributes:
        shape: of the result.
        keeps_first: whether axis 0 stays what it is, and so may be of any length.
    """

    shape: Shape
    keeps_first: bool

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        return (inputs[0].reshape(self.shape),)


@dataclass(frozen=True)
class Concat(Op):
    """The inputs one behind the other along an axis."""

    axis: int

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input or more."""
        return (np.concatenate(inputs, self.axis),)


@dataclass(frozen=True)
class Slice(Op):
    """Parts of one input along an axis, as one output each.

    Attributes:
        axis: along which.
        sizes: of the parts.
    """

    axis: int
    sizes: tuple[int, ...]

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        return tuple(np.split(inputs[0], np.cumsum(self.sizes)[:-1], self.axis))


@dataclass(frozen=True)
class Crop(Op):
    """A part of the first input: along each axis `sizes` elements from `offsets` on.

    The second input is the one that it is cut to fit; its values are not read.
    """

    offsets: Shape
    sizes: Shape

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of two inputs."""
        cut = [slice(o, o + n) for o, n in zip(self.offsets, self.sizes, strict=True)]
        return (inputs[0][tuple(cut)],)


@dataclass(frozen=True)
class Tile(Op):
    """The input `count` times along an axis."""

    axis: int
    count: int

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Of one input."""
        return (np.concatenate([inputs[0]] * self.count, self.axis),)
