"""Times the int8 model of a net in onnxruntime or OpenVINO.

usage: rival_worker.py NET BITS     with INFERENCE=onnxruntime, openvino or matmulnbits in
                                    the environment, and CLOCK, a function of Python's time; reads
                                    build/inference/NET_BITS.pickle

Runs in an environment of its own (make bench-inference-environment), without ul2q. The model is
what these runtimes take for int8: int8 weights and uint8 activations between QuantizeLinear and
DequantizeLinear, the input included. worker.py has the commands.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from worker import serve

FOLDER = Path(__file__).resolve().parent.parent / "build" / "inference"
FUNCTIONS = {"Relu": "Relu", "Softmax": "Softmax", "Sum": "Add"}


class Model:
    """An ONNX graph that grows node after node."""

    def __init__(self, described: dict[str, Any]) -> None:
        """Of the description that inference_nets.describe wrote."""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.scales: dict[str, float] = {}  # of the codes that a tensor has
        self.names: dict[str, str] = {}
        for name in described["inputs"]:  # normally distributed values, up to 4
            self.names[name] = self.codes(name, 4 / 128, 128)
            self.scales[self.names[name]] = 4 / 128
        self.shapes = described["shapes"]
        self.outputs = described["outputs"]
        for node in described["nodes"]:
            self.add(node)
        self.inputs = described["inputs"]

    def constant(self, value: Any) -> str:
        """An initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """A node of one output."""
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def codes(self, x: str, scale: float, zero: int = 0) -> str:
        """Through uint8 and back."""
        fit = [self.constant(np.float32(scale)), self.constant(np.uint8(zero))]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, *fit]), *fit])

    def weights(self, node: dict[str, Any], x: str) -> list[str]:
        """Weights and bias, as integers where the layer reads codes."""
        weight, bias = node["weight"], node["bias"]
        outputs = len(weight)
        bias = np.zeros(outputs, np.float32) if bias is None else np.asarray(bias, np.float32)
        if x not in self.scales or "step" not in node:
            return [self.constant(np.asarray(weight, np.float32)), self.constant(bias)]
        largest = np.abs(weight).reshape(outputs, -1).max(1)
        step = np.maximum(np.where(largest > 127 * node["step"], largest / 127, node["step"]), 1e-9)
        shape = (-1, *[1] * (weight.ndim - 1))
        codes = np.clip(np.rint(weight / step.reshape(shape)), -127, 127).astype(np.int8)
        zeros = self.constant(np.zeros(outputs, np.int8))
        scale = self.constant(step.astype(np.float32))
        made = self.node("DequantizeLinear", [self.constant(codes), scale, zeros], axis=0)
        of_bias = (step * self.scales[x]).astype(np.float32)
        shift = self.node(
            "DequantizeLinear",
            [self.constant(np.rint(bias / of_bias).astype(np.int32)), self.constant(of_bias)],
            axis=0,
        )
        return [made, shift]

    def add(self, node: dict[str, Any]) -> None:
        """Translate a node."""
        kind = node["type"]
        inputs = [self.names[name] for name in node["inputs"]]
        x, output = inputs[0], node["outputs"][0]
        if kind == "Convolution":
            height, width = node["pad"]
            made = self.node(
                "Conv",
                [x, *self.weights(node, x)],
                strides=node["stride"],
                pads=[height, width, height, width],
                dilations=node["dilation"],
                group=node["group"],
            )
        elif kind == "InnerProduct":
            flat = self.node("Flatten", [x], axis=1)
            if x in self.scales:
                self.scales[flat] = self.scales[x]
            made = self.node("Gemm", [flat, *self.weights(node, flat)], transB=1)
        elif kind == "QuantizeActivation":
            made = self.codes(x, node["scale"])
            self.scales[made] = node["scale"]
        elif kind == "Pooling":
            made = self.pooling(node, x)
        elif kind == "WindowLrn":
            made = self.window_lrn(node, x)
        elif kind == "Reshape":
            made = self.node("Flatten", [x], axis=1)
        elif kind == "Softmax":
            made = self.node("Softmax", [x], axis=1)
        else:
            made = self.node(FUNCTIONS[kind], inputs)
        self.names[output] = made

    def pooling(self, node: dict[str, Any], x: str) -> str:
        """With pads in place of ceil_mode."""
        shape = self.shapes[node["inputs"][0]][1:]
        begin = list(node["pad"])
        end = [
            max(0, (out - 1) * stride - pad + kernel - size)
            for out, stride, pad, kernel, size in zip(
                node["output"], node["stride"], begin, node["kernel"], shape, strict=True
            )
        ]
        return self.node(
            "MaxPool" if node["kind"] == "max" else "AveragePool",
            [x],
            kernel_shape=node["kernel"],
            strides=node["stride"],
            pads=[*begin, *end],
        )

    def window_lrn(self, node: dict[str, Any], x: str) -> str:
        """By the mean of squares in a window."""
        half = (node["size"] - 1) // 2
        squares = self.node("Mul", [x, x])
        mean = self.node(
            "AveragePool",
            [squares],
            kernel_shape=[node["size"]] * 2,
            strides=[1, 1],
            pads=[half] * 4,
            count_include_pad=1,
        )
        scaled = self.node("Mul", [mean, self.constant(np.float32(node["alpha"]))])
        base = self.node("Add", [scaled, self.constant(np.float32(1))])
        power = self.node("Pow", [base, self.constant(np.float32(-node["beta"]))])
        return self.node("Mul", [x, power])

    def proto(self) -> bytes:
        """The model as a file's content."""
        inputs, outputs = (
            [
                helper.make_tensor_value_info(
                    name if kind == "in" else self.names[name],
                    TensorProto.FLOAT,
                    ["N", *self.shapes[name]],
                )
                for name in names
            ]
            for kind, names in (("in", self.inputs), ("out", self.outputs))
        )
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def two_bit_product(described: dict[str, Any]) -> bytes:
    """The inner product by onnxruntime's MatMulNBits, as a file's content.

    Weights of 2 bits in blocks of 128 with a scale each; products of int8 (accuracy_level 4), which
    is its fastest. The zero point is the default, 2, half a step from the net's own: for times.
    """
    (node,) = (node for node in described["nodes"] if node["type"] == "InnerProduct")
    weight, step = np.asarray(node["weight"], np.float32), 2 * node["step"]
    outputs, inputs = weight.shape
    block = 128
    levels = np.clip(np.floor(weight / step[:, np.newaxis]) + 2, 0, 3).astype(np.uint8)
    four = levels.reshape(outputs, inputs // block, block // 4, 4)
    packed = four[..., 0] | four[..., 1] << 2 | four[..., 2] << 4 | four[..., 3] << 6
    scales = np.repeat(step.astype(np.float32), inputs // block)
    constants = [
        numpy_helper.from_array(packed, "codes"),
        numpy_helper.from_array(scales.reshape(outputs, -1), "scales"),
    ]
    (entry,) = described["inputs"]
    nodes = [
        helper.make_node("Relu", [entry], ["relu"]),
        helper.make_node(
            "MatMulNBits",
            ["relu", "codes", "scales"],
            ["out"],
            domain="com.microsoft",
            K=inputs,
            N=outputs,
            bits=2,
            block_size=block,
            accuracy_level=4,
        ),
    ]
    kinds = ((entry, inputs), ("out", outputs))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", size]) for n, size in kinds]
    graph = helper.make_graph(nodes, "product", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def main() -> None:
    """Time a net."""
    name, how = f"{sys.argv[1]}_{sys.argv[2]}", os.environ["INFERENCE"]
    threads = int(os.environ["OMP_NUM_THREADS"])
    clock = getattr(time, os.environ["CLOCK"])
    described = pickle.loads(  # noqa: S301 - inference.py wrote it just now
        (FOLDER / f"{name}.pickle").read_bytes()
    )
    model = Model(described)
    content = two_bit_product(described) if how == "matmulnbits" else model.proto()
    (entry,) = model.inputs
    shape = model.shapes[entry]

    @cache
    def values(batch: int) -> Any:
        return np.random.default_rng(1).normal(size=(batch, *shape)).astype(np.float32)

    if how != "openvino":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        serve(lambda: None, lambda batch: session.run(None, {entry: values(batch)}), clock=clock)
        return
    import openvino

    core = openvino.Core()
    read = core.read_model(content)

    @cache
    def compiled(batch: int) -> Any:
        fixed = read.clone()
        fixed.reshape([batch, *shape])
        return core.compile_model(
            fixed, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        ).create_infer_request()

    serve(lambda: None, lambda batch: compiled(batch).infer([values(batch)]), clock=clock)


if __name__ == "__main__":
    main()
