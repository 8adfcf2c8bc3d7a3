"""How quantised weights are stored in ONNX, and decoded there.

| form | stored as | decoded by |
|---|---|---|
| planes | bit planes in uint8 | BitwiseAnd, Mul, ReduceSum, and then as uint2 |
| multiplied planes | the same, above 8 bits | BitwiseAnd, Mul, ReduceSum, Mul, Add |
| uint2 | UINT2 | Gather from a code book of int8, DequantizeLinear |
| uint4 | UINT4 | DequantizeLinear, Add |
| int8 | INT8 | DequantizeLinear |
| float | float32 | nothing |

A shift is added behind DequantizeLinear, whose own zero point is an integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.integers import IntegerForm, bit_planes, integer_form, packed, unsigned_form
from ul2q.deploy.quantized import QuantizedTensor, Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ul2q.deploy.targets.onnx.builder import Builder
    from ul2q.deploy.targets.target import TargetOptions


_LARGEST_EXACT = 64  # 2 · 255 · 64 < 2^15


@dataclass(frozen=True)
class WeightWriter:
    """Writes weights in the form that is asked for.

    Attributes:
        builder: of the model.
        options: the form, and the runtime that "auto" is for.
    """

    builder: Builder
    options: TargetOptions

    def write(self, weight: Weight, name: str) -> str:
        """The name of a float tensor with the weights' values."""
        if not isinstance(weight, QuantizedTensor):
            return self.builder.constant(weight.astype(np.float32), name)
        form = form_of(weight, self.options)
        # OpenCV 4.14 computes an inner product wrongly whose biases are decoded.
        is_for_opencv = self.options.runtime in ("opencv", "any")
        if form == "float" or (is_for_opencv and weight.codes.ndim == 1):
            return self.builder.constant(weight.values, name)
        return _WRITERS[form](self.builder, weight, name)


def form_of(weight: QuantizedTensor, options: TargetOptions) -> str:
    """The form in which weights are stored, one of the table above."""
    bits, form = weight.bits, options.form
    if form == "auto":
        if options.runtime in ("opencv", "any"):
            form = "int8"
        else:
            is_uint4 = bits == 4 and integer_form(weight).has_shift
            form = "uint" if is_uint4 else "int8" if bits == 8 else "planes"
    if form == "uint":
        form = "uint2" if bits <= 2 else "uint4" if bits <= 4 else "int8"
    if form == "planes" and bits > 8:
        return "multiplied planes"
    if form == "int8" and np.abs(integer_form(weight).book).max() > 128:
        return "float"  # more than 8 bits
    return form


def _planes(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    return _from_book(builder, weight, _codes_of_planes(builder, weight, name), name)


def _multiplied_planes(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    form = unsigned_form(weight)
    codes = _codes_of_planes(builder, weight, name)
    floats = builder.add("Cast", [codes], to=builder.onnx.TensorProto.FLOAT)
    scale = builder.constant(form.scale, f"{name}.scale")
    shift = builder.constant(form.shift, f"{name}.shift")
    return builder.add("Add", [builder.add("Mul", [floats, scale]), shift], builder.fresh(name))


def _codes_of_planes(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    """The codes as int32, from bit planes.

    Not by BitShift, which OpenVINO 2026.4 computes wrongly, without a word, unless it can do so
    while it compiles the model.
    """
    bits, size = weight.bits, weight.codes.size
    add, onnx = builder.add, builder.onnx.TensorProto
    builder.require(18)
    planes = builder.constant(bit_planes(weight.unsigned, bits)[:, :, None], f"{name}.planes")
    masks = 1 << np.arange(8)
    bit = add("BitwiseAnd", [planes, builder.constant(masks.astype(np.uint8), "bit_masks")])
    # What bit p of a byte adds to a code if the byte is of plane j: 2^j, and it counts 2^p.
    worth = (1 << np.arange(bits))[:, None, None] / masks
    factors = builder.constant(worth.astype(np.float32), f"worth_of_bits.{bits}")
    added = add("Mul", [add("Cast", [bit], to=onnx.FLOAT), factors])
    codes = add("ReduceSum", [added, builder.numbers([0])], keepdims=0)
    codes = add("Reshape", [add("Cast", [codes], to=onnx.INT32), builder.numbers([-1])])
    if size % 8:
        bounds = [builder.numbers(v) for v in ([0], [size], [0])]
        codes = add("Slice", [codes, *bounds])
    return add("Reshape", [codes, builder.numbers(weight.shape)])


def _uint2(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    builder.require(25)
    data = packed(weight.unsigned, 2)
    stored = builder.packed_constant(data, "UINT2", weight.shape, f"{name}.codes")
    codes = builder.add("Cast", [stored], to=builder.onnx.TensorProto.INT32)
    return _from_book(builder, weight, codes, name)


def _uint4(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    builder.require(21)
    form = unsigned_form(weight)
    data = packed(weight.unsigned, 4)
    stored = builder.packed_constant(data, "UINT4", weight.shape, f"{name}.codes")
    return _dequantized(builder, stored, form.scale, form.shift, name)


def _int8(builder: Builder, weight: QuantizedTensor, name: str) -> str:
    form = _fine_form(weight)
    stored = builder.constant(form.integers.astype(np.int8), f"{name}.codes")
    return _dequantized(builder, stored, form.scale, form.shift, name, np.int8(0))


_WRITERS: dict[str, Callable[[Builder, QuantizedTensor, str], str]] = {
    "planes": _planes,
    "multiplied planes": _multiplied_planes,
    "uint2": _uint2,
    "uint4": _uint4,
    "int8": _int8,
}


def _fine_form(weight: QuantizedTensor) -> IntegerForm:
    """The integers that a runtime multiplies with, as large as all processors compute exactly.

    Those without VNNI add two products of a weight and an activation of 8 bits in 16.
    """
    form = integer_form(weight)
    return form if form.has_shift else form.finer(_LARGEST_EXACT)


def _from_book(builder: Builder, weight: QuantizedTensor, codes: str, name: str) -> str:
    """Codes of int32 become the integers of a book, and those are dequantised."""
    form = _fine_form(weight)
    text = ",".join(map(str, form.book))
    book = builder.constant(form.book.astype(np.int8), f"int8[{text}]")
    integers = builder.add("Gather", [book, codes], axis=0)
    return _dequantized(builder, integers, form.scale, form.shift, name, np.int8(0))


def _dequantized(
    builder: Builder,
    integers: str,
    scale: NDArray[Any],
    shift: NDArray[Any],
    name: str,
    zero_point: np.int8 | None = None,
) -> str:
    """Return scale · integers + shift, by DequantizeLinear as far as it can.

    A zero point of 0 is what is meant without one, too; but onnxruntime 1.20 makes a QGemm of a
    Gemm and then misses it.
    """
    axes = [axis for axis, size in enumerate(scale.shape) if size > 1]
    has_shift = bool(np.any(shift != 0))
    last = builder.fresh(name)
    by_hand = len(axes) > 1  # of groups of a deconvolution
    first = builder.fresh(f"{name}.dequantized") if by_hand or has_shift else last
    given = np.ones((), np.float32) if by_hand else _vector(scale, axes)
    operands = [builder.constant(given, f"{name}.scale" if not by_hand else "float32(1.0)")]
    if zero_point is not None:
        zeros = np.full(given.shape, zero_point, np.int8)
        operands.append(builder.constant(zeros, f"int8{list(given.shape)}({zero_point})"))
    values = builder.add(
        "DequantizeLinear", [integers, *operands], first, **_axis(axes if not by_hand else [])
    )
    if by_hand:
        factors = builder.constant(scale, f"{name}.scale")
        values = builder.add("Mul", [values, factors], "" if has_shift else last)
    if has_shift:
        values = builder.add("Add", [values, builder.constant(shift, f"{name}.shift")], last)
    return values


def _axis(axes: Sequence[int]) -> dict[str, Any]:
    return {"axis": axes[0]} if axes else {}


def _vector(scale: NDArray[Any], axes: Sequence[int]) -> NDArray[Any]:
    return scale.reshape(-1) if axes else scale.reshape(())
