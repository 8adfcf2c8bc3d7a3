"""From sums to the integers of the next tensor, in 64 bits and without a float.

A sum's value is a real factor times it, plus a constant. Both are made integers by a power of two
that each output has of its own:

    t = Σ_i factor[i] · term[i] + offset        factor ≈ real factor · 2^shift, as is the offset
    code = t / 2^shift to the nearest, half away from zero, from lowest to highest
    v = gain · code + base

A factor has 31 bits, as in gemmlowp's multipliers (Jacob et al., 2018, section 2.2); but the
constant is added behind the multiplication, not to the sum: there it would be rounded to whole
units of the sum, which at few bits are as large as the steps between two codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.fixed_point.coding import TYPES, Coding, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FACTOR_BITS = 31
_SUM_BITS = 62  # t and half a step fit 63 bits and a sign
_LIMIT = TYPES["i32"][1]


@dataclass(frozen=True, eq=False)
class Ending:
    """The integers of the formula, with a column for each output, or one for all.

    Attributes:
        factors: int64, terms × columns, of 31 bits and a sign.
        offsets: int64, classes × columns: a class for each kind of place in the image.
        shifts: int64, columns, 1 to 62.
        lowest: the smallest code.
        highest: the largest code.
        gain: 1 or 2.
        base: what is added.
        slopes: of a ReLU that leaks: the ending of the values times its slopes; the larger of both
            results is taken, or the smaller. None: there is none.
        takes_larger: which of both, for each column.
    """

    factors: NDArray[np.int64]
    offsets: NDArray[np.int64]
    shifts: NDArray[np.int64]
    lowest: int
    highest: int
    gain: int = 1
    base: int = 0
    slopes: Ending | None = None
    takes_larger: NDArray[np.bool_] | None = None

    def run(
        self, terms: Sequence[NDArray[np.int64]], columns: Any = 0, classes: Any = 0
    ) -> NDArray[np.int64]:
        """The integers for terms of one shape.

        Args:
            terms: int64 arrays.
            columns: the column of each element, as an array that broadcasts to them.
            classes: its class, likewise.
        """
        t = self.offsets[classes, columns] + sum(
            self.factors[i, columns] * term for i, term in enumerate(terms)
        )
        shifts = self.shifts[columns]
        size = (np.abs(t) + (np.int64(1) << (shifts - 1))) >> shifts
        codes = np.clip(np.where(t < 0, -size, size), self.lowest, self.highest)
        v = self.gain * codes + self.base
        if self.slopes is None:
            return np.asarray(v)
        other = self.slopes.run(terms, columns, classes)
        assert self.takes_larger is not None  # noqa: S101
        larger = self.takes_larger[columns]
        return np.asarray(np.where(larger, np.maximum(v, other), np.minimum(v, other)))


@dataclass(frozen=True, eq=False)
class Formula:
    """Real numbers: value = Σ_i factors[i] · term[i] + constants.

    Attributes:
        factors: float64, terms × columns.
        constants: float64, classes × columns.
        lowest: float64, columns: no value is smaller.
        highest: float64, columns: no value is larger.
        bounds: of each term, the largest size that it has.
    """

    factors: NDArray[np.float64]
    constants: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    bounds: tuple[float, ...]

    def times(self, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> Formula:
        """The values times a scale plus a shift, each with a number for each column or for all."""
        ends = (scale * self.lowest + shift, scale * self.highest + shift)
        return Formula(
            self.factors * scale,
            self.constants * scale + shift,
            np.minimum(*ends),
            np.maximum(*ends),
            self.bounds,
        )


def ending(
    formula: Formula,
    *,
    grid: Grid | None,
    slopes: NDArray[np.float64] | None = None,
    window: int = 1,
) -> tuple[Ending, Coding]:
    """The integers for a formula, and what they stand for.

    Args:
        formula: of the values.
        grid: the levels that these are rounded to; None: to steps of a power of two, as fine as
            32 bits allow.
        slopes: what values below zero are multiplied with first; None: nothing.
        window: how many integers of the new tensor are summed up in 32 bits by who reads it.
    """
    lowest, highest = formula.lowest, formula.highest
    if slopes is not None:
        ends = [np.where(end < 0, slopes * end, end) for end in (lowest, highest)]
        lowest, highest = np.minimum(*ends), np.maximum(*ends)
        has_zero = (formula.lowest < 0) & (formula.highest > 0)
        lowest = np.where(has_zero, np.minimum(lowest, 0), lowest)
    if grid is None:
        grid = _fine(float(np.min(lowest)), float(np.max(highest)), window)
    is_rectified = slopes is not None and not np.any(slopes)
    codes = grid.lowest, grid.highest
    if is_rectified:
        codes = int(grid.codes(0.0)), grid.highest
    made = _integers(formula, grid, codes)
    if slopes is not None and not is_rectified:
        zeros = np.zeros_like(formula.lowest)
        other = _integers(formula.times(slopes, zeros), grid, codes)
        larger = np.broadcast_to(slopes <= 1, formula.lowest.shape)
        made = replace(made, slopes=other, takes_larger=larger)
    coding = grid.coding
    if is_rectified:
        coding = coding.within(grid.gain * codes[0] + grid.base, coding.highest)
    return made, coding


def _fine(lowest: float, highest: float, window: int) -> Grid:
    """Steps of a power of two of which the range takes 2^30 at most."""
    largest = max(abs(lowest), abs(highest)) * window
    exponent = 30 - math.frexp(largest)[1] if largest > 0 else 0
    step = math.ldexp(1.0, -exponent)
    ends = math.floor(lowest / step) - 1, math.ceil(highest / step) + 1
    coding = Coding(step, 0.0, *ends)
    return Grid(1 / step, 0.0, -_LIMIT, _LIMIT, 1, 0, coding)


def _integers(formula: Formula, grid: Grid, codes: tuple[int, int]) -> Ending:
    factors = formula.factors * grid.factor
    constants = formula.constants * grid.factor + grid.offset
    # A bound of t / 2^shift for all terms together.
    size = np.abs(factors).T @ np.asarray(formula.bounds) + np.abs(constants).max(axis=0)
    largest = np.abs(factors).max(axis=0, initial=0)
    shifts = np.minimum(_FACTOR_BITS - _exponents(largest), _SUM_BITS - 1 - _exponents(size))
    shifts = np.clip(shifts, 1, _SUM_BITS)
    power = np.ldexp(1.0, shifts)
    # Where even one bit is too many, codes saturate at the first unit of a sum.
    largest_sum = 2.0 ** (_SUM_BITS - 1)
    fits = size * power <= largest_sum
    limit = np.where(fits, np.inf, largest_sum / max(1.0, sum(formula.bounds)))
    limit = np.minimum(limit, 2.0**_FACTOR_BITS - 1)
    scaled = np.clip(factors * power, -limit, limit)
    rounded = np.rint(scaled)
    if grid.excludes_half:
        # Rather too small than too large, so that half a step stays below.
        rounded = np.sign(scaled) * (np.ceil(np.abs(scaled)) - 1).clip(0)
    offsets = np.clip(np.rint(constants * power), -(2.0**61), 2.0**61)
    return Ending(
        rounded.astype(np.int64),
        offsets.astype(np.int64),
        shifts.astype(np.int64),
        *codes,
        grid.gain,
        grid.base,
    )


def _exponents(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The smallest e with value < 2^e."""
    return np.frexp(values)[1].astype(np.int64)
