"""Every quantisation method once more, in plain NumPy from its definition: the tests' oracle.

Nothing here comes from ul2q. Statistics are computed in long double and rounded once to the
array's dtype; codes and values are computed in that dtype, operation by operation, which is what
makes them comparable bit for bit.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

# λ of μL2Q at 1 to 8 bits: the paper's Table I.
PAPER_STEPS = (1.5959, 0.9894, 0.5838, 0.3327, 0.1897, 0.1043, 0.0563, 0.0304)


@dataclass(frozen=True)
class Options:
    """Keyword arguments of ul2q.quantize."""

    method: str = "ul2q"
    bits: int | None = None
    fit: str = "exact"
    shift: str | None = None
    signed: bool = True

    @property
    def has_mean(self) -> bool:
        return DEFINITIONS[self.method].has_mean and self.signed and self.shift != "zero"

    @property
    def width(self) -> int:
        """`bits`, or the one width that the method has."""
        width = self.bits or DEFINITIONS[self.method].width
        assert width is not None
        return width

    def __str__(self) -> str:
        sign = "" if self.signed else " unsigned"
        return f"{self.method} {self.bits} {self.fit} {self.shift}{sign}"


@dataclass(frozen=True)
class Fitted:
    """Scale α, shift β and the threshold Δ of ternary methods, as float64."""

    scale: float
    shift: float = 0.0
    threshold: float = 0.0


@dataclass(frozen=True)
class Codes:
    """Which codes a method has, and the level of code c: β + α(c - offset)."""

    numbers: tuple[int, ...] | range
    offset: float = 0.0

    @property
    def bits(self) -> int:
        return math.ceil(math.log2(len(self.numbers)))


def codes_of(options: Options) -> Codes:
    """The codes that exist for the options."""
    if not options.signed:
        return Codes(range(2**options.width))
    return DEFINITIONS[options.method].codes(options)


# Steps for normally distributed data. For x ~ N(0, 1) and a staircase L of steps of 1 at the
# thresholds t, E[x L(x)] is the density summed over the thresholds, and the λ that minimises
# E[(x - λL)²] solves λ E[L²] = E[x L].


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))


@cache
def optimal_step(bits: int, *, signed: bool = True) -> float:
    """Argmin over λ of the squared error on N(0, 1), or on max(x, 0), 0 being a level."""

    def excess(step: float) -> float:
        """λ E[L²] - E[x L]."""
        if signed:
            # L = ±1/2, ±3/2, …: L² grows by 2j at |x| = jλ.
            ts = [(j, j * step) for j in range(1, 2 ** (bits - 1))]
            products = _density(0) + 2 * math.fsum(_density(t) for _, t in ts)
            squares = 0.25 + 4 * math.fsum(j * _tail(t) for j, t in ts)
        else:
            # L = 0, 1, …: L² grows by 2j - 1 at x = (j - 1/2)λ.
            ts = [(j, (j - 0.5) * step) for j in range(1, 2**bits)]
            products = math.fsum(_density(t) for _, t in ts)
            squares = math.fsum((2 * j - 1) * _tail(t) for j, t in ts)
        return step * squares - products

    # With a bit more the step halves, and the range grows by less than a third.
    low, high = 0.5, 4.0
    if bits > 1:
        low, high = (share * optimal_step(bits - 1, signed=signed) for share in (0.5, 0.66))
    at_low, at_high = excess(low), excess(high)
    middle = low
    for _ in range(100):  # false position, halving the end that stays (Illinois)
        previous, middle = middle, (low * at_high - high * at_low) / (at_high - at_low)
        at_middle = excess(middle)
        if abs(middle - previous) <= 1e-12 * middle or at_middle == 0:
            return middle
        if (at_middle < 0) == (at_high < 0):
            at_low /= 2
        else:
            low, at_low = high, at_high
        high, at_high = middle, at_middle
    raise AssertionError("no convergence")


def normal_loss(step: float, bits: int) -> float:
    """E[(x - Q(x))²], x ~ N(0, 1), for the signed levels: E[x²] - 2λ E[xL] + λ² E[L²]."""
    thresholds = [(j, j * step) for j in range(1, 2 ** (bits - 1))]
    products = _density(0) + 2 * math.fsum(_density(t) for _, t in thresholds)
    squares = 0.25 + 4 * math.fsum(j * _tail(t) for j, t in thresholds)
    return 1 - 2 * step * products + step**2 * squares


# The methods' formulas: from an array in long double to Fitted, the scale not yet rounded.


def _ul2q(w: Array, o: Options) -> Fitted:
    mean = w.mean() if o.has_mean else 0.0
    deviation = np.sqrt(np.mean((w - mean) ** 2))
    if not o.signed:
        # max(x, 0) has half the mean square of x.
        step = optimal_step(o.width, signed=False) * np.sqrt(2) * deviation
    elif o.fit == "paper" and o.width > len(PAPER_STEPS):
        width = w.max() - w.min() if o.has_mean else 2 * np.abs(w).max()
        step = width / (2**o.width - 1)
    elif o.fit == "paper":
        step = PAPER_STEPS[o.width - 1] * deviation
    else:
        step = optimal_step(o.width) * deviation
    return Fitted(step, mean)


def _binary(w: Array, _: Options) -> Fitted:
    return Fitted(np.abs(w).mean())


def _ternary(w: Array, _: Options) -> Fitted:
    magnitudes = np.abs(w)
    threshold = 0.7 * magnitudes.mean()
    above = magnitudes[magnitudes > threshold]
    return Fitted(above.mean() if above.size else 0.0, 0.0, threshold)


def _ternary_quantized(w: Array, o: Options) -> Fitted:
    plain = _ternary(w, o)
    return Fitted(nearest_short_integer(plain.scale, o.width), 0.0, plain.threshold)


def _clip(w: Array, o: Options) -> Fitted:
    if o.signed:
        return Fitted(np.abs(w).max() / 2 ** (o.width - 1))
    return Fitted(max(w.max(), 0) / (2**o.width - 1))


def _fixed_point(w: Array, o: Options) -> Fitted:
    step = _clip(w, o).scale
    return Fitted(2.0 ** math.ceil(math.log2(step)) if step else 0.0)


# The methods' signed codes.


def _about_half(o: Options) -> Codes:
    half: int = 2 ** (o.width - 1)
    return Codes(range(1 - half, half + 1), 0.5)


def _integers(o: Options) -> Codes:
    half: int = 2 ** (o.width - 1)
    return Codes(range(-half, half))


# The scales that a method can have, next to those that it would have if it could have any: a row
# for each of these.


def _any_scale(scales: Array, _: Options) -> Array:
    return scales[:, None]


def _powers_of_two(scales: Array, _: Options) -> Array:
    with np.errstate(divide="ignore"):
        below = np.where(scales > 0, 2.0 ** np.floor(np.log2(scales)), 0)
    return np.stack([below, 2 * below], axis=1)


def _short_integers(scales: Array, o: Options) -> Array:
    return np.array([[nearest_short_integer(scale, o.width)] for scale in scales])


@dataclass(frozen=True)
class Definition:
    """A method: all that the tests know of it, which no other file of theirs has to repeat.

    Attributes:
        fit: the formula, from an array in long double to Fitted, the scale not yet rounded.
        codes: those of signed values.
        code: which of them an element gets: that of the "nearest" level, that of its "sign", or 0
            up to a "threshold" and else that of its sign.
        width: the one that `bits` may be left out for; None: there are several.
        has_mean: the shift may be the mean of the array.
        scales: those that it can have.
        keeps_levels: values that lie on its levels, the outermost among them, are quantised to
            themselves.
        covers_range: no value lies beyond the outermost levels by more than a step.
    """

    fit: Callable[[Array, Options], Fitted]
    codes: Callable[[Options], Codes]
    code: str = "nearest"
    width: int | None = None
    has_mean: bool = False
    scales: Callable[[Array, Options], Array] = _any_scale
    keeps_levels: bool = True
    covers_range: bool = False


DEFINITIONS = {
    "binary": Definition(_binary, lambda _: Codes((-1, 1)), "sign", width=1),
    "clip": Definition(_clip, _integers, covers_range=True),
    "fixed_point": Definition(_fixed_point, _integers, scales=_powers_of_two, covers_range=True),
    "ternary": Definition(_ternary, lambda _: Codes((-1, 0, 1)), "threshold", width=2),
    "ternary_quantized": Definition(
        _ternary_quantized, lambda _: Codes((-1, 0, 1)), "threshold", scales=_short_integers
    ),
    # σ of values on the levels is another.
    "ul2q": Definition(_ul2q, _about_half, has_mean=True, keeps_levels=False),
}


def nearest_short_integer(scale: float, bits: int) -> float:
    """The integer of `bits` bits times a power of two that is nearest to the scale, ties up."""
    if scale == 0:
        return 0.0
    unit = 2.0 ** (math.floor(math.log2(scale)) + 1 - bits)
    return math.floor(float(scale) / unit + 0.5) * unit


def fit(w: Array, options: Options) -> Fitted:
    """Scale, shift and threshold for fit exact or paper, rounded to the dtype of `w`."""
    if w.size == 0:
        return Fitted(0.0)
    exact = DEFINITIONS[options.method].fit(w.ravel().astype(np.longdouble), options)
    return Fitted(*(float(w.dtype.type(x)) for x in (exact.scale, exact.shift, exact.threshold)))


def encode(w: Array, fitted: Fitted, options: Options) -> Array:
    """The codes, computed in the dtype of `w`."""
    kind = w.dtype.type
    code = DEFINITIONS[options.method].code
    if code == "sign":
        return np.where(w < 0, -1, 1).astype(np.int32)
    if code == "threshold":
        return np.where(np.abs(w) > kind(fitted.threshold), np.sign(w), 0).astype(np.int32)
    if fitted.scale == 0:
        return np.zeros(w.shape, np.int32)
    return round_half_away(position(w, fitted, options)).astype(np.int32)


def position(w: Array, fitted: Fitted, options: Options) -> Array:
    """Where an element lies among the codes: clip((w - β)/α + offset).

    The library multiplies by 1/α, rounded to the dtype, unless that overflows.
    """
    kind, codes = w.dtype.type, codes_of(options)
    scale = kind(fitted.scale)
    with np.errstate(over="ignore"):
        distance, inverse = w - kind(fitted.shift), kind(1) / scale
        quotient = distance * inverse if np.isfinite(inverse) else distance / scale
        raw = quotient + kind(codes.offset)
    return np.asarray(np.clip(raw, kind(codes.numbers[0]), kind(codes.numbers[-1])))


def round_half_away(x: Array) -> Array:
    """To the nearest integer, ties away from zero; exact."""
    whole = np.trunc(x)
    return np.asarray(np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1, x), whole))


def decode(codes: Array, fitted: Fitted, options: Options, dtype: Any) -> Array:
    """β + α(code - offset), computed in `dtype`."""
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        level = codes.astype(dtype) - kind(codes_of(options).offset)
        return np.asarray(kind(fitted.scale) * level + kind(fitted.shift), dtype)


def quantize(w: Array, options: Options) -> Array:
    """The values for fit exact or paper."""
    fitted = fit(w, options)
    return decode(encode(w, fitted, options), fitted, options, w.dtype)


def quantize_channels(w: Array, options: Options, axis: int) -> Array:
    """The same, each slice along `axis` on its own."""
    slices = [quantize(each, options) for each in np.moveaxis(w, axis, 0)]
    return np.moveaxis(np.stack(slices), 0, axis)


# Least squares, in double precision.


def squared_error(w: Array, levels: Array, scale: float, shift: float) -> float:
    """Sum of (w - scale · level - shift)²."""
    return float(np.sum((w.astype(np.float64) - scale * levels - shift) ** 2))


def least_squares(w: Array, levels: Array, options: Options) -> Fitted:
    """The best scale (>= 0) that the method can have, and shift, for the levels of the elements."""
    w = w.astype(np.float64)
    about_w = w - w.mean() if options.has_mean else w
    about_levels = levels - levels.mean() if options.has_mean else levels
    spread = float(np.sum(about_levels**2))
    scale = max(0.0, float(np.sum(about_w * about_levels)) / spread) if spread else 0.0
    (possible,) = DEFINITIONS[options.method].scales(np.array([scale]), options)
    scale = float(possible[np.argmin(np.abs(possible - scale))])
    return Fitted(scale, float(w.mean() - scale * levels.mean()) if options.has_mean else 0.0)


def least_error(w: Array, options: Options, assignments: Iterator[tuple[int, ...]]) -> float:
    """The least sum of squared errors over assignments of codes to the elements of `w`.

    Closed form for all assignments at once: with x = w (about its mean where the shift is free)
    and l = levels (likewise), the error is x·x - 2 s x·l + s² l·l at its best scale s >= 0.
    """
    offset = codes_of(options).offset
    levels = np.array(list(assignments), np.float64) - offset
    x = w.astype(np.float64)
    if options.has_mean:
        x = x - x.mean()
        levels = levels - levels.mean(axis=1, keepdims=True)
    products, squares = levels @ x, np.sum(levels**2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(squares > 0, np.maximum(products / squares, 0), 0)
    scales = DEFINITIONS[options.method].scales(best, options)
    errors = x @ x - 2 * scales * products[:, None] + scales**2 * squares[:, None]
    return max(0.0, float(errors.min()))


def monotone_assignments(w: Array, options: Options) -> Iterator[tuple[int, ...]]:
    """All assignments of codes that do not fall where `w` grows: the best one is among them."""
    ranks = np.argsort(np.argsort(w, kind="stable"), kind="stable")
    for rising in itertools.combinations_with_replacement(codes_of(options).numbers, w.size):
        yield tuple(rising[rank] for rank in ranks)


def all_assignments(w: Array, options: Options) -> Iterator[tuple[int, ...]]:
    """All assignments of codes, monotone or not."""
    return itertools.product(codes_of(options).numbers, repeat=w.size)
