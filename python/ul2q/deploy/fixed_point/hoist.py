"""Let ReLU and rounding to levels stand right behind what computes.

Both keep the order of values: they give the same before a maximum of a window as behind it, and
before elements are moved. There, a convolution makes codes at once, and what is pooled and moved
is codes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ul2q.deploy.ops import (
    BinarizeActivation,
    Concat,
    Pooling,
    QuantizeActivation,
    Relu,
    Reshape,
    TernarizeActivation,
)

if TYPE_CHECKING:
    from ul2q.deploy.graph import Graph, Node

_ROUNDING = (QuantizeActivation, BinarizeActivation, TernarizeActivation)


def hoisted(graph: Graph) -> Graph:
    """A graph that computes the same, with these operations as far in front as they go."""
    while True:
        moved = _moved(graph)
        if moved is None:
            return graph
        graph = moved


def _moved(graph: Graph) -> Graph | None:
    """With one operation moved; None if none can be."""
    made_by = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    for index, node in enumerate(graph.nodes):
        if not (isinstance(node.op, _ROUNDING) or _keeps_order(node)):
            continue
        (between,) = node.inputs
        if between not in made_by or between in graph.outputs or len(graph.readers(between)) > 1:
            continue
        mover = graph.nodes[made_by[between]]
        if isinstance(mover.op, (Concat, Reshape)) or (
            isinstance(mover.op, Pooling) and mover.op.kind == "max"
        ):
            return _exchanged(graph, index, made_by[between])
    return None


def _keeps_order(node: Node) -> bool:
    return isinstance(node.op, Relu) and node.op.slope >= 0


def _exchanged(graph: Graph, index: int, before: int) -> Graph:
    node, mover = graph.nodes[index], graph.nodes[before]
    shapes = dict(graph.shapes)
    del shapes[node.inputs[0]]
    nodes = list(graph.nodes[:before])
    made: dict[str, str] = {}
    for place, name in enumerate(dict.fromkeys(mover.inputs)):
        made[name] = f"{node.outputs[0]}/{place}" if place else f"{node.outputs[0]}/before"
        shapes[made[name]] = shapes[name]
        own = f"{node.name}/{place}" if place else node.name
        nodes.append(replace(node, name=own, inputs=(name,), outputs=(made[name],)))
    inputs = tuple(made[name] for name in mover.inputs)
    nodes.append(replace(mover, inputs=inputs, outputs=node.outputs))
    nodes += graph.nodes[before + 1 : index] + graph.nodes[index + 1 :]
    return replace(graph, nodes=tuple(nodes), shapes=shapes)
