"""Fit the scales of a net's QuantizedActivation layers to what testing sees, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.nets.layer_types import ACTIVATION

if TYPE_CHECKING:
    from caffe._caffe import Blob, Layer
    from numpy.typing import ArrayLike

Batch = Mapping[str, "ArrayLike"]
"""Values for each input of a net, by its name, of the input's shape."""


@dataclass(frozen=True)
class ActivationAverage:
    """What a QuantizedActivation layer quantises with from now on.

    Attributes:
        layer: the name of the layer.
        scale: the average of its scale.
        shift: the average of its shift.
        threshold: the average of its threshold; 0 for a method without one.
        old_scale: the average that it had before; None if it had none.
    """

    layer: str
    scale: float
    shift: float
    threshold: float
    old_scale: float | None


def gather_activation_averages(
    net: caffe.Net, batches: int | Iterable[Batch]
) -> list[ActivationAverage]:
    """Gather the averages of a net's QuantizedActivation layers anew, as testing sees them.

    Forward passes in phase TEST do it, without dropout and with BatchNorm's averages: only the
    blobs of QuantizedActivation layers are other ones afterwards, and no random number is drawn.
    The layers forget the averages that they have, and average the fit of each batch as in
    training: with f = `moving_average_fraction`, the last batch counts most, the one before it f
    times as much, and so on. Each layer sees what those before it have quantised.

    Args:
        net: a net in phase TEST with its weights. That of a solver is a test net of its, after
            `solver.share_weights(net)`.
        batches: how many passes, for a net that reads data by itself; or the batches to give to its
            inputs, e.g. `({"data": x} for x in arrays)`.

    Returns:
        A row for each layer, in the net's order.

    Raises:
        ValueError: the net is in phase TRAIN or has no QuantizedActivation layer; there is no
            batch, or one does not fit the inputs. The averages are then as they were.
        caffe.CaffeError: a batch holds NaN or infinity. The averages are then as they were.
    """
    if net.phase != caffe.TEST:
        raise ValueError(
            "the net is in phase TRAIN, in which passes drop activations and move the averages of "
            "BatchNorm layers, too; build it in caffe.TEST"
        )
    layers = {
        name: layer
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.type == ACTIVATION
    }
    if not layers:
        raise ValueError(f"net {net.name!r} has no {ACTIVATION} layer whose scale could be fitted")
    before = _copies(net)
    try:
        for layer in layers.values():
            _set(layer.blobs, [0, 0])  # no averages, of no weight
            layer.gather_averages(True)
        _forward_all(net, batches)
    except BaseException:
        for name, layer in layers.items():
            _set(layer.blobs, before[name])
        raise
    finally:
        for layer in layers.values():
            layer.gather_averages(False)
        # A BatchNorm layer with `use_global_stats: false` averages in phase TEST, too.
        _restore(net, {name: blobs for name, blobs in before.items() if name not in layers})
    return [_row(name, layer, before[name]) for name, layer in layers.items()]


def _forward_all(net: caffe.Net, batches: int | Iterable[Batch]) -> None:
    """Run a pass for each batch.

    Raises:
        ValueError: there is none, or one does not fit the inputs.
    """
    passes = 0
    for batch in [{}] * batches if isinstance(batches, int) else batches:
        values = {name: np.asarray(array) for name, array in batch.items()}
        if values:
            given = {name: array.shape for name, array in values.items()}
            wanted = {name: net.blobs[name].data.shape for name in net.inputs}
            if given != wanted:
                raise ValueError(f"a batch has {_shapes(given)}; the net takes {_shapes(wanted)}")
        net.forward(**values)
        passes += 1
    if not passes:
        raise ValueError("there are no batches to gather averages from")


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """E.g. "'data' of 8 × 1 × 28 × 28"."""
    words = [f"{name!r} of {' × '.join(map(str, shape))}" for name, shape in shapes.items()]
    return ", ".join(words) or "no inputs"


def _copies(net: caffe.Net) -> dict[str, list[Any]]:
    """The parameters of each layer."""
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}


def _restore(net: caffe.Net, copies: Mapping[str, list[Any]]) -> None:
    """Write back what is no longer as in the copies."""
    for name, before in copies.items():
        for blob, values in zip(net.params[name], before, strict=True):
            if not np.array_equal(blob.data, values, equal_nan=True):
                blob.data[...] = values


def _set(blobs: Iterable[Blob], values: Iterable[Any]) -> None:
    for blob, value in zip(blobs, values, strict=True):
        blob.data[...] = value


def _row(name: str, layer: Layer, before: list[Any]) -> ActivationAverage:
    scale, shift, threshold = (float(value) for value in layer.blobs[0].data)
    had_averages = bool(before[1].any())
    return ActivationAverage(
        name, scale, shift, threshold, float(before[0][0]) if had_averages else None
    )
