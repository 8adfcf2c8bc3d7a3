"""Pooling over windows of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pooling(Op):
    """The maximum or the mean of each window, by Caffe's rules.

    The output's size is given: Caffe rounds it up, so that a last window may reach beyond the
    padded input. The mean divides by the part of a window within the padded input, padding
    included.

    Attributes:
        kind: "max" or "average".
        kernel: height and width of a window.
        stride: from one window to the next.
        pad: rows above and columns left of the input; as many below and right.
        output: height and width of the output.
        rounds_up: whether Caffe has rounded them up.
    """

    kind: str
    kernel: Pair
    stride: Pair
    pad: Pair
    output: Pair
    rounds_up: bool = True

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The pooled input, N × C × height × width."""
        (x,) = inputs
        y = np.empty((*x.shape[:2], *self.output))
        for i, j in np.ndindex(*self.output):
            (top, bottom), (left, right) = (
                self.window(axis, place, x.shape[2 + axis]) for axis, place in enumerate((i, j))
            )
            part = x[:, :, max(top, 0) : min(bottom, x.shape[2]),
                     max(left, 0) : min(right, x.shape[3])]  # fmt: skip
            if self.kind == "max":
                y[:, :, i, j] = part.max((2, 3))
            else:
                y[:, :, i, j] = part.sum((2, 3)) / ((bottom - top) * (right - left))
        return (y,)

    def window(self, axis: int, place: int, extent: int) -> tuple[int, int]:
        """Where a window begins and ends along an axis, counted from the input's first element.

        Args:
            axis: 0 for rows, 1 for columns.
            place: of the output.
            extent: of the input along the axis.
        """
        begin = place * self.stride[axis] - self.pad[axis]
        return begin, min(begin + self.kernel[axis], extent + self.pad[axis])

    def end_pad(self, axis: int, extent: int) -> int:
        """How far the last window, in its full size, reaches beyond the input; at least 0."""
        last = (self.output[axis] - 1) * self.stride[axis] - self.pad[axis]
        return max(0, last + self.kernel[axis] - extent)
