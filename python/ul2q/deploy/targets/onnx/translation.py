"""What the operators' translations share: the builder, weights, and small pieces of graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.quantized import QuantizedTensor, Weight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Node
    from ul2q.deploy.ops import Shape
    from ul2q.deploy.targets.onnx.builder import Builder

    class Writer(Protocol):
        """How weights are stored."""

        def write(self, weight: Weight, name: str) -> str:
            """The name of a float tensor with the weights' values."""


class Translation:
    """A graph on its way to ONNX.

    Attributes:
        builder: of the model.
        writer: of the weights.
        has_codes: whether activations pass through QuantizeLinear.
    """

    def __init__(self, builder: Builder, writer: Writer, *, has_codes: bool) -> None:
        """Begin with nothing."""
        self.builder = builder
        self.writer = writer
        self.has_codes = has_codes
        self.add = builder.add
        self.fresh = builder.fresh
        self.number = builder.number
        self.constant = builder.constant
        self._shapes = dict(builder.graph.shapes)

    def shape(self, name: str) -> Shape:
        """Of a tensor of the graph."""
        return self._shapes[name]

    def like(self, name: str, other: str) -> str:
        """A new tensor with the shape of another."""
        fresh = self.fresh(name)
        self._shapes[fresh] = self._shapes[other]
        return fresh

    def type(self, name: str) -> int:
        """ONNX's number of a type, e.g. "FLOAT"."""
        return int(getattr(self.builder.onnx.TensorProto, name))

    def numbers(self, values: Sequence[int]) -> str:
        """An int64 vector."""
        return self.builder.numbers(list(values))

    def array(self, values: NDArray[Any], name: str) -> str:
        """A float32 initializer."""
        return self.constant(np.asarray(values, np.float32), name)

    def weight(self, node: Node, name: str, order: Sequence[int] | None = None) -> str:
        """A parameter of a node, perhaps with its rows in another order."""
        weight = node.op.weights[name]
        if order is not None:
            if isinstance(weight, QuantizedTensor):
                weight = weight.rows(order)
            else:
                weight = weight[list(order)]
        return self.writer.write(weight, f"{node.name}.{name}")

    def biases(self, node: Node) -> list[str]:
        """The bias as an input, if there is one."""
        return [self.weight(node, "bias")] if "bias" in node.op.weights else []

    def reshape(self, x: str, shape: Sequence[int], output: str = "") -> str:
        """Another shape; -1 for what is left."""
        return self.add("Reshape", [x, self.numbers(shape)], output)

    def free(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape for `reshape`; where the batch is of any length, its first extent is so, too."""
        return (-1, *shape[1:]) if self.builder.any_batch else tuple(shape)

    def scaled(self, x: str, scale: float, shift: float) -> str:
        """Return scale x + shift, of which nothing is computed that changes nothing."""
        if scale != 1:
            x = self.add("Mul", [x, self.number(scale)])
        if shift != 0:
            x = self.add("Add", [x, self.number(shift)])
        return x
