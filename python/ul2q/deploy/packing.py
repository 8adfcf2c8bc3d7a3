"""Trained nets as packed caffemodels: codes of a few bits, with the layers' scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.deploy.errors import DeployError
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.packed import PackedBlob, packed_blobs
from ul2q.models.weights import load_weights
from ul2q.nets.net_outputs import weights_not_finite
from ul2q.nets.prototxt import read_net
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class Packed:
    """A packed caffemodel.

    Attributes:
        content: of the file.
        blobs: those that are packed.
        left_float: the quantised blobs that are not: "conv1[0]", of weights that layers share
            without quantising them alike, or whose levels overflow.
    """

    content: bytes
    blobs: list[PackedBlob]
    left_float: list[str]


def pack(
    net: StrPath,
    weights: StrPath,
    output: StrPath,
    *,
    compress: bool = False,
    force: bool = False,
) -> Packed:
    """Write the weights of a trained net as a packed caffemodel, and read it back.

    Args:
        net: the prototxt, which says how the layers are quantised; its phase is TEST.
        weights: the .caffemodel or .caffemodel.h5.
        output: where to.
        compress: codes by zlib, where that saves 3 % of them.
        force: replace a file.

    Raises:
        FileNotFoundError: a file, or the output's folder, is missing.
        OutputExistsError: there is a file and `force` is not set.
        PrototxtError: the prototxt is faulty.
        WeightsError: the weights do not belong to the net, or hold NaN or infinity.
        DeployError: nothing in the net is quantised.
        caffe.CaffeError: Caffe refuses the net.
    """
    net, weights, output = Path(net), Path(weights), Path(output)
    refuse_existing(output, force=force)
    check_weights_file(weights)
    param = read_net(net)
    caffe.set_mode_cpu()
    built = caffe.Net.from_proto(param, caffe.TEST)
    load_weights(built, weights, complete=True, net_name=str(net))
    try:
        packed = packed_net(built, compress=compress)
    except DeployError as error:
        raise DeployError(f"{net}: {error}") from error
    _check(packed, built, caffe.Net.from_proto(param, caffe.TEST))
    write_file(output, packed.content, force=force)
    return packed


def packed_net(net: caffe.Net, *, compress: bool = False) -> Packed:
    """The packed caffemodel of a net's weights.

    Raises:
        WeightsError, DeployError: as for `pack`.
    """
    if layer := weights_not_finite(net):
        raise DeployError(f"the weights of layer {layer!r} hold NaN or infinity")
    content = caffe._caffe._packed_net(net, compress)
    blobs = packed_blobs(caffe_pb2.NetParameter.FromString(content))
    held = {(blob.layer, blob.index) for blob in blobs}
    left = [key for key, _ in _quantized(net) if key not in held]
    if not blobs:
        why = "share weights that they quantise otherwise" if left else "have no bits"
        raise DeployError(f"there is nothing to pack: its layers {why}")
    return Packed(content, blobs, [f"{layer}[{index}]" for layer, index in left])


def _check(packed: Packed, net: caffe.Net, other: caffe.Net) -> None:
    """Load what was packed into a net of the same layers, and compare bit by bit.

    Raises:
        DeployError: it is another net's.
    """
    other.copy_from(caffe_pb2.NetParameter.FromString(packed.content))
    for (key, values), (_, got) in zip(_quantized(net), _quantized(other), strict=True):
        if got.tobytes() != values.tobytes():
            raise DeployError(f"blob {key[1]} of layer {key[0]!r} is not packed exactly")


def _quantized(net: caffe.Net) -> Iterator[tuple[tuple[str, int], NDArray[np.float32]]]:
    """Layer and index of the blobs that are quantised, and the values that are computed with."""
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        for blob in layer.quantized_blobs():
            if blob.values.size:
                yield (name, blob.index), blob.values
