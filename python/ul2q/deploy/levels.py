"""How right a runtime is where activations are rounded to levels.

A value within a rounding of the border between two levels may take either, and one that takes the
other moves all that follow. So each tensor of levels is held against the values that follow from
the levels before it, as the runtime has them: all is right where each value lies, but for a small
part of the largest, among those that its level stands for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.ops import BinarizeActivation, QuantizeActivation, TernarizeActivation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from ul2q.deploy.graph import Graph

ROUNDS = (QuantizeActivation, TernarizeActivation, BinarizeActivation)


def has_levels(graph: Graph) -> bool:
    """Whether activations are rounded to levels."""
    return any(isinstance(node.op, ROUNDS) for node in graph.nodes)


def with_levels(graph: Graph) -> Graph:
    """The graph with the levels of its activations as further outputs."""
    levels = [node.outputs[0] for node in graph.nodes if isinstance(node.op, ROUNDS)]
    return replace(graph, outputs=tuple(dict.fromkeys([*graph.outputs, *levels])))


def error_given_levels(
    graph: Graph, inputs: Mapping[str, ArrayLike], found: Mapping[str, NDArray[Any]]
) -> float:
    """The largest error in what a runtime computes from its own levels.

    Args:
        graph: of `with_levels`.
        inputs: an array for each input, of its shape.
        found: what the runtime gave for the graph's outputs.

    Returns:
        The largest distance of a value from those that its level stands for, or of an output from
        what it should be, as a share of the largest value of the tensor.
    """
    values = {name: np.asarray(inputs[name], np.float64) for name in graph.inputs}
    errors = [0.0]
    for node in graph.nodes:
        (name, *_), op = node.outputs, node.op
        if isinstance(op, ROUNDS):
            (x,) = (values[name] for name in node.inputs)
            levels = np.asarray(found[name], np.float64)
            values[name] = levels
            if levels.shape != x.shape:
                return float("inf")
            errors.append(_share(op.distance(x, levels), x))
        else:
            made = op.run(*(values[name] for name in node.inputs))
            values.update(zip(node.outputs, made, strict=True))
    for name in graph.outputs:
        if found[name].shape != values[name].shape:
            return float("inf")
        errors.append(_share(np.abs(found[name] - values[name]), values[name]))
    worst = max(errors)
    return worst if np.all(np.isfinite(errors)) else float("inf")


def _share(distances: NDArray[Any], values: NDArray[Any]) -> float:
    largest = max(float(np.max(np.abs(values), initial=0)), 1e-37)
    return float(np.max(distances, initial=0)) / largest
