"""Ranges of activations: against brute force in NumPy, and against what others make of outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

import ul2q
from ul2q.calibration import CalibrationError, CalibrationOptions
from ul2q.calibration.histogram import Histogram
from ul2q.calibration.ranges import Grid, SquaredError, fit_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(3)
NORMAL = RNG.normal(1, 2, 20_000)
SKEWED = RNG.gamma(0.7, 2, 20_000) - 0.3
RECTIFIED = np.maximum(RNG.normal(-0.5, 2, 20_000), 0)
# One value of 10 among 1,000 from 0 to 1.
OUTLIER = np.append(RNG.uniform(0, 1, 1000), 10.0)


def quantizer(text: str) -> Any:
    return text_format.Parse(text, caffe_pb2.QuantizerParameter())


def grid(text: str) -> Grid:
    found = Grid.of(quantizer(text))
    assert found is not None
    return found


def histogram(values: NDArray[Any]) -> Histogram:
    found = Histogram()
    found.add(values)
    return found


def quantised(values: NDArray[Any], levels: Grid, scale: float, shift: float) -> NDArray[Any]:
    if scale == 0:
        return np.full_like(values, shift)
    codes = np.floor((values - shift) / scale + levels.offset + 0.5)
    codes = np.clip(codes, levels.lowest, levels.highest)
    return np.asarray(shift + scale * (codes - levels.offset))


def error(values: NDArray[Any], levels: Grid, scale: float, shift: float) -> float:
    return float(np.mean((quantised(values, levels, scale, shift) - values) ** 2))


LEVELS = [
    "bits: 8",
    "bits: 4",
    "bits: 2",
    "bits: 1",
    "bits: 4 shift: ZERO",
    "bits: 8 signed: false",
    "bits: 3 signed: false",
    "method: CLIP bits: 8",
    "method: CLIP bits: 3",
    "method: CLIP bits: 4 signed: false",
    "method: FIXED_POINT bits: 5",
    "method: FIXED_POINT bits: 8 signed: false",
]


@pytest.mark.parametrize("text", LEVELS)
@pytest.mark.parametrize("values", [NORMAL, SKEWED, RECTIFIED, OUTLIER])
def test_the_levels_are_those_of_the_layer(text: str, values: NDArray[Any]) -> None:
    """`quantised` above is what all tests here compute with."""
    message = quantizer(text)
    x = np.maximum(values, 0) if not message.signed else values
    q = ul2q.quantize(
        x,
        message.bits,
        type(message).Method.Name(message.method).lower(),
        shift="zero" if message.HasField("shift") else None,
        signed=message.signed,
    )
    ours = quantised(x, grid(text), q.scale, q.shift)
    np.testing.assert_allclose(ours, q.values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("text", LEVELS)
@pytest.mark.parametrize("values", [NORMAL, SKEWED, RECTIFIED, OUTLIER])
def test_mse_is_as_good_as_a_search_on_the_values(text: str, values: NDArray[Any]) -> None:
    """EMPIRICAL searches on the array itself, from several beginnings."""
    levels, message = grid(text), quantizer(text)
    x = np.maximum(values, 0) if not message.signed else values
    scale, shift = fit_range([histogram(x)], levels)
    q = ul2q.quantize(
        x,
        message.bits,
        type(message).Method.Name(message.method).lower(),
        "empirical",
        shift="zero" if message.HasField("shift") else None,
        signed=message.signed,
    )
    assert error(x, levels, scale, shift) <= 1.02 * q.loss + 1e-12
    if levels.scale_is_power_of_two:
        assert np.log2(scale) == np.round(np.log2(scale))
    if not levels.has_shift:
        assert shift == 0


@pytest.mark.parametrize("text", LEVELS)
def test_the_error_of_a_histogram_is_that_of_its_values(text: str) -> None:
    levels = grid(text)
    x = RECTIFIED if levels.lowest == 0 else NORMAL
    found = SquaredError(histogram(x), levels)
    scale, shift = fit_range([histogram(x)], levels)
    for factor in (0.4, 1.0, 1.7):
        assert found(factor * scale, shift) / x.size == pytest.approx(
            error(x, levels, factor * scale, shift), rel=0.02
        )


@pytest.mark.parametrize("text", LEVELS)
@pytest.mark.parametrize("values", [NORMAL, SKEWED, RECTIFIED, OUTLIER])
def test_minmax_covers_all_values_and_no_more(text: str, values: NDArray[Any]) -> None:
    levels = grid(text)
    x = np.maximum(values, 0) if levels.lowest == 0 else values
    scale, shift = fit_range([histogram(x)], levels, "minmax")
    low, high = (shift + scale * (one - levels.offset) for one in (levels.lowest, levels.highest))
    assert low <= x.min() + 1e-9
    assert high >= x.max() - 1e-9
    smaller = scale / 2 if levels.scale_is_power_of_two else 0.999 * scale
    low, high = (shift + smaller * (one - levels.offset) for one in (levels.lowest, levels.highest))
    assert low > x.min() or high < x.max()


def test_percentile_leaves_a_share_out() -> None:
    levels = grid("bits: 8")
    found = histogram(NORMAL)
    scale, shift = fit_range([found], levels, "percentile", percentile=99)
    low, high = (shift + scale * (one - levels.offset) for one in (levels.lowest, levels.highest))
    assert low == pytest.approx(np.quantile(NORMAL, 0.01), abs=2 * found.width)
    assert high == pytest.approx(np.quantile(NORMAL, 0.99), abs=2 * found.width)
    unsigned = grid("bits: 8 signed: false")
    scale, _ = fit_range([histogram(RECTIFIED)], unsigned, "percentile", percentile=99)
    assert 255 * scale == pytest.approx(np.quantile(RECTIFIED, 0.99), abs=0.02)


def test_an_outlier_does_not_take_the_levels_of_a_thousand_values() -> None:
    """onnxruntime's Percentile (99.999) and Entropy reach to 10 here, as MINMAX does."""
    levels = grid("bits: 8 signed: false")
    inliers = OUTLIER[OUTLIER <= 1]

    def of_inliers(kind: str) -> float:
        return error(inliers, levels, *fit_range([histogram(OUTLIER)], levels, kind))

    scale, _ = fit_range([histogram(OUTLIER)], levels, "percentile")
    assert 0.99 <= 255 * scale <= 1.01
    assert of_inliers("percentile") < of_inliers("minmax") / 90
    # The least squared error of all values: it has the outlier, too, and takes what it is worth.
    for bits in (2, 3, 4, 8):
        levels = grid(f"bits: {bits} signed: false")
        ours = error(OUTLIER, levels, *fit_range([histogram(OUTLIER)], levels))
        theirs = min(error(OUTLIER, levels, end / levels.highest, 0) for end in (10.0, 1.0))
        assert ours <= theirs * 1.001
        if bits == 4:
            assert ours < 0.8 * theirs


def test_values_without_a_sign_have_all_levels() -> None:
    """onnxruntime's Distribution reaches as far below 0 as above, for values of a ReLU."""
    levels = grid("bits: 8 signed: false")
    scale, shift = fit_range([histogram(RECTIFIED)], levels)
    codes = np.floor(RECTIFIED / scale + 0.5)
    assert shift == 0
    assert codes.min() == 0
    assert codes.max() >= 250
    doubled = error(RECTIFIED, levels, 2 * RECTIFIED.max() / 255, 0)
    assert error(RECTIFIED, levels, scale, shift) < doubled / 3.5


def test_few_images_widen_the_range() -> None:
    """What is best for each part, of those that the others give, on the whole."""
    rng = np.random.default_rng(5)
    parts = [scale * rng.normal(0, 1, 500) for scale in (1, 1, 1, 3)]
    levels = grid("bits: 8")
    alone, _ = fit_range([histogram(np.concatenate(parts))], levels)
    wider, _ = fit_range([histogram(part) for part in parts], levels)
    assert wider == pytest.approx(1.5 * alone)
    many = [histogram(rng.normal(0, 1, 100_000)) for _ in range(4)]
    merged = histogram(np.empty(0))
    for one in many:
        merged.merge(one)
    assert fit_range(many, levels)[0] <= 1.1 * fit_range([merged], levels)[0]


@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
@pytest.mark.parametrize("kind", ["mse", "minmax", "percentile"])
def test_values_that_are_all_the_same_are_levels(value: float, kind: str) -> None:
    for text in ("bits: 8", "method: CLIP bits: 8"):
        levels = grid(text)
        scale, shift = fit_range([histogram(np.full(9, value))], levels, kind)
        assert error(np.full(9, value), levels, scale, shift) <= 1e-4 * value**2


def test_methods_without_even_levels_have_no_grid() -> None:
    for method in ("BINARY", "TERNARY", "TERNARY_QUANTIZED"):
        assert Grid.of(quantizer(f"method: {method} bits: 2")) is None


def test_options_are_checked() -> None:
    with pytest.raises(CalibrationError, match=r"'entropy'; must be one of mse, minmax, perc"):
        CalibrationOptions(ranges="entropy")
    for bad in (50.0, 100.1):
        with pytest.raises(CalibrationError, match="above 50 and at most 100"):
            CalibrationOptions(percentile=bad)
