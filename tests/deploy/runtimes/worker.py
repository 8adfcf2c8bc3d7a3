"""Runs exported files in one runtime; without ul2q, with the packages of one folder.

    python worker.py onnxruntime|openvino|opencv|opencv_caffe|qonnx|mnn

reads pickled jobs from stdin: the path of a file, the arrays of its inputs, and the names of the
outputs that are asked for. Each is answered on stdout by the outputs' arrays, or the error's text.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, Any]


def onnxruntime(path: str, inputs: Values, outputs: list[str]) -> Values:
    """At the default options."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, inputs), strict=True))


def openvino(path: str, inputs: Values, outputs: list[str]) -> Values:
    """In float32, which is not the default where the processor has bfloat16."""
    import openvino as runtime

    model = runtime.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    known = {name for port in model.inputs for name in port.get_names()}
    found = model({name: values for name, values in inputs.items() if name in known})
    return {name: np.array(found[name]) for name in outputs}


def opencv(path: str, inputs: Values, outputs: list[str]) -> Values:
    """OpenCV's importer of ONNX."""
    import cv2

    return _opencv(cv2.dnn.readNetFromONNX(path), inputs, outputs)


def opencv_caffe(path: str, inputs: Values, outputs: list[str]) -> Values:
    """OpenCV's importer of Caffe's files, which version 5 has no more."""
    import cv2

    text = Path(path).read_text(encoding="utf-8")
    net = cv2.dnn.readNetFromCaffe(path, str(Path(path).with_suffix(".caffemodel")))
    # Outputs are asked for by the layers that make them; OpenCV names some after their blobs.
    made = re.findall(r'^layer \{\s+name: "(.*?)"(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    tops = {name: re.findall(r'top: "(.*?)"', rest) for name, rest in made}
    known = set(net.getLayerNames())
    for name, values in inputs.items():
        net.setInput(values, name)
    found = {}
    for output in outputs:
        maker = [name for name, made_by in tops.items() if output in made_by][-1]
        (arrays,) = net.forwardAndRetrieve([maker if maker in known else output])
        found[output] = np.array(arrays[tops[maker].index(output)])
    return found


def _opencv(net: Any, inputs: Values, outputs: list[str]) -> Values:
    for name, values in inputs.items():
        net.setInput(values, name)
    return dict(zip(outputs, map(np.array, net.forward(outputs)), strict=True))


def qonnx(path: str, inputs: Values, outputs: list[str]) -> Values:
    """Node by node, as qonnx executes a graph."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    found = execute_onnx(ModelWrapper(path).transform(InferShapes()), inputs)
    return {name: np.asarray(found[name]) for name in outputs}


def mnn(path: str, inputs: Values, outputs: list[str]) -> Values:
    """By the extension modules: importing MNN.tools.mnnconvert calls pip and the network."""
    import _tools
    import MNN

    weights = str(Path(path).with_suffix(".caffemodel"))
    converted = str(Path(path).with_suffix(".mnn"))
    options = {"-f": "CAFFE", "--modelFile": weights, "--prototxt": path, "--MNNModel": converted}
    _tools.mnnconvert(["", *(word for pair in options.items() for word in pair)])
    net = MNN.nn.load_module_from_file(converted, list(inputs), outputs)
    given = [_mnn_input(MNN.expr, values) for values in inputs.values()]
    found = net.forward(given)
    plain = MNN.expr.NCHW
    return {
        name: np.array(MNN.expr.convert(value, plain).read())
        for name, value in zip(outputs, found, strict=True)
    }


def _mnn_input(expr: Any, values: Any) -> Any:
    """As nets of Caffe's take it: others corrupt the heap in layers such as Scale."""
    given = expr.placeholder(list(values.shape), expr.NCHW)
    given.write(np.ascontiguousarray(values))
    return expr.convert(given, expr.NC4HW4)


def main() -> None:
    """Answer jobs until stdin ends."""
    compute = globals()[sys.argv[1]]
    # What the runtimes print goes to stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = compute(*job)
        except Exception as error:  # each is the answer
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
