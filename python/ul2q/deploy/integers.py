"""Codes as integers that other runtimes multiply with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.deploy.quantized import QuantizedTensor


@dataclass(frozen=True, eq=False)
class IntegerForm:
    """Weights as scale · book[code] + shift with integers in the book.

    Attributes:
        codes: from 0 up.
        book: the integer of each code.
        scale: float32, with as many axes as the codes.
        shift: likewise.
    """

    codes: NDArray[np.int32]
    book: NDArray[np.int64]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]

    @property
    def integers(self) -> NDArray[np.int64]:
        """The integer of each weight."""
        return self.book[self.codes]

    @property
    def has_shift(self) -> bool:
        """Whether there is a shift to add."""
        return bool(np.any(self.shift != 0))

    def finer(self, limit: int) -> IntegerForm:
        """The same weights by integers as large as the limit allows, and a smaller scale.

        Runtimes that convolve in integers round biases to multiples of this scale times that of
        the activations.
        """
        factor = limit // max(1, int(np.abs(self.book).max()))
        if factor < 2:
            return self
        return replace(self, book=self.book * factor, scale=self.scale / np.float32(factor))


def integer_form(weight: QuantizedTensor) -> IntegerForm:
    """The form with the smaller shift that fits 8 bits.

    Levels that lie half a step from the shift become odd integers times half the scale, which
    needs no shift where β is 0. Of more than 7 bits these do not fit 8: they become integers times
    the scale, and half a step is added to the shift.
    """
    book = weight.code_book
    scale, shift = weight.scale, weight.shift
    if np.any(book % 1):
        if np.abs(2 * book).max() <= 127:
            book, scale = 2 * book, scale / np.float32(2)
        else:
            book, shift = book - 0.5, shift + scale / np.float32(2)
    return IntegerForm(
        weight.unsigned,
        book.astype(np.int64),
        scale.astype(np.float32),
        shift.astype(np.float32),
    )


def unsigned_form(weight: QuantizedTensor) -> IntegerForm:
    """The codes themselves, from 0 up, as integers; all else is in the shift."""
    step = 2 if weight.has_gap else 1
    book = np.arange(len(weight.code_book))
    shift = weight.shift + weight.scale * np.float32(weight.code_book[0])
    return IntegerForm(weight.unsigned, book, weight.scale * np.float32(step), shift)


def bit_planes(codes: NDArray[np.int32], bits: int) -> NDArray[np.uint8]:
    """Codes as planes: bit j of code i is bit i % 8 of byte [j, i // 8].

    Args:
        codes: from 0 up, below 2^bits.
        bits: of a code.

    Returns:
        bits × ⌈size / 8⌉.
    """
    flat = codes.ravel()
    return np.stack(
        [np.packbits((flat >> j & 1).astype(np.uint8), bitorder="little") for j in range(bits)]
    )


def packed(codes: NDArray[np.int32], bits: int) -> bytes:
    """Codes of 1, 2 or 4 bits one behind the other, the first in the lowest bits of a byte."""
    flat = codes.ravel().astype(np.uint8)
    spread = (flat[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(spread.ravel(), bitorder="little").tobytes()
