"""Let weights take up the scales and shifts behind them.

The rule: an Affine that alone reads what a convolution, a deconvolution or an inner product makes,
and has one number for each of its output channels or one for all, becomes part of the scales,
shifts and biases there; codes stay as they are. One that alone reads what another Affine makes
becomes one with it. All others stay: behind a sum of two branches, in front of a convolution (whose
padding would be shifted, too), or where the tensor in between is an output of the net.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.graph import Graph, Node
from ul2q.deploy.ops import Affine, Convolution, Deconvolution, InnerProduct
from ul2q.deploy.quantized import QuantizedTensor, Weight, values_of

if TYPE_CHECKING:
    from ul2q.deploy.ops import Op


def fold(graph: Graph) -> Graph:
    """The graph with each Affine folded that the rule allows for."""
    nodes: list[Node] = []
    made_by: dict[str, int] = {}
    shapes = dict(graph.shapes)
    for node in graph.nodes:
        before = made_by.get(node.inputs[0]) if isinstance(node.op, Affine) else None
        if before is not None and isinstance(node.op, Affine):
            maker = nodes[before]
            alone = len(graph.readers(node.inputs[0])) == 1 and node.inputs[0] not in graph.outputs
            folded = _folded(maker.op, node.op, len(shapes[node.inputs[0]])) if alone else None
            if folded is not None:
                label = f"{maker.label} + {node.label}"
                nodes[before] = Node(maker.name, folded, maker.inputs, node.outputs, label)
                made_by[node.outputs[0]] = before
                del shapes[node.inputs[0]]
                continue
        for name in node.outputs:
            made_by[name] = len(nodes)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), shapes=shapes)


def _folded(maker: Op, affine: Affine, axes: int) -> Op | None:
    """The operation that does both; None if there is none."""
    scale, shift = (array.astype(np.float64) for array in (affine.scale, affine.shift))
    if isinstance(maker, Affine):
        return Affine(
            np.asarray(scale * maker.scale, np.float32),
            np.asarray(scale * maker.shift + shift, np.float32),
        )
    if isinstance(maker, (Convolution, Deconvolution)):
        channel = 1
    elif isinstance(maker, InnerProduct):
        channel = axes - 1
    else:
        return None
    if any(size != 1 for axis, size in enumerate(scale.shape) if axis != channel):
        return None
    factors, shifts = (np.broadcast_to(a.ravel(), maker.outputs) for a in (scale, shift))
    bias = shifts if maker.bias is None else factors * values_of(maker.bias) + shifts
    weight = _times(maker.weight, _beside(maker, factors))
    return replace(maker, weight=weight, bias=bias.astype(np.float32))


def _beside(maker: Convolution | Deconvolution | InnerProduct, factors: Any) -> Any:
    """A number for each output channel, shaped to broadcast along the weights."""
    axes = len(maker.weight.shape)
    if not isinstance(maker, Deconvolution):
        return factors.reshape(-1, *[1] * (axes - 1))
    rows, columns = maker.weight.shape[:2]  # channels of the input; outputs of a group
    if maker.group == 1:
        return factors.reshape(1, columns, *[1] * (axes - 2))
    by_group = np.repeat(factors.reshape(maker.group, columns), rows // maker.group, axis=0)
    return by_group.reshape(rows, columns, *[1] * (axes - 2))


def _times(weight: Weight, factors: Any) -> Weight:
    if isinstance(weight, QuantizedTensor):
        return weight.times(factors)
    return np.asarray(weight * factors, np.float32)
