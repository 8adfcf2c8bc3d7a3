#!/usr/bin/env bash
# ONNX's reference evaluator runs the quantising half of a quantised model of opset 10 to 18, and not the other half.
#
# onnx.reference is how one checks an exported model without a runtime, and models of 8-bit Q/DQ pairs are mostly of opset
# 13 to 18, as quantisation tools write them to suit older runtimes. Its QuantizeLinear serves every opset since 10, so one
# expects the same of DequantizeLinear, whose definition for int8 and uint8 has not changed since. Seen with onnx 1.23.2:
# DequantizeLinear below opset 19 ends in "No implementation for operator", although the checker accepts the model and
# onnxruntime 1.32.0 runs it. Write such models at opset 19 or later, or compare with a runtime.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$folder/expected" <<'EXPECTED'
QuantizeLinear: checker and onnxruntime take opsets 10 to 26, the reference evaluator those from 10
DequantizeLinear: checker and onnxruntime take opsets 10 to 26, the reference evaluator those from 19
No implementation for operator 'DequantizeLinear' domain '' and version 18, found 19, 21, 23, 25, None.
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSETS = range(10, 27)
INPUTS = {
    "QuantizeLinear": np.array([-1, 0, 0.25, 9], np.float32),
    "DequantizeLinear": np.array([0, 3, 7, 255], np.uint8),
}


def model(operator: str, opset: int) -> onnx.ModelProto:
    kinds = [TensorProto.FLOAT, TensorProto.UINT8]
    x, y = kinds if operator == "QuantizeLinear" else kinds[::-1]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scale", "zero"], ["y"])],
        "one_node",
        [helper.make_tensor_value_info("x", x, [4])],
        [helper.make_tensor_value_info("y", y, [4])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]), helper.make_tensor("zero", TensorProto.UINT8, [], [3])],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 21 else 10)


onnxruntime.set_default_logger_severity(4)  # the newest opsets are news to it
for operator, x in INPUTS.items():
    served = []
    for opset in OPSETS:
        made = model(operator, opset)
        onnx.checker.check_model(made, full_check=True)
        [want] = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
        try:
            [got] = ReferenceEvaluator(made).run(None, {"x": x})
        except RuntimeError as error:
            message = str(error)
        else:
            np.testing.assert_array_equal(got, want)
            served.append(opset)
    assert served == list(range(served[0], OPSETS.stop))
    print(
        f"{operator}: checker and onnxruntime take opsets {OPSETS.start} to {OPSETS.stop - 1}, "
        f"the reference evaluator those from {served[0]}"
    )
print(message)
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
