"""Nets with parameters as training might leave them, and how far two results lie apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q import NetQuantization, gather_activation_averages, prototxt_path, quantize_net

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy import Graph

BUNDLED = ("lenet", "cifarnet", "vgg7_64", "resnet18")


def fill(net: Any, seed: int = 0) -> Any:
    """Give the parameters values that keep activations at the size of the data."""
    rng = np.random.default_rng(seed)
    for name, blobs in net.params.items():
        kind = net.layer_dict[name].type
        for index, blob in enumerate(blobs):
            shape = blob.data.shape
            if kind == "BatchNorm":
                # Sums of averages and their weight, as Caffe keeps them.
                values = (rng.normal(size=shape), rng.uniform(0.5, 2, shape) * 3, 3.0)[index]
            elif kind in ("Scale", "PReLU"):
                values = rng.normal(size=shape)
            elif kind == "QuantizedActivation":
                continue
            else:
                fan_in = max(1, int(np.prod(shape[1:]))) if len(shape) > 1 else 10
                values = rng.normal(size=shape) * np.sqrt(2 / fan_in)
            blob.data[...] = values
    return net


def inputs_of(net: Any, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Normally distributed values for each input."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=net.blobs[name].data.shape).astype(np.float32) for name in net.inputs
    }


def bundled(name: str, *, calibrated: bool = True, batch: int = 1, **options: Any) -> Any:
    """A net of the package, quantised and filled; with activations, averages are gathered."""
    result = quantize_net(
        prototxt_path(f"{name}/deploy_float.prototxt"), NetQuantization(**options)
    )
    text = result.text
    if batch != 1:
        text = text.replace("shape { dim: 1 ", f"shape {{ dim: {batch} ", 1)
    net = fill(caffe.Net.from_proto(text, caffe.TEST))
    if calibrated and options.get("activation_bits"):
        gather_activation_averages(net, [inputs_of(net)])
    return net


def all_blobs(graph: Graph) -> Graph:
    """The graph with all of its tensors as outputs."""
    made = [name for node in graph.nodes for name in node.outputs]
    return replace(graph, outputs=tuple(made))


def distance(got: NDArray[Any], want: NDArray[Any]) -> float:
    """The largest difference as a share of the largest value."""
    assert got.shape == want.shape
    return float(
        np.max(np.abs(got - want), initial=0) / max(np.max(np.abs(want), initial=0), 1e-30)
    )


def assert_near(
    got: Mapping[str, NDArray[Any]], want: Mapping[str, NDArray[Any]], bound: float
) -> None:
    """Assert that all arrays of `want` are in `got` and lie within the bound."""
    assert set(want) <= set(got)
    far = {name: d for name in want if not (d := distance(got[name], want[name])) <= bound}
    assert not far
