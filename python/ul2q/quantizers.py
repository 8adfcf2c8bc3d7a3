"""The quantizers of ul2q's layers, on NumPy arrays."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ul2q import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray


@dataclass(frozen=True, repr=False)
class Quantized:
    """An array as a layer quantises it.

    Attributes:
        values: the quantised array, of the input's shape and dtype.
        codes: int32, of the input's shape; which codes there are is the method's.
        scale: α, a float. With granularity "channel" an array that broadcasts to the input's
            shape, of its dtype.
        shift: β, the centre of the levels; a float or an array as `scale`.
        bits: bits a code.
        loss: mean squared error, mean((values - array)**2).
        method: the name of the method.
    """

    values: NDArray[Any]
    codes: NDArray[np.int32]
    scale: Any
    shift: Any
    bits: int
    loss: float
    method: str

    def __repr__(self) -> str:
        """A line without the arrays; their shape is that of `values`."""
        return (
            f"Quantized(shape={self.values.shape}, method={self.method!r}, bits={self.bits}, "
            f"loss={self.loss:.6g})"
        )


@dataclass(frozen=True)
class Method:
    """What a quantisation method is and which options it takes.

    Attributes:
        name: as `quantize` takes it; in upper case as a prototxt does.
        summary: one line.
        levels: the values that an element can get.
        min_bits, max_bits: the widths; `bits` may be left out where they are the same.
        has_paper_fit: fit "paper".
        has_mean_shift: shift "mean", which is then the default.
        has_stochastic_rounding: rounding "stochastic".
        has_unsigned: signed=False.
    """

    name: str
    summary: str
    levels: str
    min_bits: int
    max_bits: int
    has_paper_fit: bool
    has_mean_shift: bool
    has_stochastic_rounding: bool
    has_unsigned: bool

    @property
    def bits_are_fixed(self) -> bool:
        """Whether there is one width only, which need not be given."""
        return self.min_bits == self.max_bits

    @property
    def code_bits(self) -> int | None:
        """Bits of a code where they do not follow `bits`; None where `bits` is that very width."""
        return _fixed_code_bits(self)


def method_table() -> tuple[Method, ...]:
    """The methods, ordered by name."""
    return tuple(Method(**row) for row in _core.method_table())


def methods() -> tuple[str, ...]:
    """Names of the methods that `quantize` takes."""
    return tuple(method.name for method in method_table())


def quantize(
    array: ArrayLike,
    bits: int | None = None,
    method: str = "ul2q",
    fit: str = "exact",
    *,
    granularity: str = "tensor",
    axis: int = 0,
    shift: str | None = None,
    rounding: str = "nearest",
    signed: bool = True,
    seed: int | None = None,
) -> Quantized:
    """Quantise an array by the very code that the Caffe layers run.

    By default as Gong et al., IJCNN 2019, Algorithm 1: scale = λ σ, shift = mean, code =
    round(clip((w - shift) / scale + 1/2, 1 - 2**(bits-1), 2**(bits-1))), half away from zero,
    and value = shift + scale * (code - 1/2).

    Args:
        array: float32 or float64, any shape, contiguous or not; may be empty.
        bits: 1 to 16, most often of a code; `ul2q methods` prints what each method takes. May be
            left out where the method has one width only.
        method: one of `methods()`; `method_table()` says what each takes.
        fit: "exact": the method's formula, λ being the optimum for N(0, 1). "paper": the paper's
            Table I up to 8 bits; above, scale = (max - min) / (2**bits - 1); of methods with
            `Method.has_paper_fit`.
            "empirical": scale and shift of the least squared error that is found from the exact
            fit on; never a larger one.
        granularity: "tensor": one scale. "channel": one for each slice along `axis`.
        axis: of the channels: 0 for weights of Convolution and InnerProduct.
        shift: "mean" or "zero": β is the mean, or held at 0. None: "mean" for methods with
            `Method.has_mean_shift`, "zero" for the others, which take no other.
        rounding: "nearest", or "stochastic", up or down at random, of methods with
            `Method.has_stochastic_rounding`.
        signed: False for values from 0 up, as a ReLU gives them: codes 0 to 2**bits - 1, 0 being
            a level; of methods with `Method.has_unsigned`.
        seed: of stochastic rounding, which needs it: 0 to 2**64 - 1.

    Raises:
        TypeError: `array` is not of a floating-point type that Caffe computes with, or a number
            is no integer.
        ValueError: an option is out of range or not for this method, or an element is NaN,
            infinite or so large that the result would overflow.
    """
    w = np.asarray(array)
    native = w.dtype.newbyteorder("=")
    if native not in (np.float32, np.float64):
        raise TypeError(
            f"array has dtype {w.dtype}; must be float32 or float64 (array.astype(np.float32))"
        )
    _check_bool("signed", signed)
    if granularity not in ("tensor", "channel"):
        raise ValueError(f"granularity is {granularity!r}; must be 'tensor' or 'channel'")
    if (rounding == "stochastic") != (seed is not None):
        raise ValueError("seed goes with rounding 'stochastic': give both or neither")
    channel_axis = _checked_axis(axis, w.ndim) if granularity == "channel" else None
    # The kernels read aligned arrays in native byte order and C order. What is so is not copied.
    plain = np.require(w, native, ["C", "A"])
    values, codes, scales, shifts, code_bits, loss = _core.quantize(
        plain,
        channel_axis,
        method,
        None if bits is None else _integer("bits", bits, _core.MIN_BITS, _core.MAX_BITS),
        fit,
        shift,
        rounding,
        signed,
        None if seed is None else _integer("seed", seed, 0, 2**64 - 1),
    )
    if channel_axis is None:
        return Quantized(values, codes, float(scales[0]), float(shifts[0]), code_bits, loss, method)
    shape = [1] * w.ndim
    shape[channel_axis] = -1
    return Quantized(
        values, codes, scales.reshape(shape), shifts.reshape(shape), code_bits, loss, method
    )


def dequantize(
    codes: ArrayLike,
    scale: ArrayLike,
    shift: ArrayLike,
    bits: int | None = None,
    method: str = "ul2q",
    *,
    signed: bool = True,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """The values of codes, computed as the layers do: `quantize(...).values`, bit for bit.

    Args:
        codes: integers, any shape, contiguous or not.
        scale: of `Quantized`: a number, or an array that broadcasts to the shape of `codes`.
        shift: likewise.
        bits: bits a code, as in `Quantized.bits`.
        method: the method that made the codes.
        signed: as for `quantize`.
        dtype: float32 or float64: that of the array that was quantised.

    Raises:
        TypeError: `codes` are no integers, or `dtype` is another.
        ValueError: a code is out of the method's range, or the shapes do not fit.
    """
    numbers = np.asarray(codes)
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"codes has dtype {numbers.dtype}; must be integers")
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"dtype is {kind}; must be float32 or float64")
    if numbers.size and not -(2**31) <= int(numbers.min()) <= int(numbers.max()) < 2**31:
        raise ValueError("codes holds numbers that no code of 16 bits can be")
    _check_bool("signed", signed)
    has_shift = {row.name: row.has_mean_shift for row in method_table()}.get(method, True)
    if not has_shift and np.any(np.asarray(shift) != 0):
        raise ValueError(f"shift is {shift!r}; method {method} has none, it must be 0")
    scales, shifts = np.broadcast_arrays(np.asarray(scale, kind), np.asarray(shift, kind))
    shape = numbers.shape
    if _is_along_several_axes(scales.shape, shape):  # as of groups of a deconvolution
        axis: int | None = 0
        numbers = numbers.ravel()
        scales, shifts = (np.broadcast_to(array, shape) for array in (scales, shifts))
    else:
        axis = _channel_axis(scales.shape, shape)
    return np.asarray(
        _core.dequantize(
            np.require(numbers, np.int32, ["C", "A"]),
            np.require(scales.ravel(), kind, ["C", "A"]),
            np.require(shifts.ravel(), kind, ["C", "A"]),
            axis,
            method,
            None if bits is None else _integer("bits", bits, _core.MIN_BITS, _core.MAX_BITS),
            signed,
        )
    ).reshape(shape)


@cache
def _fixed_code_bits(method: Method) -> int | None:
    zero = np.zeros(1, np.float32)
    ends = (method.min_bits, method.max_bits)
    widths = {quantize(zero, bits, method.name).bits for bits in ends}
    return widths.pop() if len(widths) == 1 else None


def _is_along_several_axes(scales: tuple[int, ...], codes: tuple[int, ...]) -> bool:
    """Whether scales broadcast to the codes and differ along more than one axis."""
    fits = len(scales) == len(codes) and all(
        size in (1, extent) for size, extent in zip(scales, codes, strict=True)
    )
    return fits and sum(size != 1 for size in scales) > 1


def _channel_axis(scales: tuple[int, ...], codes: tuple[int, ...]) -> int | None:
    """The axis of `codes` along which the scales lie; None if there is one scale."""
    if scales in ((), (1,)):
        return None
    axes = [axis for axis, size in enumerate(scales) if size != 1]
    if len(scales) == len(codes) and len(axes) <= 1:
        axis = axes[0] if axes else 0
        if scales[axis] == codes[axis]:
            return axis
        if not axes:
            return None
    raise ValueError(
        f"scale and shift have shape {scales}, which does not broadcast along one axis of codes, "
        f"{codes}"
    )


def _checked_axis(axis: int, ndim: int) -> int:
    number = _integer("axis", axis, -ndim, ndim - 1) if ndim else None
    if number is None:
        raise ValueError("granularity is 'channel', but array has no axis; use 'tensor'")
    return number % ndim


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; must be True or False")


def _integer(name: str, value: object, low: int, high: int) -> int:
    valid = f"must be an integer, {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} is {value!r}; {valid}")
    number = operator.index(value)
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}; {valid}")
    return number
