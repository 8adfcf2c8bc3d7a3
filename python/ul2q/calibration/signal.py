"""Signal to noise: how large a layer's values are against what quantisation does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Noise:
    """Gathers the squares of values, and of what they are wrong by."""

    def __init__(self) -> None:
        """Begin with no values."""
        self._signal = 0.0
        self._noise = 0.0

    def add(self, exact: NDArray[Any], quantised: NDArray[Any]) -> None:
        """Add the elements of two arrays of one shape."""
        values = np.asarray(exact, np.float64).ravel()
        errors = np.asarray(quantised, np.float64).ravel() - values
        self._signal += float(values @ values)
        self._noise += float(errors @ errors)

    @property
    def relative_error(self) -> float:
        """The root of the squared errors over the squared values; 0 where nothing is wrong."""
        if self._noise == 0:
            return 0.0
        return float((self._noise / self._signal) ** 0.5) if self._signal else float("inf")

    @property
    def decibels(self) -> float:
        """10 log₁₀ of squared values over squared errors; infinity where nothing is wrong."""
        if self._noise == 0:
            return float("inf")
        return float(10 * np.log10(self._signal / self._noise)) if self._signal else float("-inf")
