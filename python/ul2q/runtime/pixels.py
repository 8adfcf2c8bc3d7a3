"""Inputs that are given as pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ul2q.runtime.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.deploy.ops import Shape


@dataclass(frozen=True)
class Pixels:
    """An input that is given in bytes; the net reads (pixel - mean) · scale, as of a data layer.

    Attributes:
        mean: what is subtracted from all pixels, or from those of each channel.
        scale: what the rest is multiplied by.
    """

    mean: float | Sequence[float] = 0.0
    scale: float = 1.0

    def fit(self, name: str, shape: Shape) -> tuple[list[float], list[float]]:
        """Scale and shift of an input of this shape.

        Raises:
            ModelError: they are not finite, the scale is not above 0, or there are other than one
                mean, or one for each channel.
        """
        means = np.atleast_1d(np.asarray(self.mean, np.float64))
        if not np.isfinite(means).all() or not 0 < self.scale < np.inf:
            raise ModelError(
                f"pixels of input {name!r}: mean {self.mean}, scale {self.scale}; both must be "
                "finite, and the scale above 0"
            )
        channels = shape[0] if shape else 1
        if means.shape not in ((1,), (channels,)):
            raise ModelError(
                f"pixels of input {name!r}: {means.size} means; must be 1, or {channels}, one for "
                "each channel"
            )
        return [self.scale], (-means * self.scale).tolist()
