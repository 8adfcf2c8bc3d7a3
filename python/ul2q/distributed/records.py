"""What each rank reads: the batch, and layers that do not share their records out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets import data_layers
from ul2q.nets.data_layers import included

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

_SHARE = {"Data", "HDF5Data"}  # rank r of n reads the records r, r + n, r + 2 n and on
_RANDOM = {"WindowData"}  # and each rank draws its own
_SAME = {"MemoryData", "Input"}


def batch_size(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> int | None:
    """The batch of a net's first Data layer; None if it has none."""
    layers = data_layers.data_layers(net, state)
    return layers[0].data_param.batch_size if layers else None


def not_shared(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> list[str]:
    """For each layer whose records the ranks do not share out: what they read, and the remedy."""
    told = []
    for layer in net.layer:
        if layer.bottom or not included(layer, state) or layer.type in _SHARE | _RANDOM:
            continue
        if layer.type == "ImageData":
            if not layer.image_data_param.shuffle:
                told.append(
                    f"layer {layer.name!r}: ImageData is not shared out, and each rank reads the "
                    "same images: set shuffle: true, or make an LMDB of them"
                )
        elif layer.type in _SAME or layer.type == "Python":
            told.append(
                f"layer {layer.name!r}: {layer.type} is not shared out: each rank has what the "
                "layer gives it; caffe.solver_rank() says which one it is"
            )
    return told
