"""Where the channels of a net can be scaled without changing what it computes.

A layer with weights makes channels; ReLU, PReLU and pooling commute with a positive factor of each
channel; and the layers with weights that read the channels can take the factor back. What lies
between is a region.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ul2q.calibration.lockstep import IDENTITY
from ul2q.nets.layer_types import ACTIVATION, float_type

if TYPE_CHECKING:
    import caffe
    from caffe.proto import caffe_pb2

# Layers f with f(c x) = c f(x) for each factor c > 0 of a channel, and the same channels.
_HOMOGENEOUS = {"ReLU", "PReLU", "Dropout", "Split", "Flatten", ACTIVATION}
_WEIGHTED = {"Convolution", "InnerProduct"}


@dataclass
class Region:
    """A layer that makes channels, and the layers that read them.

    Attributes:
        producer: the index of the layer whose weights or scales make the channels.
        channels: how many.
        between: the indices of the layers that a factor passes through.
        readers: the indices of the layers that read the channels with weights.
    """

    producer: int
    channels: int
    between: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)


def find_regions(net: caffe.Net) -> list[Region]:
    """The regions of a net with its layers as built, in the order of their producers.

    Those with readers, whose channels nothing else reads and which are no outputs of the net.
    """
    regions: list[Region] = []
    owner: dict[int, Region] = {}  # by blob
    spoilt: set[int] = set()  # producers
    outputs = {index for index, name in enumerate(net._blob_names) if name in net.outputs}
    for index, layer in enumerate(net.layers):
        param = layer.param
        bottoms, tops = list(net._bottom_ids(index)), list(net._top_ids(index))
        found = [owner.get(one) for one in bottoms]
        if found and found[0] is not None and _is_homogeneous(param):
            found[0].between.append(index)
            owner.update(dict.fromkeys(tops, found[0]))
        else:
            mine = _makes_channels(net, index)
            reads = (
                mine is not None and param.type != "Scale" and float_type(param.type) in _WEIGHTED
            )
            for region in found:
                if region is None:
                    continue
                if reads and len(bottoms) == 1 and _can_read(net, index, region.channels):
                    region.readers.append(index)
                else:
                    spoilt.add(region.producer)
            for top in tops:
                owner.pop(top, None)
            if mine is not None and len(tops) == 1:
                owner[tops[0]] = mine
                regions.append(mine)
    spoilt |= {owner[one].producer for one in outputs if one in owner}
    return [one for one in regions if one.readers and one.producer not in spoilt]


def _is_homogeneous(param: caffe_pb2.LayerParameter) -> bool:
    if param.type == IDENTITY:
        power = param.power_param
        return (power.power, power.scale, power.shift) == (1, 1, 0)
    if param.type == "Pooling":
        pooling = param.pooling_param
        return pooling.pool in (pooling.MAX, pooling.AVE) and len(param.top) == 1
    if param.type == "Flatten":
        return (param.flatten_param.axis, param.flatten_param.end_axis) == (1, -1)
    return param.type in _HOMOGENEOUS


def _makes_channels(net: caffe.Net, index: int) -> Region | None:
    """The region that begins with a layer, if the layer can scale its channels."""
    layer = net.layers[index]
    param = layer.param
    if any(one.name for one in param.param):  # the parameters are another layer's, too
        return None
    kind = float_type(param.type)
    if kind == "Scale":
        options = param.scale_param
        if (options.axis, options.num_axes) != (1, 1) or len(param.bottom) != 1:
            return None
    elif kind not in _WEIGHTED or (
        kind == "InnerProduct"
        and (param.inner_product_param.axis != 1 or param.inner_product_param.transpose)
    ):
        return None
    return Region(index, int(layer.blobs[0].shape[0]))


def _can_read(net: caffe.Net, index: int, channels: int) -> bool:
    """Whether the weights of a layer are slices, each of which one channel meets."""
    layer = net.layers[index]
    if float_type(layer.type) == "InnerProduct":
        return int(layer.blobs[0].shape[1]) % channels == 0
    group = max(1, int(layer.param.convolution_param.group))
    return int(layer.blobs[0].shape[1]) * group == channels
