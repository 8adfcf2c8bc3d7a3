"""Convolution and deconvolution of any number of spatial axes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy.ops.op import Array, Op, Shape, along
from ul2q.deploy.quantized import Weight, values_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class _Filter(Op):
    """What both have.

    Attributes:
        weight: of Convolution N × C/group × kernel, of Deconvolution C × N/group × kernel.
        bias: N values; None: no bias.
        stride: one number for each spatial axis, as are pad (on either side) and dilation.
        pad: zeros on either side of the input; of Deconvolution what is cut from the output.
        dilation: the distance between two elements of the kernel.
        group: how many groups of channels do not see each other.
    """

    weight: Weight
    bias: Weight | None
    stride: Shape
    pad: Shape
    dilation: Shape
    group: int

    @property
    def weights(self) -> dict[str, Weight]:
        """Weight and bias."""
        named = {"weight": self.weight}
        return named if self.bias is None else named | {"bias": self.bias}

    @property
    def kernel(self) -> Shape:
        """Its extents."""
        return self.weight.shape[2:]

    def _with_bias(self, y: Array) -> Array:
        if self.bias is None:
            return y
        return y + along(values_of(self.bias), 1, y.ndim)


@dataclass(frozen=True, eq=False)
class Convolution(_Filter):
    """y[n] = Σ_c Σ_k w[n, c, k] x[c, place + k], plus bias."""

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return int(self.weight.shape[0])

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The convolution of one input, N × C × spatial."""
        (x,) = inputs
        weight = values_of(self.weight).astype(np.float64)
        spatial = len(self.kernel)
        axes = tuple(range(2, 2 + spatial))
        x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.pad)])
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(x, extents, axis=axes)
        steps = [slice(None, None, s) for s in self.stride]
        holes = [slice(None, None, d) for d in self.dilation]
        windows = windows[(slice(None), slice(None), *steps, *holes)]
        inner = [1, *range(2 + spatial, 2 + 2 * spatial)]  # channels and the kernel's axes
        parts = [
            np.tensordot(x_part, w_part, (inner, [1, *axes]))
            for x_part, w_part in zip(
                np.split(windows, self.group, 1), np.split(weight, self.group, 0), strict=True
            )
        ]
        return (self._with_bias(np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)),)


@dataclass(frozen=True, eq=False)
class Deconvolution(_Filter):
    """The transpose of a convolution: each input element adds its multiple of the kernel."""

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return int(self.weight.shape[1]) * self.group

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The deconvolution of one input, N × C × spatial."""
        (x,) = inputs
        weight = values_of(self.weight).astype(np.float64)
        size = [
            (extent - 1) * s + (k - 1) * d + 1
            for extent, s, k, d in zip(
                x.shape[2:], self.stride, self.kernel, self.dilation, strict=True
            )
        ]
        y: NDArray[np.float64] = np.zeros((x.shape[0], self.outputs, *size))
        parts = np.split(y, self.group, 1)  # views
        for part, x_part, w_part in zip(
            parts, np.split(x, self.group, 1), np.split(weight, self.group, 0), strict=True
        ):
            for place in itertools.product(*map(range, self.kernel)):
                at_place = w_part.reshape(*w_part.shape[:2], -1)[
                    :, :, np.ravel_multi_index(place, self.kernel)
                ]
                added = np.tensordot(x_part, at_place, (1, 0))
                where = [
                    slice(p * d, p * d + (extent - 1) * s + 1, s)
                    for p, d, s, extent in zip(
                        place, self.dilation, self.stride, x.shape[2:], strict=True
                    )
                ]
                part[(slice(None), slice(None), *where)] += np.moveaxis(added, -1, 1)
        cut = [slice(p, extent - p) for p, extent in zip(self.pad, size, strict=True)]
        return (self._with_bias(y[(slice(None), slice(None), *cut)]),)
