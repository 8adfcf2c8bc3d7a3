"""How far a net in integers agrees with Caffe's float computation of the same net."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy import Graph, Node, lower
from ul2q.deploy.ops import QuantizeActivation
from ul2q.runtime.translation import compile as compile_net

if TYPE_CHECKING:
    from collections.abc import Mapping

    import caffe
    from numpy.typing import NDArray


@dataclass
class Agreement:
    """Counts over images.

    Attributes:
        images: how many were compared.
        same_class: of how many both say the same class.
        codes: of quantised activations.
        different_alone: which differ where each layer reads Caffe's codes.
        different: which differ where the runtime reads its own, so that one that differs may
            bring on others.
        furthest_alone: by how many levels at most, of `different_alone`.
    """

    images: int = 0
    same_class: int = 0
    codes: int = 0
    different_alone: int = 0
    different: int = 0
    furthest_alone: int = 0


class AgreementCheck:
    """Runs images through a net in Caffe and in integers, and counts what differs."""

    def __init__(self, net: caffe.Net, scores: str) -> None:
        """Compile the net.

        Args:
            net: without data layers, and with its weights and averages.
            scores: the blob by which classes are compared.

        Raises:
            DeployError, ModelError: the runtime does not take the net.
        """
        self._net, self._scores = net, scores
        graph = lower(net, outputs=(scores,))
        self._steps = {
            node.outputs[0]: node.op
            for node in graph.nodes
            if isinstance(node.op, QuantizeActivation)
        }
        self._whole = compile_net(replace(graph, outputs=(*self._steps, scores)))
        self._alone = compile_net(_given_codes(graph, self._steps))
        self.counts = Agreement()

    def add(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Compare a batch.

        Returns:
            What the runtime's layers give where each reads Caffe's codes: its codes, as values, and
            the scores.
        """
        for name, values in inputs.items():
            self._net.blobs[name].reshape(*values.shape)
        self._net.reshape()
        self._net.forward(**inputs)
        expected = {blob: self._net.blobs[blob].data.copy() for blob in self._steps}
        scores = self._net.blobs[self._scores].data.reshape(len(next(iter(inputs.values()))), -1)
        whole = self._whole(inputs)
        given = {f"{blob}/given": values for blob, values in expected.items()}
        alone = self._alone({**inputs, **given})
        counts = self.counts
        counts.images += len(scores)
        classes = whole[self._scores].reshape(scores.shape).argmax(axis=1)
        counts.same_class += int((classes == scores.argmax(axis=1)).sum())
        for blob, op in self._steps.items():
            codes = _codes(expected[blob], op)
            apart = np.abs(_codes(alone[blob], op) - codes)
            counts.codes += codes.size
            counts.different_alone += int(np.count_nonzero(apart))
            counts.different += int(np.count_nonzero(_codes(whole[blob], op) != codes))
            counts.furthest_alone = max(counts.furthest_alone, int(apart.max()))
        return alone


def _codes(values: NDArray[np.float32], op: QuantizeActivation) -> NDArray[np.float32]:
    codes: NDArray[np.float32] = np.rint((values - op.shift) / op.scale + op.offset)
    return codes


def _given_codes(graph: Graph, steps: Mapping[str, QuantizeActivation]) -> Graph:
    """The graph with each quantised activation given, so that no layer reads another's codes."""
    nodes, shapes, given = [], dict(graph.shapes), []
    for node in graph.nodes:
        inputs = tuple(f"{name}/q" if name in steps else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        for name in set(node.outputs) & set(steps):
            given.append(f"{name}/given")
            shapes[f"{name}/given"] = shapes[f"{name}/q"] = shapes[name]
            nodes.append(Node(f"{name}/q", steps[name], (given[-1],), (f"{name}/q",), "given"))
    return replace(
        graph,
        inputs=(*graph.inputs, *given),
        outputs=(*steps, *graph.outputs),
        nodes=tuple(nodes),
        shapes=shapes,
    )
