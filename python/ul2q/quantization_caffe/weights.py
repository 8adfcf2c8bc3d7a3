"""Read a caffemodel of Quantization-caffe: its float weights, without their quantised copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import (
    WeightsError,
    check_weights_file,
    layers_with_blobs,
    read_caffemodel,
)
from ul2q.nets.layer_types import ACTIVATION

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class ImportedWeights:
    """A caffemodel without fields of the fork.

    Attributes:
        net: the float weights, as the fork trained them.
        saved_bytes: how much smaller its file is.
    """

    net: caffe_pb2.NetParameter
    saved_bytes: int


def import_weights(path: StrPath, net: caffe_pb2.NetParameter | None = None) -> ImportedWeights:
    """Read a caffemodel of the fork.

    Its quantised copies and their parameters are dropped; the float weights are all that a layer
    of ul2q needs.

    Args:
        path: a .caffemodel.
        net: its imported net; gives the layers of the same name their type and quantization_param.
            Its QuantizedActivation layers are added, with averages of no batches: in phase TEST
            they quantise each batch by itself, as the fork did.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is no .caffemodel, or holds no weights.
    """
    path = Path(path)
    weights = read_fork_weights(path)
    size = path.stat().st_size
    weights.DiscardUnknownFields()  # all of the fork's
    if net:
        _complete(weights, net)
    return ImportedWeights(weights, size - weights.ByteSize())


def read_fork_weights(path: Path) -> caffe_pb2.NetParameter:
    """A caffemodel of the fork as it is, its own fields among the unknown ones.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is no .caffemodel, or holds no weights.
    """
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(f"{path} holds float weights alone, there is nothing to import: use it")
    weights = read_caffemodel(path)
    if not any(layers_with_blobs(weights)):
        raise WeightsError(f"{path} holds no weights; give a .caffemodel")
    return weights


def _complete(weights: caffe_pb2.NetParameter, net: caffe_pb2.NetParameter) -> None:
    """Give the weights of a net what it has beyond those of the fork's net."""
    held = {layer.name: layer for layer in weights.layer}
    for layer in net.layer:
        if layer.type == ACTIVATION and layer.name not in held:
            added = held[layer.name] = weights.layer.add(name=layer.name, type=ACTIVATION)
            for size in (3, 1):  # scale, shift and threshold; the weight of their averages
                added.blobs.add(shape=caffe_pb2.BlobShape(dim=[size]), data=[0.0] * size)
        if layer.HasField("quantization_param") and layer.name in held:
            held[layer.name].type = layer.type
            held[layer.name].quantization_param.CopyFrom(layer.quantization_param)
