"""Turn the prototxt of a net that trains and tests into that of the net which is deployed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import included, net_state
from ul2q.nets.input_shapes import input_shape, pixel_transform
from ul2q.nets.layer_fields import layer_fields
from ul2q.nets.new_names import NewNames
from ul2q.nets.prototxt import PrototxtError, parse_net
from ul2q.nets.prototxt_text import Document, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ul2q.nets.prototxt_text import Field
    from ul2q.util.paths import StrPath

# The losses that turn scores into probabilities before they compare, and the layer that does so.
_PROBABILITIES = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
_OF_LOSSES = ("loss_weight", "loss_param", "propagate_down")
_RULES = ("include", "exclude")


def deploy_net(net: StrPath | Document, shapes: Mapping[str, Sequence[int]] | None = None) -> str:
    """The prototxt of a net without what only training and testing need.

    The deployed net has the layers of phase TEST that its outputs need:

    - A data layer becomes an Input layer with the tops that are read, for one image. A comment in
      it says which mean and scale the data layer applied to the pixels, as the caller has to now.
      An Input layer stays as it is, without tops that nothing reads.
    - SoftmaxWithLoss becomes Softmax, SigmoidCrossEntropyLoss Sigmoid: a layer `prob`, or
      `<bottom>_prob` for each if there are several. Where the net has such a layer already, none
      is added.
    - Other losses, accuracies and what only they need, such as labels, are dropped, and so are
      layers of phase TRAIN.

    The order of the layers, comments outside of data layers, fillers, `param` and all other fields
    of the layers that stay are kept; `include`, `exclude` and `loss_weight` go.

    Args:
        net: the path of a prototxt, or `ul2q.nets.prototxt_text.Document(text)`.
        shapes: by blob, the shape of one example without the batch, e.g. `{"data": (3, 32, 32)}`;
            needed where the prototxt does not say it, as Data layers without `crop_size` do not.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no net that Caffe reads, or one in the format of 2013/14, or with
            `input` fields, or without layers that could be deployed; an input's shape is not
            known, or `shapes` names a blob that is no input. The message names layer and blob.
    """
    document = net if isinstance(net, Document) else Document.read(Path(net))
    layers = layer_fields(document)
    if old := document.root.get("input"):
        raise document.error(old.start, '`input` is an old field; write a layer of type "Input"')
    param = parse_net(document.source, document.name)
    deployed = _deployed(param, document.name)
    _edit(document, layers, param, deployed, dict(shapes or {}))
    return str(document)


def deployed_inputs(
    net: caffe_pb2.NetParameter, name: str
) -> list[tuple[caffe_pb2.LayerParameter, list[str]]]:
    """The layers that bring what the deployed net computes with, in order, and the tops it reads.

    Args:
        net: that trains and tests, with `layer` fields.
        name: of its file, for messages.

    Raises:
        PrototxtError: there is nothing to deploy.
    """
    return [(net.layer[index], tops) for index, tops in sorted(_deployed(net, name).inputs.items())]


@dataclass
class _Deployed:
    """What becomes of a net's layers, by their index; those that are not named here are dropped.

    Attributes:
        kept: layers that stay.
        inputs: layers that bring data, and which of their tops are read.
        probabilities: losses that become a layer of the type that is the value.
    """

    kept: list[int] = field(default_factory=list)
    inputs: dict[int, list[str]] = field(default_factory=dict)
    probabilities: dict[int, str] = field(default_factory=dict)


def _deployed(net: caffe_pb2.NetParameter, name: str) -> _Deployed:
    """Find what is needed, from the outputs back to the data."""
    state = net_state(net, caffe_pb2.TEST)
    present = [included(layer, state) for layer in net.layer]
    unread = _unread_tops(net, present)
    measures = {i for i, layer in enumerate(net.layer) if _is_measure(layer, unread)}
    written = _written(net, present, measures)
    deployed = _Deployed()
    needed: set[str] = set()
    for index in reversed(range(len(net.layer))):
        layer = net.layer[index]
        if index in measures:
            scores = list(layer.bottom)[: 2 if layer.type == "ContrastiveLoss" else 1]
            if not scores:
                raise PrototxtError(f"{name}: layer {layer.name!r} ({layer.type}) has no bottom")
            # A loss of phase TRAIN says what the scores of phase TEST mean, too.
            if present[index] or (layer.type in _PROBABILITIES and {*scores} <= written[index]):
                needed.update(scores)
                if layer.type in _PROBABILITIES:
                    deployed.probabilities[index] = _PROBABILITIES[layer.type]
        elif present[index] and (
            needed & set(layer.top) or (layer.bottom and unread & set(layer.top))
        ):
            if brings_data(layer):
                deployed.inputs[index] = [top for top in layer.top if top in needed]
            else:
                deployed.kept.append(index)
            needed = needed - set(layer.top) | set(layer.bottom)
    if needed:
        raise PrototxtError(
            f"{name}: no layer of phase TEST writes {', '.join(map(repr, sorted(needed)))}, "
            "which its outputs need"
        )
    if not deployed.inputs or not (deployed.kept or deployed.probabilities):
        raise PrototxtError(
            f"{name}: no layer of phase TEST computes something of data, but for losses and "
            "accuracies; there is nothing to deploy"
        )
    _drop_twins(net, deployed)
    return deployed


def _unread_tops(net: caffe_pb2.NetParameter, present: Sequence[bool]) -> set[str]:
    """The blobs that no layer takes: the outputs of the net."""
    unread: set[str] = set()
    for layer, is_present in zip(net.layer, present, strict=True):
        if is_present:
            unread = unread - set(layer.bottom) | set(layer.top)
    return unread


def _written(
    net: caffe_pb2.NetParameter, present: Sequence[bool], measures: set[int]
) -> list[set[str]]:
    """For each layer, the blobs that layers before it have written."""
    written: list[set[str]] = []
    blobs: set[str] = set()
    for index, layer in enumerate(net.layer):
        written.append(set(blobs))
        if present[index] and index not in measures:
            blobs.update(layer.top)
    return written


def _is_measure(layer: caffe_pb2.LayerParameter, unread: set[str]) -> bool:
    """Whether a layer compares scores with labels, or makes a loss of them by its weight."""
    if layer.type == "Accuracy" or layer.type.endswith("Loss"):
        return True
    return any(layer.loss_weight) and set(layer.top) <= unread


def brings_data(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer reads its tops from outside of the net; a Parameter layer has learnt them."""
    return not layer.bottom and layer.type != "Parameter"


def _drop_twins(net: caffe_pb2.NetParameter, deployed: _Deployed) -> None:
    """Keep one layer of probabilities for the same scores: the net's own, or the first loss."""
    seen = {
        (net.layer[index].type, net.layer[index].bottom[0])
        for index in deployed.kept
        if net.layer[index].bottom
    }
    for index in sorted(deployed.probabilities):
        twin = (deployed.probabilities[index], net.layer[index].bottom[0])
        if twin in seen:
            del deployed.probabilities[index]
        seen.add(twin)


def _edit(
    document: Document,
    layers: Sequence[Field],
    net: caffe_pb2.NetParameter,
    deployed: _Deployed,
    shapes: dict[str, Sequence[int]],
) -> None:
    """Turn the text into that of the deployed net."""
    inputs = {blob for tops in deployed.inputs.values() for blob in tops}
    for blob in shapes:
        if blob not in inputs:
            raise PrototxtError(
                f"{document.name}: a shape is given for {blob!r}, which is no input of the net; "
                f"{', '.join(map(repr, sorted(inputs)))} is"
            )
    kept = [net.layer[index] for index in (*deployed.kept, *deployed.inputs)]
    names = NewNames(caffe_pb2.NetParameter(layer=kept))
    for index, (entry, layer) in enumerate(zip(layers, net.layer, strict=True)):
        if index in deployed.inputs:
            _edit_input(document, entry, layer, deployed.inputs[index], shapes)
        elif index in deployed.probabilities:
            wanted = "prob" if len(deployed.probabilities) == 1 else f"{layer.bottom[0]}_prob"
            _edit_loss(document, entry, deployed.probabilities[index], names.new(wanted))
        elif index in deployed.kept:
            _remove(document, entry, (*_RULES, "loss_weight"))
        else:
            document.remove(entry)


def _edit_input(
    document: Document,
    entry: Field,
    layer: caffe_pb2.LayerParameter,
    tops: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
) -> None:
    """Make an Input layer of one that brings data."""
    if layer.type == "Input" and list(layer.top) == tops and not shapes.keys() & set(tops):
        _remove(document, entry, _RULES)
        return
    dims = [
        [1, *shapes[top]] if top in shapes else input_shape(layer, top, document.name)
        for top in tops
    ]
    shape = " ".join(f"shape {{ {' '.join(f'dim: {dim}' for dim in one)} }}" for one in dims)
    transform = pixel_transform(layer)
    lines = [
        "layer {",
        f"  name: {quoted(layer.name)}",
        '  type: "Input"',
        *(f"  top: {quoted(top)}" for top in tops),
        f"  input_param {{ {shape} }}" + (f"  # {transform}" if transform else ""),
        "}",
    ]
    document.replace(entry, document.newline.join(lines))


def _edit_loss(document: Document, entry: Field, layer_type: str, name: str) -> None:
    """Make a layer of a loss that computes what the loss compares with the labels."""
    if entry.block is None:
        return
    for key, value in (("name", name), ("type", layer_type), ("top", name)):
        if present := entry.block.get(key):
            document.set(present, quoted(value))
        else:
            document.append(entry.block, f"{key}: {quoted(value)}")
    for one in (*entry.block.all("bottom")[1:], *entry.block.all("top")[1:]):
        document.remove(one)
    _remove(document, entry, (*_RULES, *_OF_LOSSES))


def _remove(document: Document, entry: Field, names: Sequence[str]) -> None:
    """Remove the fields of these names from a layer."""
    for one in entry.block.fields if entry.block else ():
        if one.name in names:
            document.remove(one)
