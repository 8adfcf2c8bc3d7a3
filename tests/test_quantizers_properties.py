"""What holds for every array and every method, on arrays that Hypothesis makes up.

The settings are deterministic: the same examples in every run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests import reference
from tests.method_options import ALL_OPTIONS, DTYPES, channels_along, run, run_back

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.reference import Options
    from ul2q import Quantized

    Array = NDArray[Any]

steadily = settings(derandomize=True, database=None, deadline=None, max_examples=600)

OPTIONS = [o for o in ALL_OPTIONS if o.bits in (None, 1, 2, 3, 4, 8, 9, 16)]
FORMULAS = [o for o in OPTIONS if o.fit != "empirical"]
any_options = st.sampled_from(OPTIONS)
dtypes = st.sampled_from(DTYPES)
shapes = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7)


def width_of(dtype: Any) -> Literal[32, 64]:
    return 32 if dtype == np.float32 else 64


def floats_of(dtype: Any, limit: float = np.inf) -> st.SearchStrategy[float]:
    """Finite numbers up to the limit: any at all, ordinary ones, and the ends of the format."""
    info = np.finfo(dtype)
    ends = [0.0, -0.0, 1e-30, 1.0, 1.5, 1e30, info.smallest_subnormal, info.tiny, info.eps, 1e38]
    ends += [np.nextafter(dtype(1), dtype(2)), info.max]
    limit = min(limit, float(info.max))
    inside = [sign * float(x) for x in ends for sign in (1, -1) if float(x) <= limit]
    width = width_of(dtype)
    return st.one_of(
        st.sampled_from(inside),
        st.integers(-8, 8).map(lambda x: x / 4),
        st.floats(-100, 100, width=width),
        st.floats(-float(dtype(limit)), float(dtype(limit)), width=width),
    )


@st.composite
def extreme_arrays(draw: st.DrawFn, limit: float = np.inf) -> Array:
    """Of any shape, empty and 0-d included; often with few different values."""
    dtype = draw(dtypes)
    elements = floats_of(dtype, limit)
    if draw(st.booleans()):  # one or two values, many times
        elements = st.sampled_from(draw(st.lists(elements, min_size=1, max_size=2)))
    return draw(arrays(dtype, shapes, elements=elements, fill=st.nothing()))


@st.composite
def moderate_arrays(draw: st.DrawFn, min_size: int = 1) -> Array:
    """Flat, of zeros and magnitudes 2**-20 to 2**20, so that powers of two scale it exactly."""
    dtype = draw(dtypes)
    magnitudes = st.floats(2**-20, 2**20, width=width_of(dtype))
    elements = st.one_of(
        st.just(0.0), st.integers(-8, 8).map(float), magnitudes, magnitudes.map(lambda x: -x)
    )
    size = draw(st.integers(min_size, 24))
    return draw(arrays(dtype, size, elements=elements, fill=st.nothing()))


def nearest_distance(w: Array, got: Quantized, o: Options) -> Array:
    """From each element to the level that is nearest to it, in long double."""
    codes = reference.codes_of(o)
    scale, shift = np.longdouble(got.scale), np.longdouble(got.shift)
    if scale == 0:
        return np.asarray(np.abs(w.astype(np.longdouble) - shift))
    raw = (w.astype(np.longdouble) - shift) / scale + codes.offset
    code = np.clip(np.rint(raw), codes.numbers[0], codes.numbers[-1])
    return np.asarray(np.abs(shift + scale * (code - codes.offset) - w))


def is_near_a_tie(w: Array, got: Quantized, o: Options) -> Array:
    """Where the last digit of the scale may decide on the code."""
    code = reference.DEFINITIONS[o.method].code
    if code == "threshold":
        threshold = reference.fit(w, o).threshold
        return np.asarray(np.abs(np.abs(w) - threshold) <= 1e-6 * threshold)
    if code == "sign" or got.scale == 0:
        return np.zeros(w.shape, bool)
    raw = (w.astype(np.longdouble) - got.shift) / got.scale + reference.codes_of(o).offset
    slack = 8 * np.finfo(w.dtype).eps * (1 + np.abs(raw) + abs(got.shift) / got.scale)
    return np.asarray(np.abs(np.abs(raw - np.floor(raw)) - 0.5) <= slack)


@given(extreme_arrays(), any_options)
@steadily
def test_a_sound_result_or_a_refusal(w: Array, options: Options) -> None:
    largest = float(np.max(np.abs(w), initial=0))
    try:
        got = run(w, options)
    except ValueError as error:
        assert re.search(
            r"holds values so large that their (mean|variance|quantised values) overflows?$",
            str(error),
        )
        assert largest > (1e37 if w.dtype == np.float32 else 1e150)
        return
    codes = reference.codes_of(options)
    assert np.isfinite(got.values).all()
    assert np.isfinite([got.scale, got.shift]).all()
    assert got.scale >= 0
    assert set(np.unique(got.codes)) <= set(codes.numbers) | ({0} if got.scale == 0 else set())
    fitted = reference.Fitted(got.scale, got.shift)
    np.testing.assert_array_equal(got.values, reference.decode(got.codes, fitted, options, w.dtype))
    back = run_back(got.codes, got, options, w.dtype)
    np.testing.assert_array_equal(back, got.values)

    code = reference.DEFINITIONS[options.method].code
    if code == "sign":
        np.testing.assert_array_equal(got.codes, np.where(w < 0, -1, 1))
    elif code == "threshold":
        used = got.codes != 0
        np.testing.assert_array_equal(got.codes[used], np.sign(w[used]))
        assert np.max(np.abs(w[~used]), initial=0) <= np.min(np.abs(w[used]), initial=np.inf)
    else:
        distance = np.abs(got.values.astype(np.longdouble) - w)
        eps, tiny = np.finfo(w.dtype).eps, np.finfo(w.dtype).smallest_subnormal
        rounding = 4 * (eps * (np.abs(w) + abs(np.longdouble(got.shift)) + got.scale) + tiny)
        assert (distance <= nearest_distance(w, got, options) + rounding).all()


@given(extreme_arrays(), any_options, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
@settings(steadily, max_examples=150)
def test_nan_and_infinity_are_refused_wherever_they_are(
    w: Array, options: Options, bad: float, data: st.DataObject
) -> None:
    assume(w.size)
    at = data.draw(st.integers(0, w.size - 1))
    w.reshape(-1)[at] = bad
    axis = data.draw(st.integers(0, w.ndim - 1)) if w.ndim else None
    name = "NaN" if np.isnan(bad) else "an infinite value"
    for others in ({}, channels_along(axis)):
        with pytest.raises(ValueError, match=f"holds {name} at element {at} of {w.size}$"):
            run(w, options, **others)


@given(extreme_arrays(limit=1e37), st.sampled_from([o for o in OPTIONS if o.fit == "empirical"]))
@steadily
def test_empirical_is_never_worse_than_exact(w: Array, options: Options) -> None:
    exact = reference.Options(options.method, options.bits, "exact", options.shift, options.signed)
    got, other = run(w, options), run(w, exact)
    assert got.loss <= other.loss
    if w.size:
        norms = [np.linalg.norm((x.values.astype(np.longdouble) - w).ravel()) for x in (got, other)]
        assert norms[0] <= norms[1] * (1 + 1e-12)


@given(moderate_arrays(), any_options, st.integers(-30, 30))
@steadily
def test_powers_of_two_scale_everything_but_the_codes(w: Array, o: Options, power: int) -> None:
    factor = 2.0**power
    once, scaled = run(w, o), run(w * w.dtype.type(factor), o)
    np.testing.assert_array_equal(scaled.codes, once.codes)
    assert (scaled.scale, scaled.shift) == (factor * once.scale, factor * once.shift)
    np.testing.assert_array_equal(scaled.values, once.values * w.dtype.type(factor))


@given(moderate_arrays(), st.sampled_from([o for o in FORMULAS if o.signed]))
@steadily
def test_the_mirrored_array_has_the_mirrored_fit(w: Array, o: Options) -> None:
    got, mirrored = run(w, o), run(-w, o)
    assert (mirrored.scale, mirrored.shift) == (got.scale, -got.shift)
    code, codes = reference.DEFINITIONS[o.method].code, reference.codes_of(o)
    if code == "threshold":
        np.testing.assert_array_equal(mirrored.codes, -got.codes)
    elif code == "sign":
        np.testing.assert_array_equal(mirrored.codes[w != 0], -got.codes[w != 0])
    elif codes.numbers[0] + codes.numbers[-1] == 2 * codes.offset and got.scale:
        clear = ~is_near_a_tie(w, got, o)
        np.testing.assert_array_equal(mirrored.codes[clear], 2 * codes.offset - got.codes[clear])


@given(moderate_arrays(), st.sampled_from(FORMULAS), st.randoms(use_true_random=False))
@steadily
def test_the_order_of_the_elements_does_not_matter(w: Array, o: Options, random: Any) -> None:
    order = random.sample(range(w.size), w.size)
    got, shuffled = run(w, o), run(w[order], o)
    eps = float(np.finfo(w.dtype).eps)
    for part in ("scale", "shift"):
        assert getattr(shuffled, part) == pytest.approx(
            getattr(got, part), rel=2 * eps, abs=1e-14 * float(np.max(np.abs(w)))
        )
    if got.scale and shuffled.scale:
        clear = ~is_near_a_tie(w, got, o)
        np.testing.assert_array_equal(shuffled.codes[clear[order]], got.codes[order][clear[order]])


KEEP_LEVELS = [o for o in FORMULAS if reference.DEFINITIONS[o.method].keeps_levels]


@given(moderate_arrays(), st.sampled_from(KEEP_LEVELS))
@steadily
def test_values_that_lie_on_the_levels_stay(w: Array, o: Options) -> None:
    # No property of a range whose end is positive, where there is a level less.
    lowest, highest = reference.codes_of(o).numbers[0], reference.codes_of(o).numbers[-1]
    if o.signed and -lowest > highest:
        w = -np.abs(w)
    once = run(w, o)
    twice = run(once.values, o)
    if w.dtype == np.float32:
        np.testing.assert_array_equal(twice.values, once.values)
    np.testing.assert_allclose(twice.values, once.values, rtol=1e-14, atol=0)
