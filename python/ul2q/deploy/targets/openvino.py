"""OpenVINO's own format, with weights of 1, 2, 3, 4, 6 and 8 bits at their true size.

The model is read by OpenVINO from the ONNX of the net with float weights. Each quantised weight is
then exchanged for its codes and Convert, Multiply and Add, which OpenVINO computes when it compiles
the model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.integers import unsigned_form
from ul2q.deploy.quantized import QuantizedTensor, Weight, values_of
from ul2q.deploy.targets.onnx import translated
from ul2q.deploy.targets.target import TargetOptions, Written, needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph
    from ul2q.deploy.targets.onnx.builder import Builder

NAME = "openvino"
SUMMARY = "OpenVINO's .xml and .bin: weights of 1 to 4, 6 and 8 bits at their true size"
SUFFIX = ".xml"
FOLDS = True
OPTIONS = ("any_batch",)

_WIDTHS = (1, 2, 3, 4, 6, 8)  # of OpenVINO's unsigned types


class _Recorder:
    """Writes weights as floats, and keeps those that are quantised.

    Attributes:
        quantized: by the names of their initializers.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.quantized: dict[str, QuantizedTensor] = {}

    def write(self, weight: Weight, name: str) -> str:
        """The name of the initializer."""
        if isinstance(weight, QuantizedTensor) and weight.bits <= _WIDTHS[-1]:
            self.quantized[name] = weight
        return self._builder.constant(values_of(weight), name)


def write(graph: Graph, output: Path, options: TargetOptions) -> Written:
    """The .xml that is named, and its .bin."""
    openvino = needed("openvino", "openvino")
    model, recorder = translated(graph, _Recorder, any_batch=options.any_batch)
    core = openvino.Core()
    net = core.read_model(model.SerializeToString())
    constants = {op.get_friendly_name(): op for op in net.get_ops()
                 if op.get_type_name() == "Constant"}  # fmt: skip
    missing = []
    for name, weight in recorder.quantized.items():
        if name in constants:
            _exchange(openvino, constants[name], weight, name)
        else:
            missing.append(name)
    net.validate_nodes_and_infer_types()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.xml"
        openvino.save_model(net, str(path), compress_to_fp16=False)
        files = {output: path.read_bytes(),
                 output.with_suffix(".bin"): path.with_suffix(".bin").read_bytes()}  # fmt: skip
    warnings = (
        (f"OpenVINO has rewritten {', '.join(missing)} while reading; stored as floats",)
        if missing
        else ()
    )
    return Written(
        files, [(path.suffix, len(content)) for path, content in files.items()], warnings
    )


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs by OpenVINO on the CPU, in float32: its default may be bfloat16."""
    openvino = needed("openvino", "openvino")
    core = openvino.Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    # OpenVINO leaves out inputs whose values nothing depends on, such as the second of a Crop.
    known = {name for port in model.inputs for name in port.get_names()}
    found = model({name: inputs[name] for name in graph.inputs if name in known})
    return {name: np.array(found[name]) for name in graph.outputs}


def _exchange(openvino: Any, constant: Any, weight: QuantizedTensor, name: str) -> None:
    """Put codes and their decoding in the place of a constant."""
    ops = needed("openvino.opset13", "openvino")
    form = unsigned_form(weight)
    width = next(width for width in _WIDTHS if width >= weight.bits)
    kind = getattr(openvino.Type, f"u{width}")
    codes = openvino.op.Constant(kind, openvino.Shape(weight.shape), form.codes.ravel().tolist())
    codes.set_friendly_name(f"{name}.codes")
    values = ops.multiply(ops.convert(codes, "f32"), ops.constant(form.scale))
    values = ops.add(values, ops.constant(form.shift), name=name)
    constant.output(0).replace(values.output(0))
