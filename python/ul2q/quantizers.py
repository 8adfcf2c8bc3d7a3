"""The quantizers of ul2q's layers, on NumPy arrays."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ul2q import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Quantized:
    """An array as a layer quantises it: 2**bits levels, `shift + scale * (code - 1/2)`.

    Attributes:
        values: the quantised array, of the input's shape and dtype.
        codes: w' of the paper, int32, of the input's shape; 1 - 2**(bits-1) to 2**(bits-1).
        scale: α, the distance of two levels; 0 if all elements were equal.
        shift: β, the centre of the levels.
        bits: bits a code.
        loss: mean squared error, mean((values - array)**2).
    """

    values: NDArray[Any]
    codes: NDArray[np.int32]
    scale: float
    shift: float
    bits: int
    loss: float


def methods() -> tuple[str, ...]:
    """Names of the methods that `quantize` takes."""
    return tuple(_core.methods())


def quantize(array: ArrayLike, bits: int, method: str = "ul2q", fit: str = "exact") -> Quantized:
    """Quantise an array by the very code that the Caffe layers run.

    Scale and shift are fitted to the whole array (Gong et al., IJCNN 2019, Algorithm 1):
    scale = λ σ, shift = mean, code = round(clip((w - shift) / scale + 1/2, 1 - 2**(bits-1),
    2**(bits-1))), half away from zero.

    Args:
        array: float32 or float64, any shape, contiguous or not; may be empty.
        bits: 1 to 16.
        method: one of `methods()`.
        fit: "exact": λ minimises the squared error on N(0, 1). "paper": the paper's Table I up to
            8 bits; above, scale = (max - min) / (2**bits - 1).

    Raises:
        TypeError: `array` is not of a floating-point type that Caffe computes with, or `bits` is
            no integer.
        ValueError: bits, method or fit is out of range, or an element is NaN, infinite or so large
            that the result would overflow.
    """
    w = np.asarray(array)
    native = w.dtype.newbyteorder("=")
    if native not in (np.float32, np.float64):
        raise TypeError(
            f"array has dtype {w.dtype}; must be float32 or float64 (array.astype(np.float32))"
        )
    bits = _checked_bits(bits)
    # Native byte order, C order, aligned: what the kernels read. No copy where that is so already.
    plain = np.require(w, native, ["C", "A"])
    values, codes, scale, shift, loss = _core.quantize(plain, bits, method, fit)
    return Quantized(values, codes, scale, shift, bits, loss)


def _checked_bits(bits: object) -> int:
    valid = f"must be an integer, {_core.MIN_BITS} to {_core.MAX_BITS}"
    if isinstance(bits, bool) or not isinstance(bits, SupportsIndex):
        raise TypeError(f"bits is {bits!r}; {valid}")
    number = operator.index(bits)
    if not _core.MIN_BITS <= number <= _core.MAX_BITS:
        raise ValueError(f"bits is {number}; {valid}")
    return number
