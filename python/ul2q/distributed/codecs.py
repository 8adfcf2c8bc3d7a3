"""Gradients in fewer bits: bfloat16, or codes of μL2Q's quantizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ul2q.distributed.errors import RanksError
from ul2q.quantizers import dequantize, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD = "ul2q"
WIDTHS = (2, 4, 8)
"""The bits of a code that fill bytes."""
_HEADER = 8  # bytes: scale and shift


class Codec(Protocol):
    """Turns float32 numbers into bytes, and back into numbers near them."""

    def size(self, count: int) -> int:
        """The bytes that so many numbers take."""

    def encode(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        """The bytes of a flat float32 array."""

    def decode(self, coded: NDArray[np.uint8], count: int) -> NDArray[Any]:
        """The `count` numbers that bytes stand for, float32."""


class Bfloat16:
    """bfloat16: the upper half of a float32, rounded to nearest, ties to even.

    Infinity and NaN stay what they are.
    """

    def size(self, count: int) -> int:
        """Two bytes each."""
        return 2 * count

    def encode(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        """The upper halves."""
        bits = numbers.view(np.uint32)
        halves = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
        is_nan = np.isnan(numbers)
        if is_nan.any():  # rounding could carry it to infinity
            halves[is_nan] = (bits[is_nan] >> 16) | 0x40
        return halves.view(np.uint8)

    def decode(self, coded: NDArray[np.uint8], count: int) -> NDArray[Any]:
        """The halves with zeros below."""
        return (coded.view(np.uint16)[:count].astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class Codes:
    """The codes of `ul2q.quantize` with one scale and shift for all numbers, which go before them.

    Numbers that are not finite come out as NaN, all of them: training sees that it has diverged.

    Attributes:
        bits: of a code; of `WIDTHS`.
    """

    bits: int

    def __post_init__(self) -> None:
        """Check the width."""
        if self.bits not in WIDTHS:
            widths = ", ".join(map(str, WIDTHS))
            raise RanksError(f"--bits is {self.bits}; must be one of {widths}")

    @property
    def _lowest(self) -> int:
        return 1 - (1 << (self.bits - 1))

    def size(self, count: int) -> int:
        """Scale, shift, and the codes, 8 / bits of them in a byte."""
        return _HEADER + -(-count * self.bits // 8)

    def encode(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        """Quantise."""
        coded = np.zeros(self.size(numbers.size), np.uint8)
        header = coded[:_HEADER].view(np.float32)
        try:
            quantized = quantize(numbers, self.bits, METHOD)
        except ValueError:  # not finite, or nearly
            header[:] = np.nan
            return coded
        header[:] = quantized.scale, quantized.shift
        codes = (quantized.codes - self._lowest).astype(np.uint8)
        coded[_HEADER:] = pack(codes, self.bits)
        return coded

    def decode(self, coded: NDArray[np.uint8], count: int) -> NDArray[Any]:
        """Dequantise."""
        scale, shift = coded[:_HEADER].copy().view(np.float32)
        if not np.isfinite(scale):
            return np.full(count, np.nan, np.float32)
        codes = unpack(coded[_HEADER:], self.bits, count).astype(np.int32) + self._lowest
        return np.asarray(dequantize(codes, scale, shift, self.bits, METHOD))


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of 1, 2, 4 or 8 bits, from 0 up, 8 / bits of them in a byte, the first lowest."""
    if bits == 8:
        return codes
    each = 8 // bits
    padded = np.zeros(-(-codes.size // each) * each, np.uint8)
    padded[: codes.size] = codes
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed = np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1)
    return np.asarray(packed, np.uint8)


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """The first `count` codes that `pack` has packed."""
    if bits == 8:
        return packed[:count]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    return codes.reshape(-1)[:count]
