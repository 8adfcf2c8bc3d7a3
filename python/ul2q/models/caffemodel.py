"""The blobs of a caffemodel as arrays, without the net that it was trained in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from caffe.proto import caffe_pb2

from ul2q.models.weights import WeightsError, check_weights_file, read_caffemodel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Types of layers with weights before V1 (2014), when a layer stood inside a connection.
_V0_TYPES = {"conv": "Convolution", "innerproduct": "InnerProduct"}


@dataclass(frozen=True)
class ModelBlob:
    """A blob of a layer.

    Attributes:
        layer: the layer's name.
        type: the layer's type, by today's name if the file is of an old format.
        index: in the layer's blobs; 0 is the weights, 1 the biases.
        values: float32, or float64 if it was stored so.
    """

    layer: str
    type: str
    index: int
    values: NDArray[Any]

    @property
    def name(self) -> str:
        """E.g. "conv1[0]"."""
        return f"{self.layer}[{self.index}]"


def read_blobs(path: Path) -> list[ModelBlob]:
    """All blobs of a caffemodel of any Caffe's, in the file's order.

    Of V0 (2013), V1 (2014) and today's format; fields that BVLC's Caffe does not know are skipped.

    Args:
        path: a binary NetParameter, .caffemodel.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, no caffemodel, or without blobs.
    """
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(
            f"{path} is HDF5: make a .caffemodel of it with its net, "
            "caffe.Net(net, caffe.TEST, weights=...).save(...)"
        )
    model = read_caffemodel(path)
    blobs = [
        ModelBlob(name, kind, i, _values(path, f"{name}[{i}]", blob))
        for name, kind, held in _layers(model)
        for i, blob in enumerate(held)
    ]
    if not blobs:
        raise WeightsError(f"{path} holds no weights; give a .caffemodel")
    return blobs


def _layers(
    model: caffe_pb2.NetParameter,
) -> Iterator[tuple[str, str, Sequence[caffe_pb2.BlobProto]]]:
    """Name, type and blobs."""
    for layer in model.layer:
        yield layer.name, layer.type, layer.blobs
    for old in model.layers:
        if old.HasField("layer"):
            v0 = old.layer
            yield v0.name, _V0_TYPES.get(v0.type, v0.type), v0.blobs
        else:
            # INNER_PRODUCT became InnerProduct; so did all of V1's types that have blobs.
            kind = caffe_pb2.V1LayerParameter.LayerType.Name(old.type)
            yield old.name, kind.title().replace("_", ""), old.blobs


def _values(path: Path, name: str, blob: caffe_pb2.BlobProto) -> NDArray[Any]:
    """As Caffe's Blob::FromProto reads them."""
    legacy = ("num", "channels", "height", "width")
    if any(map(blob.HasField, legacy)):
        shape = tuple(int(getattr(blob, field)) for field in legacy)
    else:
        shape = tuple(int(size) for size in blob.shape.dim)
    stored = blob.double_data or blob.data
    dtype = np.float64 if blob.double_data else np.float32
    values = np.fromiter(stored, dtype, count=len(stored))
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise WeightsError(
            f"{path} is damaged: blob {name} has {values.size} values for the shape {shape}"
        )
    return values.reshape(shape)
