#!/usr/bin/env bash
# OpenVINO's BitShift to the left stops at 255 where a byte loses bits: 200 << 1 is 255.
#
# ONNX's BitShift moves bits; NumPy and onnxruntime drop those that leave the type, so that 200 << 1 is 144 as uint8. One
# expects the same of every runtime, the more so as a graph that packs bits or mixes a hash relies on it.
# Seen with OpenVINO 2026.4.1 on the CPU: the result of uint8 is 255, without a warning; uint16 is right for the same
# numbers, and shifts to the right are exact. Take bits out of bytes by BitwiseAnd with a mask, or shift in a wider type and
# mask afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
cat > "$folder/expected" <<'EXPECTED'
uint8 << 1: NumPy [2, 10, 144, 254], onnxruntime [2, 10, 144, 254], OpenVINO [2, 10, 255, 255]
uint8 << 3: NumPy [8, 40, 64, 248], onnxruntime [8, 40, 64, 248], OpenVINO [8, 40, 255, 255]
uint8 >> 1: NumPy [0, 2, 100, 127], onnxruntime [0, 2, 100, 127], OpenVINO [0, 2, 100, 127]
uint16 << 1: NumPy [2, 10, 400, 510], onnxruntime [2, 10, 400, 510], OpenVINO [2, 10, 400, 510]
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, checker, helper, numpy_helper

TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16}


def shift(name: str, direction: str, by: int) -> str:
    x = np.array([1, 5, 200, 255], name)
    node = helper.make_node("BitShift", ["x", "by"], ["y"], direction=direction)
    inputs, outputs = (
        [helper.make_tensor_value_info(key, TYPES[name], [4])] for key in ("x", "y")
    )
    constant = numpy_helper.from_array(np.array(by, name), "by")
    graph = helper.make_graph([node], "shift", inputs, outputs, [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(data), "CPU")
    sign = "<<" if direction == "LEFT" else ">>"
    moved = x << x.dtype.type(by) if direction == "LEFT" else x >> x.dtype.type(by)
    return (
        f"{name} {sign} {by}: NumPy {moved.tolist()}, "
        f"onnxruntime {session.run(None, {'x': x})[0].tolist()}, OpenVINO {compiled({'x': x})[0].tolist()}"
    )


print(shift("uint8", "LEFT", 1))
print(shift("uint8", "LEFT", 3))
print(shift("uint8", "RIGHT", 1))
print(shift("uint16", "LEFT", 1))
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
