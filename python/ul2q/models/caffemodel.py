"""Read caffemodels: the message, its layers, and their blobs as arrays, without a net for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.models.binary_proto import read_message
from ul2q.util.input_file import require_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ul2q.util.paths import StrPath

_OLD_SHAPE = ("num", "channels", "height", "width")
# Types of layers with weights before V1 (2014), when a layer stood inside a connection.
_V0_TYPES = {"conv": "Convolution", "innerproduct": "InnerProduct"}


class WeightsError(UserError, ValueError):
    """A file that holds no weights, or none for the net."""


class ModelLayer(NamedTuple):
    """A layer of a caffemodel of any Caffe.

    Attributes:
        name: the layer's name.
        type: its type, by today's name if the file is of an old format.
        blobs: its weights and biases; may be none.
    """

    name: str
    type: str
    blobs: Sequence[caffe_pb2.BlobProto]


@dataclass(frozen=True)
class ModelBlob:
    """A blob of a layer of a caffemodel.

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


def check_weights_file(path: Path) -> None:
    """Refuse what is no weights file by its name.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is a solver state.
    """
    require_file(path, "a .caffemodel", "weights file")
    if path.name.endswith((".solverstate", ".solverstate.h5")):
        raise WeightsError(f"{path} is a solver state: give its .caffemodel as weights")
    if path.suffix == ".prototxt":
        raise WeightsError(
            f"{path} is a prototxt, no .caffemodel: give the weights of a trained net"
        )


def read_caffemodel(path: StrPath) -> caffe_pb2.NetParameter:
    """The message in a binary .caffemodel.

    Raises:
        WeightsError: the file is damaged or no .caffemodel.
    """
    path = Path(path)
    model = read_message(path, caffe_pb2.NetParameter, ".caffemodel", WeightsError)
    # protobuf gives a name that is no UTF-8 as it is, or refuses it, by its version.
    try:
        names: list[object] = [layer.name for layer in _layers(model)]
    except UnicodeDecodeError:
        names = [b""]
    if any(isinstance(name, bytes) for name in names):
        raise WeightsError(f"{path} is damaged: the name of a layer is not UTF-8")
    return model


def layers_with_blobs(model: caffe_pb2.NetParameter) -> Iterator[ModelLayer]:
    """The layers that hold weights, in the file's order.

    Args:
        model: of V0 (2013), V1 (2014) or today's format.
    """
    return (layer for layer in _layers(model) if layer.blobs)


def drop_layers(model: caffe_pb2.NetParameter, drop: Callable[[ModelLayer], bool]) -> None:
    """Remove layers from a message, those without blobs among them."""
    layers = list(_layers(model))
    stored = [(model.layer, i) for i in range(len(model.layer))]
    stored += [(model.layers, i) for i in range(len(model.layers))]
    for layer, (field, index) in reversed(list(zip(layers, stored, strict=True))):
        if drop(layer):
            del field[index]


def blob_shape(blob: caffe_pb2.BlobProto) -> tuple[int, ...]:
    """The shape as it is stored: four numbers in files of before 2015."""
    if any(map(blob.HasField, _OLD_SHAPE)):
        return tuple(int(getattr(blob, field)) for field in _OLD_SHAPE)
    return tuple(int(size) for size in blob.shape.dim)


def stored_count(blob: caffe_pb2.BlobProto) -> int:
    """How many values are stored; those of packed codes are as many as the shape says."""
    if blob.HasField("packed") and not (blob.data or blob.double_data):
        return math.prod(blob_shape(blob))
    return len(blob.data) or len(blob.double_data)


def read_blobs(path: StrPath) -> list[ModelBlob]:
    """All blobs of a caffemodel of any Caffe's, in the file's order.

    Of V0 (2013), V1 (2014) and today's format; fields that Caffe does not know are skipped. A
    packed blob has the values that its codes stand for.

    Args:
        path: a binary NetParameter, .caffemodel.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, no caffemodel, or without blobs.
    """
    path = Path(path)
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(
            f"{path} is HDF5: make a .caffemodel of it with its net, "
            "caffe.Net(net, caffe.TEST, weights=...).save(...)"
        )
    model = read_caffemodel(path)
    blobs = [
        ModelBlob(layer.name, layer.type, i, _values(path, f"{layer.name}[{i}]", blob))
        for layer in layers_with_blobs(model)
        for i, blob in enumerate(layer.blobs)
    ]
    if not blobs:
        raise WeightsError(f"{path} holds no weights; give a .caffemodel")
    return blobs


def _layers(model: caffe_pb2.NetParameter) -> Iterator[ModelLayer]:
    for layer in model.layer:
        yield ModelLayer(layer.name, layer.type, layer.blobs)
    for old in model.layers:
        if old.HasField("layer"):
            v0 = old.layer
            yield ModelLayer(v0.name, _V0_TYPES.get(v0.type, v0.type), v0.blobs)
        else:
            # INNER_PRODUCT became InnerProduct, and so on for all of V1's types that have blobs.
            kind = caffe_pb2.V1LayerParameter.LayerType.Name(old.type)
            yield ModelLayer(old.name, kind.title().replace("_", ""), old.blobs)


def _values(path: Path, name: str, blob: caffe_pb2.BlobProto) -> NDArray[Any]:
    """The blob's values, read as Caffe's Blob::FromProto reads them."""
    if blob.HasField("packed"):
        try:
            return caffe._caffe._blob_values(blob)
        except caffe.CaffeError as error:
            raise WeightsError(f"{path} is damaged: blob {name}: {error}") from error
    shape = blob_shape(blob)
    stored = blob.double_data or blob.data
    dtype = np.float64 if blob.double_data else np.float32
    values = np.fromiter(stored, dtype, count=len(stored))
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise WeightsError(
            f"{path} is damaged: blob {name} has {values.size} values for the shape {shape}"
        )
    return values.reshape(shape)
