"""The scale and shift of an activation from the histogram of its values.

The ranges are those that other tools for quantisation after training know:

- MINMAX: the outermost levels are the least and the largest value.
- PERCENTILE: they leave a share of the values out at either end.
- MSE: they have the least squared error of the quantised values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

    from ul2q.calibration.histogram import Histogram

    _Fit = Callable[[float], tuple[float, float]]

RANGES = ("mse", "minmax", "percentile")

# How many scales are tried for MSE, from the one that covers all values down to a share of it, and
# how many between the neighbours of the best, how often.
_TRIED, _BETWEEN, _REFINED = 32, 8, 2
_SMALLEST = 1 / 256
_TURNS = 3  # of lower and upper end by turns
_WIDENINGS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5)


@dataclass(frozen=True)
class Grid:
    """Evenly spaced levels: shift + scale (code - offset).

    Attributes:
        lowest, highest: the codes at the ends.
        offset: the code, which need be none, that stands for the shift.
        has_shift: whether the shift may be other than 0.
        scale_is_power_of_two: as FIXED_POINT's.
    """

    lowest: int
    highest: int
    offset: float = 0.0
    has_shift: bool = False
    scale_is_power_of_two: bool = False

    @staticmethod
    def of(quantizer: caffe_pb2.QuantizerParameter) -> Grid | None:
        """The levels of a QuantizedActivation layer; None for a method that has no such levels."""
        method = type(quantizer).Method.Name(quantizer.method)
        half = 1 << (quantizer.bits - 1) if quantizer.bits else 0
        if method not in ("UL2Q", "CLIP", "FIXED_POINT"):
            return None
        if not quantizer.signed:
            return Grid(0, 2 * half - 1, scale_is_power_of_two=method == "FIXED_POINT")
        if method == "UL2Q":
            zero = quantizer.HasField("shift") and quantizer.shift == quantizer.ZERO
            return Grid(1 - half, half, 0.5, has_shift=not zero)
        return Grid(-half, half - 1, scale_is_power_of_two=method == "FIXED_POINT")

    def covering(self, low: float, high: float) -> tuple[float, float]:
        """Scale and shift of the smallest scale whose levels reach from `low` to `high`."""
        if self.has_shift:
            scale = max(high - low, 0.0) / max(self.highest - self.lowest, 1)
            shift = (low + high) / 2 - scale * ((self.lowest + self.highest) / 2 - self.offset)
            return scale, shift
        ends = ((high, self.highest - self.offset), (low, self.lowest - self.offset))
        scale = max([0.0, *(value / code for value, code in ends if code and value / code > 0)])
        if self.scale_is_power_of_two and scale > 0:
            scale = float(2.0 ** np.ceil(np.log2(scale)))
        return scale, 0.0


def fit_range(
    parts: Sequence[Histogram], grid: Grid, kind: str = "mse", *, percentile: float = 99.9
) -> tuple[float, float]:
    """Scale and shift for values of several images.

    With "mse", the scale of the least squared error on all values is widened by what would have
    been best for each part if it had been fitted to the others: images to come reach further than
    those that were seen, the more so the fewer these were.

    Args:
        parts: histograms of the values of some of the images each, at least one value in all.
        grid: the levels.
        kind: one of `RANGES`.
        percentile: of "percentile", above 50 up to 100: the largest level is the value that so many
            of 100 are at most; the lowest leaves as many out at the other end.

    Returns:
        (scale, shift); the scale is 0 where all values are the shift.
    """
    filled = [one for one in parts if one.count]
    every = _merged(filled)
    low, high = every.minimum, every.maximum
    if kind == "percentile":
        low, high = (every.quantile(one / 100) for one in (100 - percentile, percentile))
    covering = grid.covering(low, high)
    if kind != "mse" or covering[0] == 0:
        return covering
    scale, shift = _Search(every, grid).best(covering[0])
    if len(filled) > 1 and not grid.scale_is_power_of_two:
        scale *= _widening(filled, grid)
    return scale, shift


def _widening(parts: Sequence[Histogram], grid: Grid) -> float:
    """What a scale fitted to all parts but one is to be multiplied by for that one."""
    errors = np.zeros(len(_WIDENINGS))
    for part in parts:
        others = _merged([one for one in parts if one is not part])
        largest = grid.covering(others.minimum, others.maximum)[0]
        scale, shift = _Search(others, grid).best(largest) if largest else (0.0, others.maximum)
        error = SquaredError(part, grid)
        errors += [error(scale * one, shift) for one in _WIDENINGS]
    return _WIDENINGS[int(np.argmin(errors))]


def _merged(parts: Sequence[Histogram]) -> Histogram:
    merged = parts[0].copy()
    for one in parts[1:]:
        merged.merge(one)
    return merged


class _Search:
    """Looks for the scale, and the shift if it is free, of the least squared error."""

    def __init__(self, histogram: Histogram, grid: Grid) -> None:
        self._histogram = histogram
        self._grid = grid
        self._error = SquaredError(histogram, grid)

    def best(self, largest: float) -> tuple[float, float]:
        if self._grid.scale_is_power_of_two:
            scales = largest * 2.0 ** -np.arange(np.log2(1 / _SMALLEST) + 1)
            return self._least((scale, 0.0) for scale in scales)
        if self._grid.has_shift:
            return self._best_ends()
        return self._best_of(largest * _SMALLEST, largest, lambda scale: (scale, 0.0))

    def _best_ends(self) -> tuple[float, float]:
        """Both ends narrowed at once, then each by turns."""
        grid, histogram = self._grid, self._histogram
        low, high = histogram.minimum, histogram.maximum
        middle = (low + high) / 2

        def both(share: float) -> tuple[float, float]:
            return grid.covering(middle + share * (low - middle), middle + share * (high - middle))

        best = self._best_of(_SMALLEST, 1.0, both)
        for _ in range(_TURNS):
            before = best
            for end in (0, 1):
                ends = self._ends(best)
                fixed, moved = ends[1 - end], (low, high)[end]
                if moved == fixed:
                    continue

                def one(
                    share: float, fixed: float = fixed, moved: float = moved
                ) -> tuple[float, float]:
                    return grid.covering(*sorted((fixed, fixed + share * (moved - fixed))))

                best = self._least([best, self._best_of(_SMALLEST, 1.0, one)])
            if best == before:
                break
        return best

    def _ends(self, fit: tuple[float, float]) -> tuple[float, float]:
        scale, shift = fit
        codes = (self._grid.lowest, self._grid.highest)
        low, high = (shift + scale * (code - self._grid.offset) for code in codes)
        return low, high

    def _best_of(self, first: float, last: float, fit: _Fit) -> tuple[float, float]:
        """The best fit(x) of some x between two, which are spaced as powers, then closer by."""
        xs = np.geomspace(first, last, _TRIED)
        errors = [self._error(*fit(float(x))) for x in xs]
        for _ in range(_REFINED):
            place = int(np.argmin(errors))
            before, best, after = xs[max(place - 1, 0)], xs[place], xs[min(place + 1, len(xs) - 1)]
            kept = errors[place]
            xs = np.concatenate(
                [
                    np.linspace(before, best, _BETWEEN)[1:-1],
                    np.linspace(best, after, _BETWEEN)[1:-1],
                ]
            )
            errors = [*(self._error(*fit(float(x))) for x in xs), kept]
            xs = np.append(xs, best)
            order = np.argsort(xs)
            xs, errors = xs[order], [errors[one] for one in order]
        return fit(float(xs[int(np.argmin(errors))]))

    def _least(self, fits: Iterable[tuple[float, float]]) -> tuple[float, float]:
        return min(fits, key=lambda fit: self._error(*fit))


class SquaredError:
    """The sum of squared errors of a histogram's values, which lie evenly in each bin."""

    def __init__(self, histogram: Histogram, grid: Grid) -> None:
        """Take the values as they are now, and the levels' codes."""
        self._grid = grid
        self._counts, self._edges = histogram.filled()
        self._zeros = histogram.zeros
        self._width = histogram.width

    def __call__(self, scale: float, shift: float) -> float:
        """For a scale and a shift."""
        grid = self._grid
        if scale == 0:
            centres = (self._edges[1:] + self._edges[:-1]) / 2
            return float(self._counts @ (centres - shift) ** 2 + self._zeros * shift**2)
        integral = _integral((self._edges - shift) / scale + grid.offset, grid)
        of_bins = float(self._counts @ np.diff(integral)) * scale**3
        zero = -shift / scale + grid.offset
        of_zero = (zero - np.clip(np.floor(zero + 0.5), grid.lowest, grid.highest)) * scale
        return (of_bins / self._width if self._width else 0.0) + self._zeros * float(of_zero) ** 2


def _integral(position: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """∫ (t - code(t))² dt up to each position, where code(t) is the nearest code.

    From one half before a code n to one half behind it the integral grows by 1/12, and within by
    (t - n)³/3; beyond the outermost codes it grows on by the cube.
    """
    codes = np.clip(np.floor(position + 0.5), grid.lowest, grid.highest)
    off = position - codes
    return np.asarray(codes / 12 + off * off * off / 3)
