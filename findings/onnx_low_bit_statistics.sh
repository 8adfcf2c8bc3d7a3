#!/usr/bin/env bash
# The codes of a 4-bit ONNX tensor have a sum, a mean and a standard deviation that are wrong, without a word.
#
# onnx.numpy_helper.to_array gives a NumPy array of ml_dtypes' uint4, int4, uint2 or int2. NumPy adds up its own small
# integers in 64 bits and takes their mean in float64, so one expects (1 + 2 + 8 + 15) / 4 = 6.5 of uint4 codes, too.
# Seen with onnx 1.23.2, ml_dtypes 0.6.0 and NumPy 2.4.6: sums stay in the array's own type and wrap at 4 or 2 bits (10),
# means are taken of the wrapped sum and rounded down (2), the standard deviation is an integer, dot wraps at 4 bits and @,
# on the same arrays, at 8. A product with a Python float is float16: codes times the scale of a file, the way one
# dequantises by hand, loses 13 bits of the scale. Cast to int64 or float32 first: then all of it is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 ml_dtypes==0.6.0 numpy==2.4.6
cat > "$folder/expected" <<'EXPECTED'
uint4 [1 2 8 15]: sum 10 (uint4), mean 2 (uint4), std 1 (uint4), dot 6, @ 38, times 0.1 float16
int4 [1 2 -8 -1]: sum -6 (int4), mean -1 (int4), std 0 (int4), dot 6, @ 70, times 0.1 float16
uint2 [0 1 2 3]: sum 2 (uint2), mean 0 (uint2), std 0 (uint2), dot 2, @ 14, times 0.1 float16
int2 [0 1 -2 -1]: sum -2 (int2), mean 0 (int2), std 0 (int2), dot -2, @ 6, times 0.1 float16
largest error of uint4 codes * 0.1: 0.0001953125
uint8 [1 2 8 15]: sum 26 (uint64), mean 6.5 (float64), times 0.1 float64
uint4 cast to int64: sum 26, mean 6.5, dot 294
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import numpy as np
from onnx import TensorProto, helper, numpy_helper

TENSORS = {
    "uint4": (TensorProto.UINT4, bytes([0x21, 0xF8])),  # the low half of a byte comes first
    "int4": (TensorProto.INT4, bytes([0x21, 0xF8])),
    "uint2": (TensorProto.UINT2, bytes([0b11100100])),
    "int2": (TensorProto.INT2, bytes([0b11100100])),
}
arrays = {
    name: numpy_helper.to_array(helper.make_tensor("codes", kind, [4], packed, raw=True))
    for name, (kind, packed) in TENSORS.items()
}
for name, codes in arrays.items():
    figures = ", ".join(f"{f} {getattr(codes, f)()} ({getattr(codes, f)().dtype})" for f in ("sum", "mean", "std"))
    print(f"{name} {codes}: {figures}, dot {np.dot(codes, codes)}, @ {codes @ codes}, times 0.1 {(codes * 0.1).dtype}")
codes = arrays["uint4"]
wide = codes.astype(np.int64)
print(f"largest error of uint4 codes * 0.1: {np.abs((codes * 0.1).astype(np.float64) - wide * 0.1).max():.10f}")
plain = np.array([1, 2, 8, 15], np.uint8)
print(
    f"uint8 {str(plain).replace('  ', ' ').replace('[ ', '[')}: sum {plain.sum()} ({plain.sum().dtype}), "
    f"mean {plain.mean()} ({plain.mean().dtype}), times 0.1 {(plain * 0.1).dtype}"
)
print(f"uint4 cast to int64: sum {wide.sum()}, mean {wide.mean()}, dot {wide @ wide}")
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
