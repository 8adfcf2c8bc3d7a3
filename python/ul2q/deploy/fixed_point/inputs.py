"""How a net's inputs are given as integers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.errors import DeployError
from ul2q.deploy.fixed_point.coding import Coding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy.ops import Shape

# Where nothing tells how large the values of an input are: images of which a mean was subtracted
# lie within ±255, those that were also divided by 256 have steps of 1/256.
_DEFAULT_LARGEST = 255.0
_MEAN_BITS = 7  # behind the point, so that 255 · 2^7 fits 16 bits


@dataclass(frozen=True, eq=False)
class Pixels:
    """Inputs that are bytes: value = scale · (pixel - mean).

    Attributes:
        scale: what the difference is multiplied by.
        mean: channels × 1 × 1 or channels × height × width; None: nothing is subtracted.
    """

    scale: float = 1.0
    mean: NDArray[Any] | None = None

    def fitting(self, name: str, image: Shape) -> Pixels:
        """The same with a mean for each channel or pixel of an input.

        Raises:
            DeployError: the mean does not fit, or the scale or mean are no pixels'.
        """
        if not math.isfinite(self.scale) or self.scale <= 0:
            raise DeployError(f"scale {self.scale}; must be above 0")
        if self.mean is None or not np.any(self.mean):
            return Pixels(self.scale)
        mean = np.asarray(self.mean, np.float32)
        if mean.size == 1:
            mean = np.full((image[0], 1, 1), mean.ravel()[0], np.float32)
        elif mean.ndim == 1:
            mean = mean[:, np.newaxis, np.newaxis]
        if mean.shape not in {(image[0], 1, 1), image}:
            raise DeployError(
                f"the mean is {'×'.join(map(str, mean.shape))}; input {name!r} takes "
                f"{image[0]}×1×1 or {'×'.join(map(str, image))} (channels × height × width)"
            )
        if not np.all((mean >= 0) & (mean <= 255)):
            raise DeployError("the mean must lie between 0 and 255, as the pixels do")
        return Pixels(self.scale, mean)

    @property
    def factor(self) -> int:
        """The power of two that the mean, and so the pixels, are multiplied by."""
        mean = np.asarray(0 if self.mean is None else self.mean, np.float64)
        for bits in range(_MEAN_BITS):
            if np.all((mean * 2**bits) % 1 == 0):
                return int(2**bits)
        return int(2**_MEAN_BITS)

    def values(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """The input's values, items × channels × height × width."""
        mean = 0 if self.mean is None else self.mean
        return np.asarray(self.scale * (pixels - mean), np.float32)

    def pixels(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The nearest pixel of each value."""
        mean = 0 if self.mean is None else self.mean
        found = np.rint(np.asarray(values, np.float64) / self.scale + mean)
        return np.clip(found, 0, 255).astype(np.int64)


@dataclass(frozen=True)
class InputFormats:
    """What is known of the inputs.

    Attributes:
        pixels: of the net's one input that is bytes; None: it is no pixels.
        largest: of the size of each input's values, by its name, where that is known.
    """

    pixels: Pixels | None = None
    largest: Mapping[str, float] = field(default_factory=dict)

    def is_guessed(self, name: str, coding: Coding) -> bool:
        """Whether an input has the steps that are taken where nothing is known of it."""
        return coding == self.fixed_point(name) and name not in self.largest

    def fixed_point(self, name: str) -> Coding:
        """16 bits in steps of a power of two."""
        largest = self.largest.get(name, _DEFAULT_LARGEST)
        limit = 2**15 - 1
        bits = 15 - math.frexp(largest)[1] if largest > 0 else 15
        if largest * 2.0**bits > limit:
            bits -= 1
        return Coding(2.0**-bits, 0.0, -limit, limit)
