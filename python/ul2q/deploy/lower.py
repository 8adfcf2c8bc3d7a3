"""From a net and its weights to a graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from ul2q.deploy import ops
from ul2q.deploy.errors import DeployError
from ul2q.deploy.fold import fold as fold_graph
from ul2q.deploy.graph import Graph, Node
from ul2q.deploy.layers import LAYERS
from ul2q.deploy.layers.source import Source
from ul2q.deploy.quantized import QuantizedTensor
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import load_weights
from ul2q.nets.data_layers import included, net_state
from ul2q.nets.layer_types import float_type
from ul2q.nets.net_outputs import weights_not_finite
from ul2q.nets.prototxt import read_net
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caffe._caffe import Layer, QuantizedBlob

    from ul2q.deploy.ops import Shape
    from ul2q.util.paths import StrPath

_DEPLOY = "`ul2q deploy-net` leaves out what only training and testing need"


def lower(
    net: caffe.Net | StrPath,
    weights: StrPath | None = None,
    *,
    fold: bool = True,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """The graph of a net in phase TEST.

    Codes, scales and shifts are those that the layers compute with.

    Args:
        net: a net with its weights, or the prototxt of one that is deployed.
        weights: the .caffemodel or .caffemodel.h5 for a prototxt; the net's own for a net.
        fold: let weights and biases take up the BatchNorm, Scale and Bias layers behind them.
        outputs: the blobs that are asked for; None for those of the net that no layer reads.

    Raises:
        FileNotFoundError: a file is missing.
        PrototxtError: the prototxt is faulty.
        WeightsError: the weights do not belong to the net, or hold NaN or infinity.
        DeployError: a layer cannot be lowered.
        caffe.CaffeError: Caffe refuses the net.
    """
    if isinstance(net, caffe.Net):
        if weights is not None:
            raise DeployError("the net has its weights; give weights with a prototxt only")
        if layer := weights_not_finite(net):
            raise DeployError(f"the weights of layer {layer!r} hold NaN or infinity")
        return graph_of(net, fold=fold, outputs=outputs)
    return graph_of(build(net, weights), fold=fold, outputs=outputs)


def build(path: StrPath, weights: StrPath | None) -> caffe.Net:
    """The net of a prototxt in phase TEST with its weights; it raises what `lower` raises."""
    path = Path(path)
    param = read_net(path)
    state = net_state(param, caffe.TEST)
    for layer in param.layer:
        if included(layer, state):
            _check_type(layer.name, layer.type, is_source=not layer.bottom, where=f"{path}: ")
    if weights is None:
        raise DeployError(f"{path} has no weights; give the .caffemodel of the trained net")
    weights = Path(weights)
    check_weights_file(weights)
    caffe.set_mode_cpu()
    net = caffe.Net.from_proto(param, caffe.TEST)
    load_weights(net, weights, complete=True, net_name=str(path))
    return net


def graph_of(net: caffe.Net, *, fold: bool, outputs: Sequence[str] | None = None) -> Graph:
    """The graph of a net whose weights are finite; the rest is as of `lower`."""
    graph = _graph(net, net.outputs if outputs is None else outputs)
    return fold_graph(graph) if fold else graph


def _check_type(name: str, kind: str, *, is_source: bool, where: str = "") -> None:
    """Refuse a layer of a type that no graph has."""
    if kind == "Input" or float_type(kind) in LAYERS:
        return
    told = f"{where}layer {name!r} ({kind})"
    if kind == "Python":
        raise DeployError(f"{told}: what it computes is known to Python alone")
    if kind in ("Filter", "BatchReindex"):
        raise DeployError(f"{told}: the shape of its output follows from the data")
    if kind == "Accuracy" or kind.endswith("Loss") or is_source:
        raise DeployError(f"{told} cannot be exported; {_DEPLOY}")
    known = near_names(kind, LAYERS)
    raise DeployError(f"{told}: layers of this type cannot be exported{known}")


class _Tensors:
    """Names for what layers make: a blob's own for its last version, others in between."""

    def __init__(self, layers: list[Source], tops: list[list[str]]) -> None:
        self._last: dict[str, int] = {}
        for index, (layer, names) in enumerate(zip(layers, tops, strict=True)):
            if layer.type not in ("Split", "Dropout"):
                self._last.update(dict.fromkeys(names, index))
        self.shapes: dict[str, Shape] = {}
        self.current: dict[str, str] = {}

    def make(self, blob: str, index: int, layer: str, shape: Shape) -> str:
        """A tensor that is from now on the blob."""
        name = blob if self._last.get(blob) == index else f"{blob}/{layer}"
        self.current[blob] = name
        self.shapes[name] = shape
        return name


def _graph(net: caffe.Net, asked: Sequence[str]) -> Graph:
    # Caffe takes layers of one name; what a layer reads and makes is told by name.
    for name, count in Counter(net._layer_names).items():
        if count > 1:
            raise DeployError(f"{count} layers are named {name!r}; each must have its own name")
    layers = [_source(net, index) for index in range(len(net.layers))]
    tops = [list(net.top_names[layer.name]) for layer in layers]
    tensors = _Tensors(layers, tops)
    nodes: list[Node] = []
    inputs: list[str] = []
    for index, (layer, names) in enumerate(zip(layers, tops, strict=True)):
        bottoms = [tensors.current[blob] for blob in net.bottom_names[layer.name]]
        if layer.type == "Input":
            made = [tensors.make(*pair) for pair in _pairs(names, index, layer)]
            inputs += made
            continue
        chain = LAYERS[layer.type](layer)
        if not chain:
            tensors.current.update((blob, bottoms[0]) for blob in names)
        read = tuple(bottoms)
        for place, op in enumerate(chain):
            is_last = place == len(chain) - 1
            name = layer.name if place == 0 else f"{layer.name}/{place}"
            if is_last:
                made = [tensors.make(*pair) for pair in _pairs(names, index, layer)]
            else:
                made = [f"{names[0]}/{name}"]
                tensors.shapes[made[0]] = layer.tops[0]
            nodes.append(Node(name, op, read, tuple(made), layer.param.type))
            read = tuple(made)
    if missing := [blob for blob in asked if blob not in tensors.current]:
        known = near_names(missing[0], tensors.current)
        raise DeployError(f"there is no blob {missing[0]!r} to ask for{known}")
    outputs = [_output(blob, tensors, nodes) for blob in asked]
    return Graph(net.name or "net", tuple(inputs), tuple(outputs), tuple(nodes), tensors.shapes)


def _pairs(names: list[str], index: int, layer: Source) -> list[tuple[str, int, str, Shape]]:
    return [(blob, index, layer.name, shape) for blob, shape in zip(names, layer.tops, strict=True)]


def _output(blob: str, tensors: _Tensors, nodes: list[Node]) -> str:
    """The tensor of an output, by the blob's name, be it only another name of a tensor."""
    name = tensors.current[blob]
    if name == blob:
        return blob
    shape = tensors.shapes[name]
    tensors.shapes[blob] = shape
    nodes.append(Node(blob, ops.Reshape(shape, keeps_first=True), (name,), (blob,), "Reshape"))
    return blob


def _source(net: caffe.Net, index: int) -> Source:
    layer, name = net.layers[index], net._layer_names[index]
    _check_type(name, layer.type, is_source=not net.bottom_names[name])
    bottoms, tops = (
        tuple(tuple(net.blobs[blob].data.shape) for blob in names[name])
        for names in (net.bottom_names, net.top_names)
    )
    return Source(
        name,
        float_type(layer.type),
        layer.param if layer.type != "Split" else caffe_pb2.LayerParameter(name=name, type="Split"),
        bottoms,
        tops,
        tuple(np.array(blob.data, np.float32) for blob in layer.blobs),
        _quantized(layer),
    )


def _quantized(layer: Layer) -> dict[int, QuantizedTensor]:
    """The blobs that a layer quantises, from one call of its code."""
    options = layer.param.quantization_param
    return {
        blob.index: _tensor(blob, options.weight if blob.field == "weight" else options.bias)
        for blob in layer.quantized_blobs()
    }


def _tensor(blob: QuantizedBlob, options: caffe_pb2.QuantizerParameter) -> QuantizedTensor:
    method = caffe_pb2.QuantizerParameter.Method.Name(options.method).lower()
    axes = blob.codes.ndim
    scale, shift = (
        np.reshape(np.asarray(fit, np.float32), [1] * axes if np.ndim(fit) == 0 else np.shape(fit))
        for fit in (blob.scale, blob.shift)
    )
    return QuantizedTensor(
        blob.codes,
        scale,
        shift,
        blob.bits,
        blob.lowest_code,
        blob.highest_code,
        0.5 if method == "ul2q" else 0.0,
        method,
    )
