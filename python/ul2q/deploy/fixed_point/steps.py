"""What a net in fixed-point arithmetic does one after the other, each step as plain NumPy.

Tensors are int64 arrays in Caffe's order, N × C × height × width; a vector is an image of one
pixel. Sums of 32 bits are those of C: that they fit is known when a step is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy.fixed_point.powers import ONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point.ending import Ending
    from ul2q.deploy.fixed_point.powers import PowerTable

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Step:
    """A step.

    Attributes:
        name: of the layer.
        label: the types of the layers that it does.
        inputs: names of the tensors that it reads.
        output: the name of the one that it makes.
    """

    name: str
    label: str
    inputs: tuple[str, ...]
    output: str

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The output for these inputs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Classes:
    """Places of an output image that differ by what of their window lies in the image.

    Attributes:
        of_row: the class of each row.
        of_column: the class of each column.
        columns: how many classes of columns there are.
    """

    of_row: tuple[int, ...]
    of_column: tuple[int, ...]
    columns: int

    @property
    def of_place(self) -> NDArray[np.int64]:
        """Of each place, height × width: class of the row · columns + class of the column."""
        rows, columns = (np.array(of, np.int64) for of in (self.of_row, self.of_column))
        return rows[:, np.newaxis] * self.columns + columns


@dataclass(frozen=True, eq=False)
class Convolution(Step):
    """Sums of products with weights, for all windows; an inner product has a single one.

    Attributes:
        codes: of the weights, from 0 up, outputs × channels/group × height × width.
        bits: of a code.
        gain: a weight's integer is gain · code + base.
        base: what is added.
        stride: of rows and columns, as are pad and dilation.
        pad: zeros above and left of the image.
        dilation: the distance of two elements of the kernel.
        group: groups of channels that do not see each other.
        size: of the output image.
        has_input_sum: whether the sum of a window's integers is a second term of the ending, for
            weights with a shift.
        classes: of the ending's constants; None: there is one.
        ending: a column for each output.
    """

    codes: NDArray[np.int32]
    bits: int
    gain: int
    base: int
    stride: Pair
    pad: Pair
    dilation: Pair
    group: int
    size: Pair
    has_input_sum: bool
    classes: Classes | None
    ending: Ending

    @property
    def integers(self) -> NDArray[np.int64]:
        """The integer of each weight."""
        return self.gain * self.codes.astype(np.int64) + self.base

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """All outputs; the sums are exact in float64."""
        windows = self._windows(inputs[0].astype(np.float64))
        parts = np.split(windows, self.group, 1)
        weights = np.split(self.integers.astype(np.float64), self.group, 0)
        axes = ([1, 4, 5], [1, 2, 3])
        sums = [np.tensordot(x, w, axes) for x, w in zip(parts, weights, strict=True)]
        terms = [np.concatenate(sums, -1)]
        if self.has_input_sum:
            each = len(self.codes) // self.group
            of_group = [np.sum(x, (1, 4, 5))[..., np.newaxis] for x in parts]
            terms.append(np.concatenate([np.repeat(s, each, -1) for s in of_group], -1))
        classes = 0 if self.classes is None else self.classes.of_place[..., np.newaxis]
        whole = [term.astype(np.int64) for term in terms]
        found = self.ending.run(whole, np.arange(len(self.codes)), classes)
        return np.moveaxis(found, -1, 1)

    def _windows(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """N × C × places × kernel; what lies beyond the image is 0."""
        kernel = self.codes.shape[2:]
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True)]
        pads = [(p, p) for p in self.pad]
        x = np.pad(x, [(0, 0), (0, 0), *pads])
        windows = np.lib.stride_tricks.sliding_window_view(x, extents, axis=(2, 3))
        steps = [slice(None, None, s) for s in self.stride]
        holes = [slice(None, None, d) for d in self.dilation]
        return windows[(slice(None), slice(None), *steps, *holes)]


@dataclass(frozen=True, eq=False)
class _Pooling(Step):
    """Windows of each channel; what of a window lies beyond the image is not there.

    Attributes:
        kernel: height and width of a window.
        stride: from one window to the next.
        pad: rows above and columns left of the image, where the first windows begin.
        size: of the output image.
    """

    kernel: Pair
    stride: Pair
    pad: Pair
    size: Pair

    def _parts(self, x: NDArray[np.int64]) -> list[list[NDArray[np.int64]]]:
        rows, columns = (
            [
                slice(max(begin, 0), min(begin + self.kernel[axis], x.shape[2 + axis]))
                for place in range(self.size[axis])
                for begin in [place * self.stride[axis] - self.pad[axis]]
            ]
            for axis in (0, 1)
        )
        return [[x[:, :, row, column] for column in columns] for row in rows]


@dataclass(frozen=True, eq=False)
class MaxPooling(_Pooling):
    """The largest integer of each window."""

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """All outputs."""
        found = [[part.max((2, 3)) for part in row] for row in self._parts(inputs[0])]
        return np.moveaxis(np.array(found), (0, 1), (2, 3))


@dataclass(frozen=True, eq=False)
class AveragePooling(_Pooling):
    """The sum of each window, by an ending that divides it.

    Attributes:
        classes: of places whose windows differ in size.
        ending: a column for each class.
    """

    classes: Classes
    ending: Ending

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """All outputs."""
        found = [[part.sum((2, 3)) for part in row] for row in self._parts(inputs[0])]
        sums = np.moveaxis(np.array(found), (0, 1), (2, 3))
        return self.ending.run([sums], self.classes.of_place)


@dataclass(frozen=True, eq=False)
class Sum(Step):
    """One input or more of one shape, each times a factor, summed up in 64 bits.

    Attributes:
        scales: powers of two that the inputs are multiplied with first, so that each has close to
            31 bits: the factors of all have one exponent, and so are as fine as they must be.
        ending: a term for each input; a column for each channel, or one for all.
    """

    scales: tuple[int, ...]
    ending: Ending

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each element's."""
        columns = np.arange(self.ending.factors.shape[1])
        terms = [scale * x for scale, x in zip(self.scales, inputs, strict=True)]
        return self.ending.run(terms, columns.reshape(1, -1, 1, 1))


@dataclass(frozen=True, eq=False)
class Lrn(Step):
    """x (k + a Σ x²)^-beta, the sum over neighbouring channels or a window of each channel.

    With v = scale · integer and D = k + a Σ x², the power is taken of D / k and the ending has
    the rest: its only term is v (D / k)^-beta, rounded half away from zero.

    Attributes:
        size: of the neighbourhood.
        across: whether it is one of channels.
        scale: a power of two, so that v has close to 29 bits.
        start: k as an integer, with the bits behind the point that the table has.
        factors: a, for each class, as integers: Σ v² · factor / 2^(31 + shift) is on the scale of
            `start`.
        shift: 0 or more.
        classes: of places whose windows differ in size.
        table: of powers.
        ending: a column for each channel, or one for all.
    """

    size: int
    across: bool
    scale: int
    start: int
    factors: NDArray[np.int64]
    shift: int
    classes: Classes
    table: PowerTable
    ending: Ending

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each element's."""
        v = self.scale * inputs[0]
        sums = self._sums(v * v)
        factors = self.factors[self.classes.of_place]
        high, low = sums >> 31, sums & (2**31 - 1)
        grown = (high * factors + (low * factors >> 31)) >> self.shift
        product = v * self.table.run(self.start + grown)
        size = (np.abs(product) + (1 << (ONE - 1))) >> ONE
        columns = np.arange(self.ending.factors.shape[1])
        return self.ending.run([np.where(v < 0, -size, size)], columns.reshape(1, -1, 1, 1))

    def _sums(self, squares: NDArray[np.int64]) -> NDArray[np.int64]:
        half = (self.size - 1) // 2
        axes = (1,) if self.across else (2, 3)
        pads = [(half, half) if axis in axes else (0, 0) for axis in range(4)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(squares, pads), [self.size] * len(axes), axis=axes
        )
        return np.asarray(windows.sum(tuple(range(4, 4 + len(axes)))))


@dataclass(frozen=True, eq=False)
class Maximum(Step):
    """The largest of inputs of one coding, element by element."""

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each element's."""
        return np.asarray(np.max(inputs, axis=0))


@dataclass(frozen=True, eq=False)
class Concat(Step):
    """Inputs of one coding one behind the other; of one input a copy.

    Attributes:
        axis: 1 to 3.
    """

    axis: int

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """All of them."""
        return np.concatenate(inputs, self.axis)


@dataclass(frozen=True, eq=False)
class Centre(Step):
    """Pixels times a factor, minus their mean.

    Attributes:
        factor: a power of two.
        mean: channels × height × width, or channels × 1 × 1.
    """

    factor: int
    mean: NDArray[np.int64]

    def run(self, *inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each pixel's."""
        return self.factor * inputs[0] - self.mean
