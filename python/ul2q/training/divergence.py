"""Notices early that a loss grows instead of falling."""

from __future__ import annotations

import math


class DivergenceWatch:
    """Watches the train loss, smoothed over SPAN iterations.

    It is called divergent when for SPAN iterations on end it is above twice its value at the
    beginning, or, if it had once fallen below half of that, back above it. (A net that learns
    comes down from the loss of chance; a single bad batch, or noise near a small loss, does
    neither.)
    """

    SPAN = 50

    def __init__(self, beginning: float | None = None) -> None:
        """Begin.

        Args:
            beginning: the mean loss with which a run began that goes on now; None to take the mean
                of the first SPAN iterations.
        """
        self.beginning = beginning
        self._seen: list[float] = []
        self._smooth: float | None = None
        self._lowest = math.inf
        self._above = 0

    def __call__(self, loss: float) -> bool:
        """Whether training begins to look divergent with the loss of the next iteration.

        It is said once, and again only after the loss came down.
        """
        if self._smooth is None:
            self._seen.append(loss)
            if len(self._seen) < self.SPAN:
                return False
            self._smooth = sum(self._seen) / self.SPAN
            if self.beginning is None:
                self.beginning = self._smooth
        else:
            self._smooth += (loss - self._smooth) / self.SPAN
        if self.beginning is None or not self.beginning > 0:
            return False  # "Twice the loss" says nothing of one that is not positive.
        self._lowest = min(self._lowest, self._smooth)
        fell = self._lowest < self.beginning / 2
        limit = self.beginning if fell else 2 * self.beginning
        self._above = self._above + 1 if self._smooth > limit else 0
        return self._above == self.SPAN

    @property
    def smooth(self) -> float:
        """The smoothed loss; NaN before SPAN iterations."""
        return math.nan if self._smooth is None else self._smooth
