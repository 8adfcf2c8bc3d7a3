"""The package's nets in integers, against Caffe's float computation of the same nets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ul2q
from tests.deploy.trained import bundled, inputs_of
from ul2q.deploy import Graph, Node, lower
from ul2q.deploy.ops import QuantizeActivation

NETS = ("lenet", "cifarnet", "vgg7_64", "resnet18")


def quantised(graph: Graph) -> dict[str, QuantizeActivation]:
    """The operations that make codes, by their output."""
    return {
        node.outputs[0]: node.op for node in graph.nodes if isinstance(node.op, QuantizeActivation)
    }


def trained(name: str, bits: int, **options: Any) -> Any:
    batch = 1 if name == "resnet18" else 4
    return bundled(name, batch=batch, weight_bits=2, activation_bits=bits, last_bits=8, **options)


def fed(graph: Graph, steps: dict[str, QuantizeActivation]) -> Graph:
    """The graph with each quantised activation given, so that no layer reads another's codes."""
    nodes, shapes, given = [], dict(graph.shapes), []
    for node in graph.nodes:
        inputs = tuple(f"{name}/q" if name in steps else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        for name in set(node.outputs) & set(steps):
            given.append(f"{name}/given")
            shapes[f"{name}/given"] = shapes[f"{name}/q"] = shapes[name]
            nodes.append(Node(f"{name}/q", steps[name], (given[-1],), (f"{name}/q",), "given"))
    outputs = (*steps, *graph.outputs)
    return replace(
        graph, inputs=(*graph.inputs, *given), outputs=outputs, nodes=tuple(nodes), shapes=shapes
    )


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_those_of_the_float_net(name: str, bits: int) -> None:
    """But where a value lies within a rounding of a border; each layer reads Caffe's own codes."""
    net = trained(name, bits)
    values = inputs_of(net)
    net.forward(**values)
    graph = lower(net)
    steps = quantised(graph)
    given = {f"{blob}/given": net.blobs[blob].data.copy() for blob in steps}
    got = ul2q.compile(fed(graph, steps))(values | given)
    different = count = 0
    for blob, op in steps.items():
        codes, expected = (
            np.rint((a - op.shift) / op.scale + op.offset)
            for a in (got[blob], net.blobs[blob].data)
        )
        assert np.abs(codes - expected).max() <= 1
        different += int(np.count_nonzero(codes != expected))
        count += codes.size
    assert different / count <= 1e-4
    for output in graph.outputs:
        np.testing.assert_allclose(got[output], net.blobs[output].data, atol=1e-5)


@pytest.mark.parametrize("name", NETS[:3])
@pytest.mark.parametrize(
    "options",
    [
        {"shift": "zero"},
        {"granularity": "channel"},
        {"method": "ternary", "weight_bits": None},
        {"method": "binary", "weight_bits": None},
        {"weight_bits": 3},
        {"weight_bits": 8},
    ],
    ids=str,
)
def test_every_kind_of_weights(name: str, options: dict[str, Any]) -> None:
    net = bundled(name, batch=2, **{"weight_bits": 2, "activation_bits": 4, **options})
    values = inputs_of(net)
    net.forward(**values)
    got = ul2q.compile(net)(values)
    for output, array in got.items():
        np.testing.assert_allclose(array, net.blobs[output].data, atol=0.05)


@pytest.mark.parametrize("name", NETS[:3])
def test_quantised_layers_compute_in_integers(name: str) -> None:
    net = trained(name, 4)
    model = ul2q.compile(net)
    in_integers = [step for step in model.steps if " of codes" in step and "pooling" not in step]
    quantised_layers = [layer for layer in net.layers if layer.type.startswith("Quantized")]
    weights = [layer for layer in quantised_layers if layer.type != "QuantizedActivation"]
    assert len(in_integers) == len(weights) - 1  # the first layer reads pixels


def test_any_batch_gives_the_same() -> None:
    net = trained("lenet", 8)
    model = ul2q.compile(net)
    x = np.random.default_rng(3).normal(size=(37, 1, 28, 28)).astype(np.float32)
    (whole,) = model(x).values()
    for size in (1, 5, 36):
        (part,) = model(x[:size]).values()
        np.testing.assert_array_equal(part, whole[:size])
    (none,) = model(x[:0]).values()
    assert none.shape == (0, 10)


def test_threads_give_the_same() -> None:
    net = trained("cifarnet", 4)
    model = ul2q.compile(net)
    x = np.random.default_rng(3).normal(size=(9, 3, 32, 32)).astype(np.float32)
    (one,) = model(x, threads=1).values()
    for threads in (2, 3):
        (many,) = model(x, threads=threads).values()
        np.testing.assert_array_equal(many, one)
        (alone,) = model(x[:1], threads=threads).values()
        np.testing.assert_array_equal(alone, one[:1])
