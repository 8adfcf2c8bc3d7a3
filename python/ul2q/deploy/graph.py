"""A net as a graph: what leaves Caffe, and what each target translates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.errors import DeployError
from ul2q.deploy.quantized import QuantizedTensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from ul2q.deploy.ops import Op, Shape


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of the graph.

    Attributes:
        name: of the layer that it was; unique.
        op: what is computed.
        inputs: names of the tensors that it reads.
        outputs: names of the tensors that it makes.
        label: the layer's type and those that were folded into it, for the table.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    label: str


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A net for inference.

    Attributes:
        name: the net's.
        inputs: names of the tensors that are given.
        outputs: names of the tensors that are asked for.
        nodes: each behind those that it reads from.
        shapes: of all tensors by name, the batch included.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    shapes: dict[str, Shape] = field(repr=False)

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float32]]:
        """The outputs, by plain NumPy in float64: slow, and what all targets are held against.

        Args:
            inputs: an array for each input, of its shape.

        Raises:
            DeployError: an input is missing, or has another shape.
        """
        values: dict[str, NDArray[Any]] = {}
        for name in self.inputs:
            if name not in inputs:
                raise DeployError(f"input {name!r} is missing; the net reads {self._inputs_told()}")
            values[name] = np.asarray(inputs[name], np.float64)
            if values[name].shape != self.shapes[name]:
                raise DeployError(
                    f"input {name!r} has shape {_times(values[name].shape)}; "
                    f"must be {_times(self.shapes[name])}"
                )
        for node in self.nodes:
            found = node.op.run(*(values[name] for name in node.inputs))
            values.update(zip(node.outputs, found, strict=True))
        return {name: values[name].astype(np.float32) for name in self.outputs}

    def with_weights(self, weights: Mapping[tuple[str, str], Any]) -> Graph:
        """The graph with other parameters, by node and name."""
        nodes = []
        for node in self.nodes:
            own = {name: weights[node.name, name] for name in node.op.weights}
            nodes.append(replace(node, op=node.op.with_weights(own)) if own else node)
        return replace(self, nodes=tuple(nodes))

    def weights(self) -> Iterator[tuple[Node, str, Any]]:
        """Each trained parameter: its node, its name there, and its values or codes."""
        for node in self.nodes:
            for name, weight in node.op.weights.items():
                yield node, name, weight

    def readers(self, tensor: str) -> list[Node]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.inputs]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows: a row for each node."""
        rows = []
        for node in self.nodes:
            shapes = " ".join(_times(self.shapes[name]) for name in node.outputs)
            held = node.op.weights.values()
            count = sum(int(np.prod(weight.shape)) for weight in held)
            bits = sum(storage_bits(weight) for weight in held)
            rows.append(
                [
                    *(node.name, node.label, shapes, f"{count:,}" if count else ""),
                    *(_bits(node), f"{bits / 8000:,.1f}" if count else ""),
                ]
            )
        return ["layer", "type", "output", "parameters", "bits", "kB"], rows

    def __repr__(self) -> str:
        """The table as text."""
        headings, rows = self.table()
        cells = [headings, *rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join([f"Graph {self.name!r}: reads {self._inputs_told()}", *lines])

    def _inputs_told(self) -> str:
        return ", ".join(f"{name!r} of {_times(self.shapes[name])}" for name in self.inputs)


def storage_bits(weight: Any) -> int:
    """Bits that a parameter takes: of quantised ones codes, scales and shifts; else floats."""
    if isinstance(weight, QuantizedTensor):
        return weight.storage_bits
    return 32 * int(weight.size)


def _bits(node: Node) -> str:
    """Of the weights; "float" where a layer could have some."""
    weight = node.op.weights.get("weight", node.op.weights.get("state"))
    if weight is None:
        return ""
    return str(weight.bits) if isinstance(weight, QuantizedTensor) else "float"


def _times(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "a number"
