"""Count values as they come, batch by batch, in memory that does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.calibration.errors import CalibrationError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 2048  # on either side of 0


class Histogram:
    """How often values occur, in bins of one width on both sides of 0.

    The width is a power of two. It doubles, and neighbouring bins become one, when a value lies
    beyond the last bin. So it is the same in whatever batches the values come, and at least half of
    the bins of the longer side are in use. Zeros, of which a ReLU makes many, are counted apart.

    Attributes:
        counts: how many values are in each bin.
        width: of a bin; 0 before the first value that is not 0.
        zeros: how many values are 0.
        minimum, maximum: of all values, exactly; infinity and -infinity before the first.
    """

    def __init__(self, bins: int = BINS) -> None:
        """Begin with no values, in `bins` bins on either side of 0, an even number."""
        self._bins = bins
        self.counts: NDArray[np.int64] = np.zeros(2 * bins, np.int64)
        self.width = 0.0
        self.zeros = 0
        self.minimum = np.inf
        self.maximum = -np.inf

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self.counts.sum()) + self.zeros

    @property
    def edges(self) -> NDArray[np.float64]:
        """The borders of the bins, one more than there are bins."""
        return np.asarray(np.arange(-self._bins, self._bins + 1) * self.width, np.float64)

    def add(self, values: ArrayLike) -> None:
        """Count the elements of an array.

        Raises:
            CalibrationError: one is NaN or infinite; nothing is counted then.
        """
        x = np.asarray(values).ravel()
        if not x.size:
            return
        minimum, maximum = float(x.min()), float(x.max())
        if not np.isfinite(minimum) or not np.isfinite(maximum):
            raise CalibrationError("the values hold NaN or infinity")
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        x = x[x != 0]
        self.zeros += np.asarray(values).size - x.size
        extent = max(-minimum, maximum)
        if not x.size:
            return
        if not self.width:
            self.width = float(2.0 ** np.floor(np.log2(extent))) / self._bins
        while extent >= self._bins * self.width:
            self._double()
        places = np.floor(x / self.width).astype(np.int64) + self._bins
        self.counts += np.bincount(places, minlength=2 * self._bins)

    def merge(self, other: Histogram) -> None:
        """Count what another histogram of as many bins has counted, too."""
        self.zeros += other.zeros
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        if not other.width:
            return
        theirs = other.copy()
        if not self.width:
            self.width = theirs.width
        while self.width < theirs.width:
            self._double()
        while theirs.width < self.width:
            theirs._double()
        self.counts += theirs.counts

    def copy(self) -> Histogram:
        """Another one with the same values."""
        other = Histogram(self._bins)
        other.counts = self.counts.copy()
        other.width, other.zeros = self.width, self.zeros
        other.minimum, other.maximum = self.minimum, self.maximum
        return other

    def quantile(self, share: float) -> float:
        """The value that this share of all values is at most; between 0 and 1."""
        middle = self._bins
        below = np.concatenate([self.counts[:middle], [self.zeros], self.counts[middle:]])
        edges = np.insert(self.edges, middle, 0.0)  # the zeros are a bin without width
        reached = np.concatenate([[0], np.cumsum(below)])
        wanted = share * reached[-1]
        place = int(np.searchsorted(reached, wanted, side="left"))
        if place == 0:
            return self.minimum
        low, high = edges[place - 1 : place + 1]
        part = (wanted - reached[place - 1]) / below[place - 1]
        return float(np.clip(low + part * (high - low), self.minimum, self.maximum))

    def _double(self) -> None:
        merged = self.counts.reshape(-1, 2).sum(1)
        quarter = self._bins // 2
        self.counts[:] = 0
        self.counts[quarter : quarter + self._bins] = merged
        self.width *= 2

    def filled(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The counts of the bins from the first to the last that holds a value, and their edges."""
        places = np.flatnonzero(self.counts)
        if not places.size:
            return np.zeros(0), np.zeros(1)
        first, last = int(places[0]), int(places[-1]) + 1
        return self.counts[first:last], self.edges[first : last + 1]
