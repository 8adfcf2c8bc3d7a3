"""Weights as integer codes with their scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """Weights or biases as a quantised layer computes with them.

    Attributes:
        codes: int32, shaped as the layer uses them.
        scale: α, float32: an array that broadcasts to the codes' shape and has as many axes.
        shift: β, likewise.
        bits: bits a code.
        lowest: the smallest code that there is, be it used or not.
        highest: the largest code that there is.
        offset: 0.5 where the shift lies between two levels (UL2Q), 0 where it is one.
        method: the method in lower case, as `ul2q.quantize` takes it.
    """

    codes: NDArray[np.int32]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    bits: int
    lowest: int
    highest: int
    offset: float
    method: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the codes and the values."""
        return self.codes.shape

    @property
    def values(self) -> NDArray[np.float32]:
        """α (code - offset) + β, in float32 as the layer computes it."""
        codes = self.codes.astype(np.float32)
        return self.scale * (codes - np.float32(self.offset)) + self.shift

    @property
    def has_gap(self) -> bool:
        """Whether only the two ends are codes: -1 and 1 of one bit."""
        return self.highest - self.lowest >= 1 << self.bits

    @property
    def unsigned(self) -> NDArray[np.int32]:
        """The codes counted from 0 up: 0 to 2^bits - 1 at most."""
        return (self.codes - self.lowest) // (2 if self.has_gap else 1)

    @property
    def code_book(self) -> NDArray[np.float64]:
        """What the scale is multiplied by, for each unsigned code, ascending."""
        codes = np.arange(self.lowest, self.highest + 1, 2 if self.has_gap else 1)
        return codes - np.float64(self.offset)

    @property
    def storage_bits(self) -> int:
        """Bits that codes, scales and shifts take; scales and shifts as float32."""
        return self.bits * self.codes.size + 32 * (self.scale.size + self.shift.size)

    def times(self, factor: NDArray[Any]) -> QuantizedTensor:
        """The weights times a factor that broadcasts to them, by other scales and shifts alone.

        Where the codes lie evenly about the offset, a negative factor turns the codes around and
        leaves the scale positive, as some runtimes want it.
        """
        factor = np.asarray(factor, np.float64)
        codes = self.codes
        sign = np.where(factor < 0, -1.0, 1.0)
        mirror = round(2 * self.offset)
        if self.lowest + self.highest == mirror:
            codes = np.where(sign < 0, mirror - codes, codes).astype(np.int32)
        else:
            sign = np.ones_like(sign)
        scale = np.broadcast_arrays(self.scale * factor * sign)[0]
        shift = np.broadcast_arrays(self.shift * factor)[0]
        return replace(
            self, codes=codes, scale=scale.astype(np.float32), shift=shift.astype(np.float32)
        )

    def rows(self, order: Sequence[int]) -> QuantizedTensor:
        """The same weights with the slices along the first axis in another order."""
        scale, shift = (
            array if array.shape[0] == 1 else array[list(order)]
            for array in (self.scale, self.shift)
        )
        return replace(self, codes=self.codes[list(order)], scale=scale, shift=shift)

    def transposed(self) -> QuantizedTensor:
        """The same weights with the two axes exchanged."""
        codes = np.ascontiguousarray(self.codes.T)
        return replace(self, codes=codes, scale=self.scale.T, shift=self.shift.T)


Weight: TypeAlias = Union[QuantizedTensor, "NDArray[np.float32]"]


def values_of(weight: Weight) -> NDArray[np.float32]:
    """The weights as float32, quantised or not."""
    return weight.values if isinstance(weight, QuantizedTensor) else weight
