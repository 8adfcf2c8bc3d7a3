"""Which parameters of a net the ranks average: gradients of those that learn, and statistics."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import caffe
    from numpy.typing import NDArray

# Layers whose parameters follow the data in the forward pass, and have no gradient.
_WITH_STATISTICS = ("BatchNorm", "QuantizedActivation")


@dataclass(frozen=True)
class Learned:
    """The gradient of a parameter.

    Attributes:
        name: LAYER/INDEX of the first layer that has the parameter.
        gradient: a flat view of the blob's diff, float32.
        ready_after: the index of the layer after whose backward pass it is complete.
    """

    name: str
    gradient: NDArray[Any]
    ready_after: int


def learned(net: caffe.Net) -> list[Learned]:
    """The gradients of all parameters that learn, in the order in which backward completes them.

    A parameter that several layers share is there once: it is complete after the lowest of them.
    Those with a learning rate of 0 have no gradient.
    """
    found: dict[int, Learned] = {}
    for index, (layer, name) in enumerate(zip(net.layers, net._layer_names, strict=True)):
        specs = layer.param.param
        for i, blob in enumerate(layer.blobs):
            rate = specs[i].lr_mult if i < len(specs) else 1.0
            if rate == 0 or layer.type in _WITH_STATISTICS:
                continue
            gradient = blob.diff.reshape(-1)
            address = gradient.__array_interface__["data"][0]
            if gradient.size and address not in found:
                found[address] = Learned(f"{name}/{i}", gradient, index)
    return sorted(found.values(), key=lambda one: -one.ready_after)


def statistics(net: caffe.Net) -> list[NDArray[Any]]:
    """Flat views of the running averages of the net's layers, float32."""
    return [
        blob.data.reshape(-1)
        for layer in net.layers
        if layer.type in _WITH_STATISTICS
        for blob in layer.blobs
    ]


def all_parameters(net: caffe.Net) -> list[NDArray[Any]]:
    """Views of all parameters, shared ones once."""
    views = [blob.data for layer in net.layers for blob in layer.blobs]
    return list({view.__array_interface__["data"][0]: view for view in views if view.size}.values())


def checksum(net: caffe.Net) -> int:
    """The CRC-32 of all parameters."""
    check = 0
    for parameter in all_parameters(net):
        check = zlib.crc32(parameter.data, check)
    return check
