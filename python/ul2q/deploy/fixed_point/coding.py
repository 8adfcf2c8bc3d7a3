"""What the integers of a tensor stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.deploy.ops import QuantizeActivation

# The types of C that tensors are stored in, the smallest first, and their ranges.
TYPES = {
    "u8": (0, 255),
    "i8": (-128, 127),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31) + 1, 2**31 - 1),
}


@dataclass(frozen=True)
class Coding:
    """An integer v stands for the value step · v + shift.

    Attributes:
        step: from one integer to the next.
        shift: the value of 0; 0 for all but activations with a shift of their own.
        lowest: no integer is smaller.
        highest: no integer is larger.
    """

    step: float
    shift: float
    lowest: int
    highest: int

    @property
    def type(self) -> str:
        """The smallest of TYPES that holds all integers."""
        for name, (lowest, highest) in TYPES.items():
            if lowest <= self.lowest and self.highest <= highest:
                return name
        raise ValueError(f"{self} needs more than 32 bits")

    def values(self, integers: NDArray[Any]) -> NDArray[np.float64]:
        """What integers stand for."""
        return self.step * integers.astype(np.float64) + self.shift

    def integers(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The nearest integer of each value."""
        step = self.step or 1.0  # all levels are one
        places = np.rint((np.asarray(values, np.float64) - self.shift) / step)
        return np.clip(places, self.lowest, self.highest).astype(np.int64)

    def within(self, lowest: int, highest: int) -> Coding:
        """The same step and shift for other integers."""
        return replace(self, lowest=lowest, highest=highest)


@dataclass(frozen=True)
class Grid:
    """The levels that an activation is rounded to.

    A value x is at position factor · x + offset; its code is the nearest integer, half away from
    zero, from lowest to highest, and is stored as gain · code + base.

    Attributes:
        factor: one over the distance of two levels.
        offset: the position of the value 0.
        lowest: the smallest code.
        highest: the largest code.
        gain: 2 where levels lie half a step from the shift, so that odd integers stand for them
            and 0 for the shift, which padding needs; else 1.
        base: what is added to that.
        coding: of the integers that are stored.
        excludes_half: whether a value half way between two codes takes the one nearer to zero.
    """

    factor: float
    offset: float
    lowest: int
    highest: int
    gain: int
    base: int
    coding: Coding
    excludes_half: bool = False

    @classmethod
    def of_quantize(cls, op: QuantizeActivation) -> Grid:
        """The levels of a QuantizeActivation.

        It multiplies with the float32 of 1/scale, and so does the factor.
        """
        if op.scale == 0:
            return cls(0.0, 0.0, 0, 0, 1, 0, Coding(0.0, op.shift, 0, 0))
        factor = float(np.float32(1) / np.float32(op.scale))
        scale, shift = (float(np.float32(value)) for value in (op.scale, op.shift))
        gain = 2 if op.offset else 1
        base = -round(2 * op.offset) if op.offset else 0
        ends = (gain * op.lowest + base, gain * op.highest + base)
        coding = Coding(scale / gain, shift, *ends)
        return cls(factor, op.offset - shift * factor, op.lowest, op.highest, gain, base, coding)

    @classmethod
    def of_sign(cls, scale: float) -> Grid:
        """-scale below 0, else scale, as -1 and 1.

        The sign of x is the nearest of 0 and 1 to x / scale + 1/2: at 0 half way, and so 1.
        """
        scale = float(np.float32(scale))
        return cls(1 / (scale or 1.0), 0.5, 0, 1, 2, -1, Coding(scale, 0.0, -1, 1))

    @classmethod
    def of_ternary(cls, scale: float, threshold: float) -> Grid:
        """-scale below -threshold, scale above it, else 0, as -1, 0 and 1.

        The threshold is half way between two codes, and belongs to 0.
        """
        scale, threshold = (float(np.float32(value)) for value in (scale, threshold))
        factor = 0.5 / max(threshold, 1e-6 * scale, 1e-30)
        return cls(factor, 0.0, -1, 1, 1, 0, Coding(scale, 0.0, -1, 1), excludes_half=True)

    def codes(self, values: Any) -> NDArray[np.int64]:
        """The code of each value."""
        position = self.factor * np.asarray(values, np.float64) + self.offset
        nearest = np.trunc(position + np.copysign(0.5, position))
        return np.clip(nearest, self.lowest, self.highest).astype(np.int64)

    def integers(self, values: Any) -> NDArray[np.int64]:
        """The integer that is stored for each value."""
        return self.gain * self.codes(values) + self.base
