"""Counting values batch by batch, held against NumPy on all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ul2q.calibration import CalibrationError
from ul2q.calibration.histogram import Histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray


def of(*batches: NDArray[Any], bins: int = 64) -> Histogram:
    histogram = Histogram(bins)
    for batch in batches:
        histogram.add(batch)
    return histogram


VALUES: dict[str, NDArray[Any]] = {
    "normal": np.random.default_rng(0).normal(3, 20, 5000).astype(np.float32),
    "rectified": np.maximum(np.random.default_rng(1).normal(0, 2, 5000), 0).astype(np.float32),
    "growing": np.geomspace(1e-3, 1e4, 500),
    "one": np.array([-0.25]),
    "powers": np.array([1.0, -1.0, 2.0, 4.0, -8.0]),  # which lie on borders
    "zeros": np.zeros(7),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_counts_are_those_of_numpy(values: NDArray[Any]) -> None:
    found = of(*np.array_split(values, 7))
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert (found.count, found.zeros) == (values.size, np.sum(values == 0))
    expected, _ = np.histogram(values[values != 0], found.edges)
    assert found.counts.tolist() == expected.tolist()
    if found.width:  # at least half of the longer side is in use
        assert found.edges[-1] / 2 <= np.abs(values).max() < found.edges[-1]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_it_does_not_matter_in_which_batches_they_come(values: NDArray[Any]) -> None:
    whole, reverse = of(values), of(*np.array_split(values[::-1], 3))
    merged = of(*np.array_split(values, 5)[:2])
    merged.merge(of(*np.array_split(values, 5)[2:]))
    merged.merge(of())
    for found in (reverse, merged):
        assert found.counts.tolist() == whole.counts.tolist()
        assert (found.width, found.zeros) == (whole.width, whole.zeros)
        assert (found.minimum, found.maximum) == (whole.minimum, whole.maximum)


@pytest.mark.parametrize("name", ["normal", "rectified"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_quantiles_are_right_to_a_bin(name: str, share: float) -> None:
    values = VALUES[name]
    found = of(values, bins=2048)
    assert found.quantile(share) == pytest.approx(
        float(np.quantile(values, share, method="inverted_cdf")), abs=found.width
    )


def test_what_is_not_finite_is_refused_and_not_counted() -> None:
    found = of(np.ones(3))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(CalibrationError, match="NaN or infinity"):
            found.add(np.array([2.0, bad]))
    assert (found.count, found.maximum) == (3, 1)
    found.add(np.empty(0))
    assert found.count == 3
