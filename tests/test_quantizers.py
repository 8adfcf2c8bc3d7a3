"""The quantizers against NumPy references, on the arrays and options of a table."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ul2q
from tests import reference
from tests.method_options import (
    ALL_OPTIONS,
    DTYPES,
    METHODS,
    channels_along,
    options_of,
    run,
    run_back,
)
from tests.processes import run_python
from tests.reference import Options
from ul2q import Quantized, dequantize, methods, quantize
from ul2q.quantizers import Method, method_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]

ALL_BITS = range(1, 17)
FITS = ("exact", "paper")
# E[(x - Q(x))²] for x ~ N(0, 1) at 1 to 8 bits: of the exact steps, and as the paper prints it.
EXACT_LOSSES = (0.363380, 0.118846, 0.037440, 0.011543, 0.003495, 0.001040, 0.000304, 0.0000877)
PAPER_LOSSES = (0.3625, 0.1189, 0.0374, 0.0115, 0.0035, 0.0010, 0.0003, 0.0001)

SEED_OF_METHOD = {name: number for number, name in enumerate(METHODS)}


def fit_of(got: Quantized, w: Array, o: Options) -> reference.Fitted:
    """The fit of a result; the threshold, which it does not show, is the method's."""
    threshold = reference.fit(w, o).threshold
    if o.fit == "empirical":  # 0.7 mean |w| where nothing was better, else half the scale
        half = float(w.dtype.type(got.scale) / 2)
        fitted = reference.Fitted(got.scale, got.shift, threshold)
        if not np.array_equal(reference.encode(w, fitted, o), got.codes):
            threshold = half
    return reference.Fitted(got.scale, got.shift, threshold)


def check(w: Array, got: Quantized, o: Options) -> None:
    """Hold the result of a whole array against the reference."""
    eps = float(np.finfo(w.dtype).eps)
    codes = reference.codes_of(o)
    assert got.bits == codes.bits
    assert got.values.dtype == w.dtype
    assert got.codes.dtype == np.int32
    assert got.values.shape == got.codes.shape == w.shape
    assert [type(x) for x in (got.scale, got.shift, got.loss)] == [float] * 3

    # Codes and values are those of the scale and the shift to the bit.
    fitted = fit_of(got, w, o)
    want = reference.encode(w, fitted, o)
    if reference.DEFINITIONS[o.method].code == "threshold" and o.fit != "empirical":
        # The threshold may round the other way.
        near = np.abs(np.abs(w) - fitted.threshold) <= eps * fitted.threshold
        want = np.where(near, got.codes, want)
    np.testing.assert_array_equal(got.codes, want)
    np.testing.assert_array_equal(got.values, reference.decode(got.codes, fitted, o, w.dtype))
    errors = got.values.astype(np.longdouble) - w
    loss = float(np.mean(errors**2)) if w.size else 0.0
    assert got.loss == pytest.approx(loss, rel=1e-12)

    exact = reference.fit(w, o)
    largest = float(np.max(np.abs(w), initial=0))
    if o.fit != "empirical":
        # Rounded to the dtype; λ has ten digits, and sums are in double.
        for part in ("scale", "shift"):
            assert getattr(got, part) == pytest.approx(
                getattr(exact, part), rel=max(eps, 1e-9), abs=1e-13 * largest
            )
        return
    levels = reference.encode(w, exact, o) - codes.offset
    check_error(w, got, reference.squared_error(w, levels, exact.scale, exact.shift), o)
    assert got.shift == 0 or o.has_mean


def check_error(w: Array, got: Quantized, limit: float, o: Options) -> None:
    """The sum of squared errors is not above the limit, but for what rounding can do."""
    levels = got.codes - reference.codes_of(o).offset
    error = reference.squared_error(w, levels, got.scale, got.shift)
    # Values round to the dtype, which adds that much to the error's norm.
    rounding = 2 * np.finfo(w.dtype).eps * np.linalg.norm(w.astype(np.float64))
    assert error**0.5 <= limit**0.5 * (1 + 1e-9) + rounding


def check_that_one_more_turn_gains_nothing(w: Array, got: Quantized, o: Options) -> None:
    """EMPIRICAL ends where least squares for its codes is no better."""
    levels = got.codes - reference.codes_of(o).offset
    better = reference.least_squares(w, levels, o)
    check_error(w, got, reference.squared_error(w, levels, better.scale, better.shift), o)


DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.normal(0, 0.05, shape),
    "shifted": lambda rng, shape: rng.normal(9, 6, shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 3, shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, shape),
    "skewed": lambda rng, shape: -rng.exponential(1e-6, shape),
    "sparse": lambda rng, shape: rng.normal(0, 1, shape) * (rng.random(shape) < 0.1),
    "two values": lambda rng, shape: rng.choice([-1.25, 3.0], shape),
    "huge": lambda rng, shape: rng.normal(0, 1e30, shape),
    "tiny": lambda rng, shape: rng.normal(0, 1e-30, shape),
    "one outlier": lambda rng, shape: rng.normal(0, 1, shape) + 1e4 * (rng.random(shape) > 0.999),
}
SHAPES = [(2,), (7,), (4, 1, 5, 5)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
def test_scale_shift_codes_values_and_loss(options: Options, dtype: DTypeLike) -> None:
    rng = np.random.default_rng([SEED_OF_METHOD[options.method], options.bits or 0])
    for name, draw in DRAWS.items():
        for shape in SHAPES:
            w = draw(rng, shape).astype(dtype)
            if not options.signed and name != "shifted":  # a few negative ones, too
                w = np.abs(w)
            got = run(w, options)
            check(w, got, options)
            if options.fit == "empirical":
                check_that_one_more_turn_gains_nothing(w, got, options)


@pytest.mark.parametrize("name", METHODS)
def test_the_shift_that_a_method_has_by_itself(name: str) -> None:
    w = np.random.default_rng(11).normal(1, 1, 50)
    bits = METHODS[name].max_bits
    for signed in {True, not METHODS[name].has_unsigned}:
        own = "mean" if METHODS[name].has_mean_shift and signed else "zero"
        got = quantize(w, bits, name, signed=signed)
        want = quantize(w, bits, name, shift=own, signed=signed)
        np.testing.assert_array_equal(got.values, want.values)
        assert (got.scale, got.shift) == (want.scale, want.shift)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [o for o in ALL_OPTIONS if o.bits in (None, 1, 2, 5, 16)], ids=str
)
def test_channels_are_quantised_as_arrays_of_their_own(options: Options, dtype: DTypeLike) -> None:
    w = np.random.default_rng(8).normal(0.5, 2, (3, 4, 2, 5)).astype(dtype)
    for axis in (0, 1, 2, 3, -1, -3):
        got = run(w, options, **channels_along(axis))
        slices = [run(each, options) for each in np.moveaxis(w, axis, 0)]
        channels = [1] * w.ndim
        channels[axis] = w.shape[axis]
        for name in ("scale", "shift"):
            array = getattr(got, name)
            assert (array.shape, array.dtype) == (tuple(channels), w.dtype)
            np.testing.assert_array_equal(array.ravel(), [getattr(s, name) for s in slices])
        for name in ("codes", "values"):
            want = np.stack([getattr(s, name) for s in slices])
            np.testing.assert_array_equal(np.moveaxis(getattr(got, name), axis, 0), want)
        assert got.loss == pytest.approx(np.mean([s.loss for s in slices]), rel=1e-12)
        assert got.bits == slices[0].bits


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", METHODS)
def test_many_channels_on_threads(name: str, dtype: DTypeLike) -> None:
    # Rows that are not contiguous, and more elements than one thread gets.
    o = Options(name, METHODS[name].max_bits)
    w = np.random.default_rng(9).normal(0, 1, (70, 9, 70)).astype(dtype)
    got = run(w, o, **channels_along(1))
    want = reference.quantize_channels(w, o, 1)
    rounding = max(float(np.finfo(dtype).eps), 1e-9) * np.max(np.abs(want))
    # A position may round to the next code where the scales differ in their last digit.
    apart = np.abs(got.values - want) > 4 * rounding
    assert apart.mean() < 0.01
    for channel in range(9):
        alone = run(w[:, channel], o)
        np.testing.assert_array_equal(got.values[:, channel], alone.values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", ALL_BITS)
def test_moments_do_not_cancel_at_a_mean_of_a_thousand_deviations(
    bits: int, dtype: DTypeLike
) -> None:
    w = np.random.default_rng(bits).normal(1000, 1, 30_000).astype(dtype)
    for fit in FITS:
        check(w, quantize(w, bits, fit=fit), Options("ul2q", bits, fit))


@pytest.mark.parametrize("options", [o for o in ALL_OPTIONS if o.bits in (None, 4)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_many_blocks_and_odd_sizes(dtype: DTypeLike, options: Options) -> None:
    # Around the sizes at which the kernels split the work or start threads.
    for n in (2047, 2048, 2049, 16 * 2048 + 1, 70_003):
        w = np.random.default_rng(n).normal(-2, 3, n).astype(dtype)
        check(w, run(w, options), options)


@pytest.mark.parametrize("bits", range(9, 17))
@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_round_half_away_from_zero(bits: int, dtype: DTypeLike) -> None:
    # min and max are the outermost levels of step 1 about 0, so that each integer is half-way
    # between two levels: (w - 0)/1 + 0.5.
    end = (2**bits - 1) / 2
    ties = np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), dtype=dtype)
    w = np.concatenate([ties, np.array([-end, end], dtype)])
    got = quantize(w, bits, fit="paper")
    assert (got.scale, got.shift) == (1, 0)
    want = np.where(ties >= 0, ties + 1, ties).astype(np.int32)
    np.testing.assert_array_equal(got.codes[:-2], want)
    np.testing.assert_array_equal(got.codes[-2:], [1 - 2 ** (bits - 1), 2 ** (bits - 1)])
    np.testing.assert_array_equal(got.values[:-2], want - 0.5)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bits", ALL_BITS)
def test_the_shift_itself_rounds_up(bits: int, fit: str) -> None:
    got = quantize(np.array([-3, 0, 3], np.float32), bits, fit=fit)
    assert got.shift == 0
    assert got.codes[1] == 1
    assert got.values[1] == np.float32(got.scale) / 2


@pytest.mark.parametrize("bits", ALL_BITS)
def test_the_exact_step_minimises_the_error_on_a_normal_distribution(bits: int) -> None:
    step = quantize(np.array([-1.0, 1.0]), bits).scale  # σ = 1
    assert step == pytest.approx(reference.optimal_step(bits), rel=1e-9)
    best = reference.normal_loss(step, bits)
    assert best < reference.normal_loss(step * 0.999, bits)
    assert best < reference.normal_loss(step * 1.001, bits)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_the_unsigned_step_minimises_the_error_on_a_rectified_normal_distribution(
    bits: int,
) -> None:
    w = np.array([0, np.sqrt(2)])  # a mean square of 1, as N(0, 1) has before the ReLU
    scale = quantize(w, bits, signed=False).scale
    assert scale == pytest.approx(np.sqrt(2) * reference.optimal_step(bits, signed=False), rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fit", FITS)
def test_losses_on_a_normal_sample_are_within_its_sampling_error(
    fit: str, dtype: DTypeLike
) -> None:
    n = 400_000
    w = np.random.default_rng(10).normal(0, 1, n)
    w = ((w - w.mean()) / w.std()).astype(dtype)
    for bits in ALL_BITS[:8]:
        got = quantize(w, bits, fit=fit)
        errors = (got.values.astype(np.float64) - w) ** 2
        want = reference.normal_loss(got.scale, bits)
        assert abs(got.loss - want) < 5 * errors.std() / np.sqrt(n), bits


@pytest.fixture(scope="module")
def million_normals() -> Array:
    """N(0, 1) by 10⁶ quantiles: its errors are far closer to their mean than a random sample's."""
    n = 1_000_000
    upper = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n // 2, n)]
    return np.random.default_rng(1).permutation(np.array([*upper, *(-x for x in upper)]))


@pytest.mark.parametrize(
    ("fit", "losses", "tolerance"),
    [
        # The quantiles miss what lies beyond the outermost: 0.4 % of the loss at 8 bits.
        ("exact", EXACT_LOSSES, (0.005, 0)),
        # The paper's figures have four decimals and come from a random sample.
        ("paper", PAPER_LOSSES, (0, 0.001)),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_on_normal_data(
    million_normals: Array,
    dtype: DTypeLike,
    fit: str,
    losses: tuple[float, ...],
    tolerance: tuple[float, float],
) -> None:
    w = million_normals.astype(dtype)
    relative, absolute = tolerance
    for bits, loss in enumerate(losses, start=1):
        got = quantize(w, bits, fit=fit).loss
        assert got == pytest.approx(loss, rel=relative, abs=absolute), bits


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_exact_fit_beats_the_papers_where_the_table_differs(
    million_normals: Array, dtype: DTypeLike
) -> None:
    w = million_normals.astype(dtype)
    for bits in (3, 4, 5, 7, 8):
        assert quantize(w, bits).loss < quantize(w, bits, fit="paper").loss


def big_endian(w: Array) -> Array:
    return w.astype(w.dtype.newbyteorder(">"))


def read_only(w: Array) -> Array:
    copy = w.copy()
    copy.flags.writeable = False
    return copy


def unaligned(w: Array) -> Array:
    data = np.frombuffer(b"\0" + w.tobytes(), np.uint8)[1:]
    array: Array = data.view(w.dtype).reshape(w.shape)
    assert not array.flags.aligned
    return array


def packed_field(w: Array) -> Array:
    records = np.zeros(w.shape, np.dtype([("flag", np.uint8), ("w", w.dtype)]))
    records["w"] = w
    field: Array = records["w"]
    return field


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda w: np.repeat(w, 2, axis=1)[:, ::2],
        lambda w: np.ascontiguousarray(w[::-1, :, ::-1])[::-1, :, ::-1],
        lambda w: np.ascontiguousarray(w.transpose(2, 0, 1)).transpose(1, 2, 0),
        big_endian,
        read_only,
        unaligned,
        packed_field,
        np.ma.masked_array,
        lambda w: w.tolist(),
    ],
    ids=[
        *("fortran", "strided", "negative strides", "transposed", "big-endian", "read-only"),
        *("unaligned", "packed field", "masked array", "nested lists"),
    ],
)
def test_memory_layout_does_not_matter(layout: Callable[[Array], Any], dtype: DTypeLike) -> None:
    w = np.random.default_rng(3).normal(1, 2, (6, 5, 4)).astype(dtype)
    laid_out = layout(w)
    if isinstance(laid_out, list):  # NumPy's rule: Python floats are float64
        w = w.astype(np.float64)
    for bits in (1, 2, 8, 16):
        want, got = quantize(w, bits), quantize(laid_out, bits)
        assert got.values.dtype == w.dtype
        assert type(got.values) is np.ndarray
        np.testing.assert_array_equal(got.values, want.values)
        np.testing.assert_array_equal(got.codes, want.codes)
        assert (got.scale, got.shift, got.loss) == (want.scale, want.shift, want.loss)


def test_a_broadcast_view_is_quantised_as_what_it_shows() -> None:
    row = np.array([1, 2, 4], np.float32)
    got = quantize(np.broadcast_to(row, (5, 3)), 3)
    check(np.tile(row, (5, 1)), got, Options("ul2q", 3))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bits", [1, 2, 8, 9, 16])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ((), 2.5),
        ((1,), -0.1),
        ((1, 1, 1, 1), 0.0),
        ((70_001,), 0.1),
        ((3, 4, 5), 1e30),
        ((5,), -1e-30),
    ],
)
def test_equal_elements_stay_as_they_are(
    shape: tuple[int, ...], value: float, dtype: DTypeLike, bits: int, fit: str
) -> None:
    w = np.full(shape, value, dtype)
    got = quantize(w, bits, fit=fit)
    assert got.scale == 0
    assert got.shift == np.asarray(value, dtype)
    assert got.loss == 0
    assert got.values.shape == got.codes.shape == shape
    np.testing.assert_array_equal(got.values, w)
    assert not got.codes.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (3, 0, 5)])
def test_empty_arrays(shape: tuple[int, ...], dtype: DTypeLike) -> None:
    got = quantize(np.empty(shape, dtype), 2)
    assert (got.scale, got.shift, got.loss) == (0, 0, 0)
    assert got.values.shape == got.codes.shape == shape
    assert got.values.dtype == dtype


def test_the_input_is_not_modified_and_the_results_are_arrays_of_their_own() -> None:
    for layout in (np.ascontiguousarray, np.asfortranarray):
        w = layout(np.random.default_rng(4).normal(size=(8, 9)).astype(np.float32))
        before = w.copy()
        first, second = quantize(w, 2), quantize(w, 2)
        np.testing.assert_array_equal(w, before)
        arrays = [w, first.values, first.codes, second.values, second.codes]
        for i, a in enumerate(arrays):
            assert not any(np.shares_memory(a, b) for b in arrays[:i])
        for result in (first.values, first.codes):
            assert result.flags.writeable
            assert result.flags.c_contiguous
        first.values[...] = 7
        assert not (second.values == 7).any()


def test_quantizing_twice_keeps_two_levels_apart() -> None:
    # 1 bit: values β ± α/2 have mean β only where the codes are balanced.
    w = np.array([-2, -1, 1, 2], np.float64)
    once = quantize(w, 1).values
    assert len(np.unique(once)) == 2
    assert len(np.unique(quantize(once, 1).values)) == 2


def test_a_result_cannot_be_changed() -> None:
    got = quantize([0.0, 1.0], 2)
    with pytest.raises(FrozenInstanceError):
        got.bits = 3  # type: ignore[misc]


@pytest.mark.parametrize("bits", [np.int64(3), np.uint8(3), np.array(3)])
def test_bits_may_be_any_integer(bits: Any) -> None:
    got = quantize([1.0, 2.0, 4.0], bits)
    assert type(got.bits) is int
    check(np.array([1.0, 2.0, 4.0]), got, Options("ul2q", 3))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ([1, 2], "array has dtype int64; must be float32 or float64"),
        ([], None),
        (np.array([1], np.float16), "array has dtype float16; must be float32 or float64"),
        (np.array([1], np.longdouble), "must be float32 or float64"),
        (np.array([1], np.complex64), "array has dtype complex64"),
        (np.array([1], np.uint8), "array has dtype uint8"),
        (np.array([True]), "array has dtype bool"),
        (np.array([1.5], object), "array has dtype object"),
        (None, "array has dtype object"),
        ("abc", "array has dtype <U3"),
        (np.zeros(2, "M8[s]"), "array has dtype datetime64"),
    ],
)
def test_only_arrays_of_float_and_double(array: Any, words: str | None) -> None:
    if words is None:  # NumPy's empty list is an empty float64 array
        assert quantize(array, 2).values.dtype == np.float64
        return
    with pytest.raises(TypeError, match=re.escape(words)):
        quantize(array, 2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"bits": 0}, ValueError, "bits is 0; must be an integer, 1 to 16"),
        ({"bits": 17}, ValueError, "bits is 17; must be an integer, 1 to 16"),
        ({"bits": -1}, ValueError, "bits is -1; must be"),
        ({"bits": 2**70}, ValueError, f"bits is {2**70}; must be"),
        ({"bits": True}, TypeError, "bits is True; must be an integer, 1 to 16"),
        ({"bits": 2.0}, TypeError, "bits is 2.0; must be an integer, 1 to 16"),
        ({"bits": "2"}, TypeError, "bits is '2'; must be an integer"),
        (
            {"bits": 2, "method": "UL2Q"},
            ValueError,
            'method is "UL2Q"; must be one of binary, clip',
        ),
        ({"bits": 2, "method": ""}, ValueError, 'method is ""; must be one of'),
        ({"bits": 2, "method": None}, TypeError, "method: str"),
        ({"bits": 2, "fit": "best"}, ValueError, 'fit is "best"; must be one of exact, paper, emp'),
        ({"bits": 2, "fit": None}, TypeError, "fit: str"),
        (
            {"bits": 2, "shift": "median"},
            ValueError,
            'shift is "median"; must be one of mean, zero',
        ),
        (
            {"bits": 2, "rounding": "up"},
            ValueError,
            'rounding is "up"; must be one of nearest, sto',
        ),
        (
            {"bits": 2, "granularity": "row"},
            ValueError,
            "granularity is 'row'; must be 'tensor' or",
        ),
        ({"bits": 2, "granularity": "channel", "axis": 1}, ValueError, "axis is 1; must be"),
        ({"bits": 2, "granularity": "channel", "axis": -2}, ValueError, "axis is -2; must be"),
        ({"bits": 2, "granularity": "channel", "axis": 0.0}, TypeError, "axis is 0.0; must be"),
        ({"bits": 2, "seed": 1}, ValueError, "seed goes with rounding 'stochastic'"),
        ({"bits": 2, "rounding": "stochastic"}, ValueError, "give both or neither"),
        *(
            ({"bits": 2, "method": "fixed_point", "rounding": "stochastic", "seed": seed}, *refusal)
            for seed, refusal in {
                -1: (ValueError, f"seed is -1; must be an integer, 0 to {2**64 - 1}"),
                2**64: (ValueError, f"seed is {2**64}; must be"),
                1.5: (TypeError, "seed is 1.5; must be an integer"),
            }.items()
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    for array in ([0.5, 1.5], np.array([0.5, 1.5], np.float32)):
        with pytest.raises(error, match=re.escape(words)):
            quantize(array, **options)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_what_a_method_does_not_take_is_refused(method: Method) -> None:
    name, low, high = method.name, method.min_bits, method.max_bits
    width = str(low) if low == high else f"{low} to {high}"
    refusals: list[tuple[dict[str, Any], str]] = []
    if low != high:
        refusals.append(({"bits": None}, f"bits is missing; method {name} takes {width}"))
    refusals += [
        ({"bits": bits}, f"bits is {bits}; must be {width} for method {name}")
        for bits in ALL_BITS
        if not low <= bits <= high
    ]
    if not method.has_paper_fit:
        refusals.append(({"fit": "paper"}, f"fit is paper; method {name} takes exact or empirical"))
    if not method.has_mean_shift:
        refusals.append(({"shift": "mean"}, f"shift is mean; method {name} takes zero"))
    if not method.has_stochastic_rounding:
        stochastic = {"rounding": "stochastic", "seed": 1}
        refusals.append((stochastic, f"rounding is stochastic; method {name} takes nearest"))
    if not method.has_unsigned:
        refusals.append(
            ({"signed": False}, f"signed is false; the codes of method {name} are signed")
        )
    else:
        unsigned = f"method {name} for unsigned values takes"
        refusals += [
            ({"signed": False, "fit": "paper"}, f"fit is paper; {unsigned} exact or empirical"),
            ({"signed": False, "shift": "mean"}, f"shift is mean; {unsigned} zero"),
        ]
    for options, words in refusals:
        arguments: dict[str, Any] = {"bits": high, "method": name} | options
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            quantize([0.5, 1.5], **arguments)
    assert quantize([0.5, 1.5], high, name).values.shape == (2,)


def test_a_0d_array_has_no_channels() -> None:
    with pytest.raises(ValueError, match="granularity is 'channel', but array has no axis; use"):
        quantize(np.float32(1), 2, granularity="channel")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("bad", "words"), [(np.nan, "NaN"), (np.inf, "an infinite value"), (-np.inf, "an infinite")]
)
@pytest.mark.parametrize(("n", "at"), [(1, 0), (10, 9), (5000, 2048), (100_000, 70_001)])
def test_nan_and_infinity_are_named_with_their_place(
    n: int, at: int, bad: float, words: str, dtype: DTypeLike
) -> None:
    w = np.random.default_rng(n).normal(size=n).astype(dtype)
    w[at] = bad
    for fit in FITS:
        with pytest.raises(ValueError, match=f"{words}.* at element {at} of {n}"):
            quantize(w, 12, fit=fit)


def test_values_whose_variance_overflows() -> None:
    with pytest.raises(ValueError, match="variance overflows"):
        quantize([-1e200, 1e200], 2)


@pytest.mark.parametrize("bits", [1, 2])
def test_levels_that_overflow(bits: int) -> None:
    w = np.array([-3e38, 3e38], np.float32)
    with pytest.raises(ValueError, match="quantised values overflow"):
        quantize(w, bits)
    # The paper's outermost levels above 8 bits are the outermost elements.
    np.testing.assert_allclose(quantize(w, 9, fit="paper").values, w, rtol=1e-6)


def test_threads_get_the_results_of_one_thread() -> None:
    rng = np.random.default_rng(6)
    arrays = [rng.normal(i, 1 + i, 60_000).astype(DTYPES[i % 2]) for i in range(8)]
    alone = [quantize(w, 3) for w in arrays]
    with ThreadPoolExecutor(max_workers=2) as pool:
        together = list(pool.map(lambda w: quantize(w, 3), arrays * 3))
    for got, want in zip(together, alone * 3, strict=True):
        np.testing.assert_array_equal(got.values, want.values)
        np.testing.assert_array_equal(got.codes, want.codes)
        assert (got.scale, got.shift, got.loss) == (want.scale, want.shift, want.loss)


def stochastic(w: Array, bits: int, seed: Any, **others: Any) -> Quantized:
    return quantize(w, bits, "fixed_point", rounding="stochastic", seed=seed, **others)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_stochastic_rounding_goes_to_a_neighbour_and_is_right_on_average(
    bits: int, signed: bool, dtype: DTypeLike
) -> None:
    w = np.random.default_rng(bits).normal(0, 1, 3000).astype(dtype)
    w = w if signed else np.abs(w)
    o = Options("fixed_point", bits, signed=signed)
    nearest = run(w, o)
    positions = reference.position(w, fit_of(nearest, w, o), o).astype(np.float64)
    draws = [stochastic(w, bits, seed, signed=signed) for seed in range(400)]
    for got in draws:
        assert (got.scale, got.shift, got.bits) == (nearest.scale, 0, nearest.bits)
        assert (np.abs(got.codes - positions) < 1).all()
        np.testing.assert_array_equal(
            got.values, reference.decode(got.codes, fit_of(got, w, o), o, dtype)
        )
    # A code is below or above at random: each mean within 5.5 standard errors (3000 of them).
    share = positions - np.floor(positions)
    errors = np.mean([got.codes for got in draws], axis=0) - positions
    limit = 5.5 * np.sqrt(share * (1 - share) / len(draws)) + 10 / len(draws) * (share > 0)
    assert (np.abs(errors) <= limit).all()
    whole = np.sqrt(np.sum(share * (1 - share)) / len(draws))
    assert abs(errors.sum()) < 5 * whole


def test_the_seed_decides_the_codes() -> None:
    w = np.random.default_rng(1).normal(0, 1, 100_000).astype(np.float32)
    one = stochastic(w, 4, 1)
    np.testing.assert_array_equal(stochastic(w, 4, 1).codes, one.codes)
    np.testing.assert_array_equal(stochastic(w, 4, np.uint64(1)).codes, one.codes)
    for seed in (0, 2, 2**32 + 1, 2**64 - 1):
        other = stochastic(w, 4, seed)
        # Independent codes differ in 2 s (1 - s) of all places, s being the share above.
        share = w / np.float32(one.scale)
        share = share - np.floor(share)
        assert np.mean(other.codes != one.codes) == pytest.approx(
            np.mean(2 * share * (1 - share)), rel=0.05
        )


def test_channels_do_not_share_their_randomness() -> None:
    row = np.random.default_rng(2).normal(0, 1, 5000).astype(np.float32)
    for axis, w in ((0, np.stack([row] * 4)), (1, np.stack([row] * 4, axis=1))):
        got = stochastic(w, 4, 3, **channels_along(axis))
        channels = np.moveaxis(got.codes, axis, 0)
        for a, b in itertools.combinations(channels, 2):
            assert 0.2 < np.mean(a != b) < 0.5
        again = stochastic(w, 4, 3, **channels_along(axis))
        np.testing.assert_array_equal(again.codes, got.codes)


DEQUANTIZED = [o for o in ALL_OPTIONS if o.fit == "exact" and o.bits in (None, 1, 3, 16)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", DEQUANTIZED, ids=str)
@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, lambda c: np.repeat(c, 2, 0)[::2]]
)
def test_dequantize_gives_the_values_bit_for_bit(
    layout: Callable[[Array], Array], options: Options, dtype: DTypeLike
) -> None:
    w = np.random.default_rng(4).normal(0.3, 1, (6, 5, 4)).astype(dtype)
    for axis in (None, 0, 1, 2):
        got = run(w, options, **channels_along(axis))
        for codes in (layout(got.codes), layout(got.codes.astype(">i8"))):
            back = run_back(codes, got, options, dtype)
            assert (back.dtype, back.shape) == (w.dtype, w.shape)
            np.testing.assert_array_equal(back, got.values)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1)])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("name", METHODS)
def test_dequantize_of_few_codes(name: str, granularity: str, shape: tuple[int, ...]) -> None:
    if granularity == "channel" and not shape:
        return
    w = np.full(shape, -1.25, np.float32)
    bits = METHODS[name].max_bits
    got = quantize(w, bits, name, granularity=granularity)
    back = dequantize(got.codes, got.scale, got.shift, bits, name)
    assert back.shape == shape
    np.testing.assert_array_equal(back, got.values)


@pytest.mark.parametrize("options", [o for o in DEQUANTIZED if o.shift == "zero"], ids=str)
def test_codes_that_the_method_does_not_have_are_refused(options: Options) -> None:
    numbers = reference.codes_of(options).numbers
    method, signed = options.method, options.signed
    values = dequantize(list(numbers), 0.5, 0, options.bits, method, signed=signed)
    levels = np.array(numbers) - reference.codes_of(options).offset
    np.testing.assert_array_equal(values, 0.5 * levels)
    wrong = {numbers[0] - 1, numbers[-1] + 1, *range(numbers[0], numbers[-1])} - set(numbers)
    for code in wrong:
        words = f"codes holds {code} at element 1; the codes of method {method} are "
        with pytest.raises(ValueError, match=re.escape(words)):
            dequantize([numbers[0], code], 0.5, 0, options.bits, method, signed=signed)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"codes": [0.5]}, TypeError, "codes has dtype float64; must be integers"),
        ({"codes": [1.0]}, TypeError, "codes has dtype float64; must be integers"),
        ({"codes": [True]}, TypeError, "codes has dtype bool; must be integers"),
        ({"codes": [2**40]}, ValueError, "codes holds numbers that no code of 16 bits can be"),
        ({"codes": np.array([2**63], np.uint64)}, ValueError, "codes holds numbers that no code"),
        ({"codes": [3]}, ValueError, "codes holds 3 at element 0; the codes of method ul2q are -1"),
        ({"scale": [1.0, 2.0]}, ValueError, "have shape (2,), which does not broadcast along one"),
        ({"shift": np.ones((1, 2))}, ValueError, "shape (1, 2), which does not broadcast"),
        ({"scale": np.ones((3, 1)), "shift": np.ones((1, 2))}, ValueError, "does not broadcast"),
        ({"bits": None}, ValueError, "bits is missing; method ul2q takes 1 to 16"),
        ({"bits": 0}, ValueError, "bits is 0; must be an integer, 1 to 16"),
        ({"method": "best"}, ValueError, 'method is "best"; must be one of binary, clip'),
        ({"method": "binary"}, ValueError, "bits is 2; must be 1 for method binary"),
        ({"method": "ternary", "signed": False}, ValueError, "signed is false; the codes of"),
        ({"method": "ternary", "shift": 0.5}, ValueError, "shift is 0.5; method ternary has none"),
        ({"signed": None}, TypeError, "signed is None; must be True or False"),
        ({"dtype": np.float16}, TypeError, "dtype is float16; must be float32 or float64"),
        ({"dtype": int}, TypeError, "dtype is int64; must be float32 or float64"),
    ],
)
def test_dequantize_refuses(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    sound: dict[str, Any] = {"codes": [[0, 1, 2]], "scale": 1.0, "shift": 0.0, "bits": 2}
    assert dequantize(**sound).shape == (1, 3)
    with pytest.raises(error, match=re.escape(words)):
        dequantize(**sound | arguments)


@pytest.mark.parametrize("name", METHODS)
def test_memory_layout_does_not_matter_to_any_method(name: str) -> None:
    w = np.random.default_rng(5).normal(0, 1, (4, 5, 6)).astype(np.float32)
    bits = METHODS[name].max_bits
    for axis in (None, 1):
        want = quantize(w, bits, name, **channels_along(axis))
        for laid_out in (np.asfortranarray(w), big_endian(w), read_only(w), unaligned(w)):
            got = quantize(laid_out, bits, name, **channels_along(axis))
            np.testing.assert_array_equal(got.values, want.values)
            np.testing.assert_array_equal(got.codes, want.codes)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (1, 1, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_no_and_one_element(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    for options in options_of(METHODS[name]):
        w = np.full(shape, 0.75, dtype)
        check(w, run(w, options), options)


def test_methods_names_what_quantize_takes() -> None:
    assert methods() == tuple(sorted(reference.DEFINITIONS)), "tests/reference.py has every method"
    for method in method_table():
        options = Options(method.name, None if reference.DEFINITIONS[method.name].width else 2)
        got = quantize([0.5, 1.5], options.bits, method.name)
        assert got.bits == reference.codes_of(options).bits
        assert method.summary
        assert method.levels


def test_the_package_offers_what_it_lists() -> None:
    modules = {"data", "evaluation", "models", "nets", "report", "runs", "statistics", "training"}
    assert modules | set(ul2q.__all__) <= set(dir(ul2q))
    assert not any(name.startswith("_") and name != "__version__" for name in dir(ul2q))
    for name in ul2q.__all__:
        assert getattr(ul2q, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = ul2q.quantise


def test_modules_load_when_they_are_asked_for() -> None:
    code = """
import sys
import ul2q
assert not {"numpy", "caffe"} & set(sys.modules)
loaded = ul2q.data
assert "numpy" not in sys.modules
for name in dir(ul2q):
    assert getattr(ul2q, name) is not None, name
assert loaded is sys.modules["ul2q.data"]
assert ul2q.training.train and ul2q.evaluation.evaluate and ul2q.statistics.record_statistics
"""
    got = run_python("-W", "error", "-c", code)
    assert got.returncode == 0, got.stderr


def test_quantize_runs_without_caffe() -> None:
    code = (
        "import ul2q\n"
        "print(ul2q.quantize([1.0, 2.0], bits=1).codes)\n"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line})"
    )
    got = run_python("-c", code)
    codes, libraries = got.stdout.splitlines()
    assert codes == "[0 1]"
    assert "/libul2q_core.so" in libraries
    for name in ("/libcaffe.so", "/libul2q.so", "/libprotobuf.so", "/libglog.so"):
        assert name not in libraries


def test_a_result_shows_itself_in_one_line() -> None:
    q = quantize(np.array([[1, 2, 3], [4, 5, 6]], np.float32), 1, "binary")
    assert repr(q) == "Quantized(shape=(2, 3), method='binary', bits=1, loss=2.91667)"
    assert q.method == "binary"
