"""Whether a graph computes the same for any number of examples, and if not, what forbids it.

The batch is axis 0 of all inputs. It is free where each operation treats each of its examples by
itself, and keeps them along axis 0.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import caffe

from ul2q.deploy import ops
from ul2q.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.deploy.graph import Graph, Node
    from ul2q.deploy.ops import Shape

# These read their inputs element by element, or axis 0 is the examples by definition.
_BY_EXAMPLE = (
    *(ops.Convolution, ops.Deconvolution, ops.Embedding, ops.Pooling, ops.ChannelLrn),
    *(ops.WindowLrn, ops.Relu, ops.PRelu, ops.Elu, ops.Sigmoid, ops.Tanh, ops.Swish, ops.Abs),
    *(ops.Power, ops.Exp, ops.Log, ops.Softplus, ops.Threshold, ops.Clip, ops.Sum, ops.Product),
    *(ops.Maximum, ops.QuantizeActivation, ops.TernarizeActivation, ops.BinarizeActivation),
)


def set_batch(net: caffe.Net, length: int) -> None:
    """Give a net another batch, and all its blobs their shapes for that.

    Raises:
        DeployError: a layer does not take it.
    """
    try:
        for name in net.inputs:
            net.blobs[name].reshape(length, *net.blobs[name].data.shape[1:])
        net.reshape()
    except caffe.CaffeError as error:
        raise DeployError(f"the net does not take a batch of {length}: {error}") from error


def what_fixes_batch(graph: Graph) -> str | None:
    """What says of the graph why its batch must be that of the prototxt; None: nothing does."""
    firsts = {name: graph.shapes[name][:1] for name in graph.inputs}
    if len(set(firsts.values())) != 1 or () in firsts.values():
        return f"the inputs {', '.join(firsts)} have no first axis in common"
    for node in graph.nodes:
        if why := _why(node, graph):
            return f"layer {node.name!r} ({node.label}) {why}"
    return None


def _why(node: Node, graph: Graph) -> str:
    shapes = [graph.shapes[name] for name in node.inputs]
    return why_fixed(node.op, shapes)


@singledispatch
def why_fixed(op: ops.Op, _: Sequence[Shape]) -> str:
    """What an operation does to axis 0 of its inputs, by their shapes; "" if it lets it be."""
    return "" if isinstance(op, _BY_EXAMPLE) else "does not treat each example by itself"


@why_fixed.register(ops.Concat)
@why_fixed.register(ops.Slice)
@why_fixed.register(ops.Tile)
@why_fixed.register(ops.Softmax)
@why_fixed.register(ops.InnerProduct)
@why_fixed.register(ops.Reduction)
def _(op: ops.Concat, _: Sequence[Shape]) -> str:
    return "" if op.axis > 0 else "works along axis 0"


@why_fixed.register(ops.ArgMax)
def _(op: ops.ArgMax, _: Sequence[Shape]) -> str:
    return "works along axis 0" if op.axis == 0 else ""


@why_fixed.register(ops.Mvn)
def _(op: ops.Mvn, _: Sequence[Shape]) -> str:
    return "takes means over axis 0" if 0 in op.axes else ""


@why_fixed.register(ops.Affine)
def _(op: ops.Affine, shapes: Sequence[Shape]) -> str:
    (x,) = shapes
    for values in (op.scale, op.shift):
        if values.ndim == len(x) and values.shape[0] > 1:
            return "has factors of its own for each place on axis 0"
    return ""


@why_fixed.register(ops.Reshape)
def _(op: ops.Reshape, _: Sequence[Shape]) -> str:
    return "" if op.keeps_first else "gives axis 0 a number of its own"


@why_fixed.register(ops.Crop)
def _(op: ops.Crop, shapes: Sequence[Shape]) -> str:
    return "" if len(op.sizes) > 1 and op.sizes[0] == shapes[0][0] else "cuts axis 0"


@why_fixed.register(ops.Broadcast)
def _(op: ops.Broadcast, _: Sequence[Shape]) -> str:
    return "" if op.axis == 0 else "reads a second input without examples"


@why_fixed.register(ops.Recurrent)
def _(_: ops.Recurrent, __: Sequence[Shape]) -> str:
    return "has time steps along axis 0"
