#!/usr/bin/env bash
# Halfway between two codes, QuantizeLinear rounds to one code in onnxruntime and to another in PyTorch, OpenVINO and OpenCV.
#
# ONNX defines QuantizeLinear as saturate(round(x / y_scale) + y_zero_point), halves to even. One expects that of all, and
# that a net trained with PyTorch's fake quantisation has the codes after its export that it had before, but for values so
# close to a border that no data meet them. Data do: the average of two or four codes of one step, which a 2 x 2 average
# pooling or an Eltwise of coefficients 0.5 gives, lies on the border itself half of the time, or a quarter.
# Seen with onnxruntime 1.32.0, OpenVINO 2026.4.1, OpenCV 4.14.0.94 and PyTorch 2.13.0 on the CPU: of 510 values halfway
# between two codes, onnxruntime has each code of NumPy's float32 division and onnx.reference, the others have up to
# 22 % of them one code off, as they multiply by 1 / scale; which ones depends on the step. A step that is a power of two
# has none of this.
# Bit-exact comparisons of two runtimes need steps that are powers of two, or have to leave values on a border out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==4.14.0.94 torch==2.13.0 numpy==2.4.6
cat > "$folder/expected" <<'EXPECTED'
step 1/255: onnx.reference 0, onnxruntime 0, OpenVINO 112, OpenCV 64, PyTorch 0
step 0.1: onnx.reference 0, onnxruntime 0, OpenVINO 15, OpenCV 48, PyTorch 0
step 0.02: onnx.reference 0, onnxruntime 0, OpenVINO 53, OpenCV 92, PyTorch 61
step 0.7: onnx.reference 0, onnxruntime 0, OpenVINO 30, OpenCV 62, PyTorch 15
step 1/16: onnx.reference 0, onnxruntime 0, OpenVINO 0, OpenCV 0, PyTorch 0
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import cv2
import numpy as np
import onnxruntime
import openvino
import torch
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

COUNT = 255


def model(step: np.float32, zero_point: int) -> bytes:
    constants = [numpy_helper.from_array(step, "step"), numpy_helper.from_array(np.uint8(zero_point), "zero_point")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero_point"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "step", "zero_point"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, COUNT]) for name in "xy"]
    graph = helper.make_graph(nodes, "quantize", values[:1], values[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    checker.check_model(made, full_check=True)
    return made.SerializeToString()


def opencv(data: bytes, x: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(x)
    return net.forward()


def openvino_cpu(data: bytes, x: np.ndarray) -> np.ndarray:
    core = openvino.Core()
    return core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]


for name, step in (("1/255", 1 / 255), ("0.1", 0.1), ("0.02", 0.02), ("0.7", 0.7), ("1/16", 1 / 16)):
    step = np.float32(step)
    unlike: dict[str, int] = {}
    for zero_point in (0, 128):
        data = model(step, zero_point)
        x = ((np.arange(COUNT) + 0.5 - zero_point) * np.float64(step)).astype(np.float32)[None]
        divided = np.clip(np.rint(x / step) + zero_point, 0, 255) - zero_point
        results = {
            "onnx.reference": ReferenceEvaluator(data).run(None, {"x": x})[0],
            "onnxruntime": onnxruntime.InferenceSession(data).run(None, {"x": x})[0],
            "OpenVINO": openvino_cpu(data, x),
            "OpenCV": opencv(data, x),
            "PyTorch": torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), float(step), zero_point, 0, 255).numpy(),
        }
        for runtime, values in results.items():
            codes = np.rint(values / np.float64(step))
            assert np.abs(codes - divided).max() <= 1
            unlike[runtime] = unlike.get(runtime, 0) + int(np.sum(codes != divided))
    print(f"step {name}: " + ", ".join(f"{runtime} {count}" for runtime, count in unlike.items()))
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
