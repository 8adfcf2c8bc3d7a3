"""The quantizers against the paper's Algorithm 1, written anew in double precision."""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ul2q
from ul2q import Quantized, methods, quantize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]

ALL_BITS = range(1, 17)
FITS = ("exact", "paper")
DTYPES = (np.float32, np.float64)

# λ, the step in units of σ.
EXACT_STEPS = (
    1.595769122,
    0.9956866859,
    0.5860194414,
    0.3352006122,
    0.1881387903,
    0.1040630094,
    0.05686767238,
    0.03076238758,
    0.01649895877,
    0.008785464581,
    0.004649841838,
    0.002448411084,
    0.001283620739,
    0.000670451793,
    0.000349059386,
    0.0001812235698,
)
PAPER_STEPS = (1.5959, 0.9894, 0.5838, 0.3327, 0.1897, 0.1043, 0.0563, 0.0304)

# E[(x - Q(x))²] for x ~ N(0, 1) at 1 to 8 bits: of the exact steps, and as the paper prints it.
EXACT_LOSSES = (0.363380, 0.118846, 0.037440, 0.011543, 0.003495, 0.001040, 0.000304, 0.0000877)
PAPER_LOSSES = (0.3625, 0.1189, 0.0374, 0.0115, 0.0035, 0.0010, 0.0003, 0.0001)


def fitted(w: Array, bits: int, fit: str) -> tuple[float, float]:
    """(α, β) in double precision, the moments summed exactly."""
    elements = [float(x) for x in w.ravel()]
    if not elements:
        return 0.0, 0.0
    mean = math.fsum(elements) / len(elements)
    sigma = math.sqrt(math.fsum((x - mean) ** 2 for x in elements) / len(elements))
    if fit == "paper" and bits > len(PAPER_STEPS):
        return (max(elements) - min(elements)) / (2**bits - 1), mean
    steps = EXACT_STEPS if fit == "exact" else PAPER_STEPS
    return steps[bits - 1] * sigma, mean


def positions(w: Array, bits: int, scale: float, shift: float) -> Array:
    """clip((w - β)/α + 0.5, …), which rounding turns into codes."""
    raw = (w.astype(np.float64) - shift) / scale + 0.5
    return np.asarray(np.clip(raw, 1 - 2 ** (bits - 1), 2 ** (bits - 1)))


def round_half_away(x: Array) -> Array:
    return np.asarray(np.copysign(np.floor(np.abs(x) + 0.5), x))


def check(w: Array, got: Quantized, bits: int, fit: str) -> float:
    """Hold a result against the reference; returns the share of elements too near a tie to tell."""
    eps = float(np.finfo(w.dtype).eps)
    scale, shift = fitted(w, bits, fit)
    largest = float(np.max(np.abs(w.astype(np.float64)), initial=0.0))

    assert got.bits == bits
    assert got.values.dtype == w.dtype.newbyteorder("=")
    assert got.codes.dtype == np.int32
    assert got.values.shape == got.codes.shape == w.shape
    assert isinstance(got.scale, float)
    assert isinstance(got.shift, float)
    assert isinstance(got.loss, float)
    # α and β are stored in the array's precision; the sums of the moments round in double.
    assert got.scale == pytest.approx(scale, rel=eps, abs=1e-13 * largest)
    assert got.shift == pytest.approx(shift, rel=eps, abs=1e-13 * largest)

    values, codes = got.values.astype(np.float64), got.codes.astype(np.float64)
    level = got.scale * codes - 0.5 * got.scale + got.shift
    top_level = got.scale * 2 ** (bits - 1) + abs(got.shift)
    np.testing.assert_allclose(values, level, rtol=0, atol=2 * eps * top_level)
    loss = np.mean((values - w.astype(np.float64)) ** 2) if w.size else 0.0
    assert got.loss == pytest.approx(float(loss), rel=1e-12)
    if scale == 0:
        assert not got.codes.any()
        return 0.0

    x = positions(w, bits, scale, shift)
    # The kernel rounds β, α, w - β, the quotient and the sum.
    slack = 4 * eps * (np.abs(x) + abs(shift) / scale + largest / scale * eps + 1)
    distance = np.abs(np.abs(x - np.floor(x)) - 0.5)
    clear = distance > slack
    np.testing.assert_array_equal(codes[clear], round_half_away(x)[clear])
    assert (np.abs(codes - x) <= 0.5 + slack).all()
    return float(np.mean(~clear))


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
SHAPES = [(2,), (7,), (500, 10), (20, 1, 5, 5), (5, 3, 1, 1, 9)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bits", ALL_BITS)
def test_codes_scale_shift_and_loss_are_those_of_the_paper(
    bits: int, fit: str, dtype: DTypeLike
) -> None:
    rng = np.random.default_rng([bits, FITS.index(fit), np.dtype(dtype).itemsize])
    for name, draw in DRAWS.items():
        for shape in SHAPES:
            w = draw(rng, shape).astype(dtype)
            unclear = check(w, quantize(w, bits, fit=fit), bits, fit)
            # Not more than float32's rounding at 16 bits accounts for.
            if w.size >= 100 and name != "two values":
                assert unclear < 0.1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", ALL_BITS)
def test_moments_do_not_cancel_at_a_mean_of_a_thousand_deviations(
    bits: int, dtype: DTypeLike
) -> None:
    w = np.random.default_rng(bits).normal(1000, 1, 30_000).astype(dtype)
    for fit in FITS:
        check(w, quantize(w, bits, fit=fit), bits, fit)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_many_blocks_and_odd_sizes(dtype: DTypeLike, fit: str) -> None:
    # Around the sizes at which the kernels split the work or start threads.
    for n in (2047, 2048, 2049, 16 * 2048 - 1, 16 * 2048, 100_003):
        w = np.random.default_rng(n).normal(-2, 3, n).astype(dtype)
        check(w, quantize(w, 4, fit=fit), 4, fit)


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


def normal_tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))


def normal_loss(step: float, bits: int) -> float:
    """E[(x - Q(x))²], x ~ N(0, 1): closed forms a cell up to 8 bits, above them λ²/12 and the tail.

    Inside the range λ²/12 is exact to far more digits than a double has when λ is that small.
    """

    def squares_about(level: float, low: float, high: float) -> float:
        def upper(edge: float) -> float:
            density = math.exp(-(edge**2) / 2) / math.sqrt(2 * math.pi)
            return (1 + level**2) * normal_tail(edge) + (edge - 2 * level) * density

        return upper(low) - (upper(high) if math.isfinite(high) else 0.0)

    levels = 2 ** (bits - 1)
    if bits <= 8:
        cells = [
            squares_about(
                (j + 0.5) * step, j * step, (j + 1) * step if j < levels - 1 else math.inf
            )
            for j in range(levels)
        ]
        return 2 * math.fsum(cells)
    edge = levels * step
    inside = step**2 / 12 * (1 - 2 * normal_tail(edge))
    return inside + 2 * squares_about(edge - step / 2, edge, math.inf)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_the_exact_step_minimises_the_error_on_a_normal_distribution(bits: int) -> None:
    step = quantize(np.array([-1.0, 1.0]), bits).scale  # σ = 1
    # The table has 5 to 8 digits.
    assert normal_loss(step, bits) < normal_loss(step * 0.999, bits)
    assert normal_loss(step, bits) < normal_loss(step * 1.001, bits)


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
    check(np.tile(row, (5, 1)), got, 3, "exact")


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
    check(np.array([1.0, 2.0, 4.0]), got, 3, "exact")


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
        ({"bits": None}, TypeError, "bits is None; must be an integer"),
        ({"bits": 2, "method": "UL2Q"}, ValueError, 'method is "UL2Q"; must be one of "ul2q"'),
        ({"bits": 2, "method": ""}, ValueError, 'method is ""; must be one of'),
        ({"bits": 2, "method": None}, TypeError, "method: str"),
        ({"bits": 2, "fit": "best"}, ValueError, 'fit is "best"; must be "exact" or "paper"'),
        ({"bits": 2, "fit": None}, TypeError, "fit: str"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    for array in ([0.5, 1.5], np.array([0.5, 1.5], np.float32)):
        with pytest.raises(error, match=re.escape(words)):
            quantize(array, **options)


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


def test_methods_names_what_quantize_takes() -> None:
    assert "ul2q" in methods()
    for method in methods():
        assert quantize([0.5, 1.5], 2, method=method).bits == 2


def test_the_package_offers_what_it_lists() -> None:
    assert set(dir(ul2q)) == set(ul2q.__all__)
    for name in ul2q.__all__:
        assert getattr(ul2q, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = ul2q.quantise
