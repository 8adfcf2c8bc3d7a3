"""QONNX, for FINN and hls4ml: float weights behind Quant and BipolarQuant nodes.

With shift ZERO zero points are 0, as FINN and hls4ml want them: 1 bit becomes BipolarQuant, levels
half a step from 0 become odd integers of one bit more. Other shifts become fractional zero points,
which qonnx computes with exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.ops import BinarizeActivation, QuantizeActivation
from ul2q.deploy.quantized import QuantizedTensor, Weight, values_of
from ul2q.deploy.targets.onnx import sizes, translated
from ul2q.deploy.targets.target import TargetOptions, Written, needed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph, Node
    from ul2q.deploy.targets.onnx.builder import Builder
    from ul2q.deploy.targets.onnx.translation import Translation

NAME = "qonnx"
SUMMARY = "Quant and BipolarQuant nodes, for FINN and hls4ml"
SUFFIX = ".onnx"
FOLDS = True
OPTIONS = ()

_DOMAIN = "qonnx.custom_op.general"


class _QuantWriter:
    """Writes weights as floats behind a node that quantises them.

    Attributes:
        fractional: the names of those whose zero point is no integer.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.fractional: list[str] = []

    def write(self, weight: Weight, name: str) -> str:
        """The name of the quantised tensor."""
        if not isinstance(weight, QuantizedTensor) or not np.all(weight.scale):
            return self._builder.constant(values_of(weight), name)
        values = self._builder.constant(weight.values, f"{name}.values")
        grid = (weight.scale, weight.shift, weight.offset, weight.lowest, weight.highest)
        if _quant(self._builder, values, name, grid, bits=weight.bits):
            self.fractional.append(name)
        return name


def write(graph: Graph, output: Path, _: TargetOptions) -> Written:
    """One model."""
    model, writer = translated(graph, _QuantWriter, {
        QuantizeActivation: _activation, BinarizeActivation: _sign,
    })  # fmt: skip
    names = ", ".join(writer.fractional)
    warnings = (
        (
            f"the zero points of {names} are no integers, which FINN and hls4ml do not take; "
            "a net trained with --shift zero has zero points of 0",
        )
        if names
        else ()
    )
    return Written({output: model.SerializeToString()}, sizes(model), warnings)


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs by qonnx."""
    wrapper = needed("qonnx.core.modelwrapper", "qonnx").ModelWrapper(str(path))
    shapes = needed("qonnx.transformation.infer_shapes", "qonnx").InferShapes()
    execute = needed("qonnx.core.onnx_exec", "qonnx").execute_onnx
    found = execute(wrapper.transform(shapes), dict(inputs))
    return {name: np.asarray(found[name]) for name in graph.outputs}


def _quant(
    builder: Builder, x: str, y: str, grid: tuple[Any, Any, float, int, int], *, bits: int
) -> bool:
    """Append the node; whether its zero point is fractional."""
    scale, shift, offset, lowest, highest = grid
    scale, shift = np.asarray(scale, np.float32), np.asarray(shift, np.float32)
    builder.domain(_DOMAIN)
    if bits == 1 and lowest + highest == 2 * offset and not np.any(shift):
        step = builder.constant(scale * np.float32(highest - offset), f"{y}.scale")
        builder.add("BipolarQuant", [x, step], y, domain=_DOMAIN)
        return False
    zero, is_signed, is_narrow = np.zeros_like(shift), lowest < 0, False
    if offset and not np.any(shift):
        scale, bits, is_signed, is_narrow = scale / np.float32(2), bits + 1, True, True
    elif offset or np.any(shift):
        zero = (-shift / scale + np.float32(offset)).astype(np.float32)
        # Codes are then counted from the lowest of those that Quant has.
        # One bit that is signed would be -1 and 1.
        is_signed = bool(is_signed or offset) and bits > 1
        first = -(2 ** (bits - 1)) if is_signed else 0
        zero = zero + np.float32(first - lowest)
    elif lowest == -highest:
        is_narrow = True
    names = [
        builder.constant(scale, f"{y}.scale"),
        builder.constant(zero, f"{y}.zero_point"),
        builder.constant(np.array(bits, np.float32), f"float32({bits})"),
    ]
    builder.add(
        "Quant",
        [x, *names],
        y,
        domain=_DOMAIN,
        signed=int(is_signed),
        narrow=int(is_narrow),
        rounding_mode="ROUND",
    )
    return bool(np.any(zero % 1))


def _activation(op: QuantizeActivation, node: Node, to: Translation) -> None:
    grid = (op.scale, op.shift, op.offset, op.lowest, op.highest)
    _quant(to.builder, node.inputs[0], node.outputs[0], grid, bits=op.bits)


def _sign(op: BinarizeActivation, node: Node, to: Translation) -> None:
    _quant(to.builder, node.inputs[0], node.outputs[0], (op.scale, 0, 0.0, -1, 1), bits=1)
