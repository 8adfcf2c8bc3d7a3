"""What a net puts out: means over several batches, as Caffe's test reports them, and NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import caffe

WHAT_HELPS = "lower base_lr, or check data and fillers"  # where a net has diverged


def output_names(net: caffe.Net) -> list[str]:
    """A name for each number that the net puts out: `accuracy`, or `hits[0]`, `hits[1]` and on."""
    names = []
    for output in net.outputs:
        count = net.blobs[output].data.size
        names += [output] if count == 1 else [f"{output}[{i}]" for i in range(count)]
    return names


def mean_outputs(
    net: caffe.Net, iterations: int, *, after_batch: Callable[[], None] | None = None
) -> tuple[dict[str, float], float]:
    """Run forward passes and average what they put out.

    Args:
        net: a net that needs no input from outside.
        iterations: how many passes, at least 1.
        after_batch: called after each pass; what it raises ends the test.

    Returns:
        The mean of every number in the output blobs by its name in `output_names`, and the mean
        of the weighted loss. Source: Solver::Test in BVLC's solver.cpp.
    """
    loss = 0.0
    total = np.zeros(len(output_names(net)))
    for _ in range(iterations):
        net.forward()
        outputs = [net.blobs[output].data.ravel() for output in net.outputs]
        total += np.concatenate([np.empty(0), *outputs])  # a net may put out nothing
        loss += weighted_loss(net)
        if after_batch is not None:
            after_batch()
    means = (float(value) for value in total / iterations)
    return dict(zip(output_names(net), means, strict=True)), loss / iterations


def not_finite(outputs: Mapping[str, float]) -> str | None:
    """The first mean output that is NaN or infinite, as "'loss' is nan"; None if all are finite.

    Where one is not, an accuracy says nothing: scores that are NaN have no largest.
    """
    for name, value in outputs.items():
        if not math.isfinite(value):
            return f"{name!r} is {value}"
    return None


def at_layer_not_finite(net: caffe.Net) -> str:
    """Where the last pass was not finite first, as " at layer 'ip'"; "" if it was everywhere."""
    for layer, tops in net.top_names.items():
        if not all(np.isfinite(net.blobs[top].data).all() for top in tops):
            return f" at layer {layer!r}"
    return ""


def weights_not_finite(net: caffe.Net) -> str | None:
    """The name of the first layer with a parameter that is NaN or infinite; None without one."""
    for layer, blobs in net.params.items():
        if not all(np.isfinite(blob.data).all() for blob in blobs):
            return str(layer)
    return None


def weighted_loss(net: caffe.Net) -> float:
    """The loss of the last forward pass: Σ loss weight · blob over all blobs that have one."""
    weights: Mapping[str, float] = net.blob_loss_weights
    return sum(
        weight * float(net.blobs[name].data.sum()) for name, weight in weights.items() if weight
    )
