"""How many multiply-adds the layers of a net take for one example."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import caffe
import lmdb
from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import data_layers, net_state
from ul2q.nets.deploy import deploy_net
from ul2q.nets.layer_types import WEIGHT_LAYERS, float_type
from ul2q.nets.prototxt import PrototxtError, parse_net
from ul2q.nets.prototxt_text import Document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def multiply_adds(net: caffe.Net) -> dict[str, int]:
    """The multiply-adds of each layer with weights, for one example.

    One for each weight and each place where it is applied: a convolution applies its weights at
    each place of its output, a deconvolution at each of its input, an inner product once for each
    vector, a recurrent layer once for each time step. An Embed layer looks its weights up. What
    other layers compute, such as batch norm, is not counted; nor are biases.

    Args:
        net: the net as it is built; one example is its batch divided by the first extent of the
            net's first blob.
    """
    batch = max(1, _first_extent(net))
    costs = {}
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        kind = float_type(layer.type)
        if kind in WEIGHT_LAYERS:
            bottoms, tops = ([_shape(net, blob) for blob in names[name]]
                             for names in (net.bottom_names, net.top_names))  # fmt: skip
            weights = [tuple(blob.shape) for blob in net.params[name]]
            costs[str(name)] = _layer(kind, bottoms, tops, weights) // batch
    return costs


def net_for_one_example(path: Path) -> caffe.Net:
    """A net in phase TEST as `multiply_adds` takes it, without labels, losses and databases.

    The shape of the data is that of the net's Input layers, or of the first record of the LMDB
    that it reads.

    Args:
        path: the net's prototxt, of deployment or of training and testing.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no net, or does not tell the shape of its data, and the LMDB is not
            there.
        caffe.CaffeError: Caffe refuses the net.
    """
    document = Document.read(path)
    param = parse_net(document.source, str(path))
    if not param.input and any(not layer.bottom for layer in param.layer):
        try:
            param = parse_net(deploy_net(document, _record_shapes(param)), str(path))
        except PrototxtError as error:
            if "does not tell the shape" not in str(error):
                raise
            raise PrototxtError(
                f"{path}: its data, and with it the multiply-adds, are not known: import the data "
                "where the net reads them, or give the net that is deployed"
            ) from error
    caffe.set_mode_cpu()
    return caffe.Net.from_proto(param, caffe.TEST)


def _layer(
    kind: str,
    bottoms: Sequence[Sequence[int]],
    tops: Sequence[Sequence[int]],
    weights: Sequence[Sequence[int]],
) -> int:
    """The multiply-adds of a whole batch, given shapes."""
    if kind == "Embed":
        return 0
    if kind in ("LSTM", "RNN"):
        steps, streams = bottoms[0][:2]
        return steps * streams * sum(math.prod(one) for one in weights if len(one) > 1)
    count = math.prod(weights[0])
    if kind == "InnerProduct":
        # M vectors: the bottom is M × K, the top M × N, the weights K × N in either order.
        vectors = math.isqrt(math.prod(bottoms[0]) * math.prod(tops[0]) // count)
        return vectors * count
    # Weights are outputs × inputs / group × kernel; of a deconvolution, inputs × outputs / group.
    applied_to = bottoms if kind == "Deconvolution" else tops
    axes = len(weights[0]) - 2  # of the kernel
    return sum(count * math.prod(one) // one[len(one) - axes - 1] for one in applied_to)


def _shape(net: caffe.Net, blob: str) -> tuple[int, ...]:
    return tuple(net.blobs[blob].shape)


def _first_extent(net: caffe.Net) -> int:
    for blob in net.blobs.values():
        shape = tuple(blob.shape)
        return int(shape[0]) if shape else 1
    return 1


def _record_shapes(net: caffe_pb2.NetParameter) -> dict[str, tuple[int, ...]]:
    """The shapes that the net's Data layers put out, of those whose LMDB is there."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in data_layers(net, net_state(net, caffe_pb2.TEST)):
        options = layer.data_param
        try:
            record = _first_record(options.source)
        except lmdb.Error:
            continue
        if record.encoded:
            continue
        crop = layer.transform_param.crop_size
        size = (crop, crop) if crop else (record.height, record.width)
        shapes[layer.top[0]] = (record.channels, *size)
    return shapes


def _first_record(source: str) -> caffe_pb2.Datum:
    """The first Datum of an LMDB.

    Raises:
        lmdb.Error: there is none.
    """
    with (
        lmdb.open(source, readonly=True, lock=False, create=False) as environment,
        environment.begin() as transaction,
        transaction.cursor() as cursor,
    ):
        if not cursor.first():
            raise lmdb.NotFoundError(source)
        datum = caffe_pb2.Datum()
        datum.ParseFromString(cursor.value())
        return datum
