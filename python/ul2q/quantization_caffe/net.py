"""Turn the prototxt of a net for Quantization-caffe into one of ul2q."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.layer_types import QUANTIZED, has_bias
from ul2q.nets.phase_differences import phase_differences
from ul2q.nets.prototxt import PrototxtError, parse_net
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe.activations import insert_activations
from ul2q.quantization_caffe.dialect import Dialect
from ul2q.quantization_caffe.layer import ACTIVATIONS, FIELDS, WEIGHTS, ForkLayer
from ul2q.quantization_caffe.quantizers import Quantizer, import_quantizer

if TYPE_CHECKING:
    from ul2q.quantization_caffe.layer import ImportNote
    from ul2q.util.paths import StrPath

# The layers whose weights and biases the fork's first two methods were meant for.
_WEIGHT_LAYERS = ("Convolution", "Deconvolution", "Embed", "InnerProduct")


@dataclass(frozen=True)
class ImportedLayer:
    """A layer that had fields of the fork.

    Attributes:
        name: of the layer.
        type: what it is now.
        weight: the quantizer of its weights; None if they are float.
        bias: the quantizer of its biases; None if they are float.
        activations: the quantizers of its tops, in their order, up to the last one with a field.
    """

    name: str
    type: str
    weight: Quantizer | None = None
    bias: Quantizer | None = None
    activations: tuple[Quantizer | None, ...] = ()


@dataclass(frozen=True)
class ImportedNet:
    """A net without fields of the fork.

    Attributes:
        text: the prototxt; what did not have to change is as it was, comments included.
        rows: the layers that had fields of the fork, in the net's order.
        warnings: in the net's order.
    """

    text: str
    rows: tuple[ImportedLayer, ...]
    warnings: tuple[ImportNote, ...]


def import_net(
    net: StrPath | Document,
    *,
    ulq_activations: bool = False,
    dialect: Dialect = Dialect.NEWER,
) -> ImportedNet:
    """Turn a prototxt of the fork into one of ul2q that computes what the fork computed.

    Layers with `weights_compress` become quantised ones. `activations_compress` becomes a
    QuantizedActivation layer behind its layer.

    Args:
        net: the path of a prototxt, or `Document(text)`.
        ulq_activations: quantise the activations of the method ULQ, too, which the fork left float.
        dialect: which of the forks it is for; a prototxt does not tell.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no net, has no field of the fork, or one with a value that the fork
            did not know; the message begins with file:line:column.
        ActivationError: activations are quantised in one phase only.
    """
    document = net if isinstance(net, Document) else Document.read(Path(net))
    _refuse_solver(document)
    entries = document.separate("layer")
    param = parse_net(_without_fork_fields(document), document.name)
    layers = {
        index: ForkLayer(document, entry.block, layer, dialect)
        for index, (entry, layer) in enumerate(zip(entries, param.layer, strict=True))
        if entry.block and any(map(entry.block.all, FIELDS))
    }
    if not layers:
        raise PrototxtError(
            f"{document.name}: no layer has {WEIGHTS} or {ACTIVATIONS}; there is nothing to import"
        )
    rows = {
        index: _import_layer(layer, ulq_activations=ulq_activations)
        for index, layer in layers.items()
    }
    quantizers = {
        # The fork let all of the gradient pass; QuantizedActivation's default is less.
        (index, top): f"{quantizer.prototxt} gradient: IDENTITY"
        for index, row in rows.items()
        for top, quantizer in enumerate(row.activations)
        if quantizer
    }
    inserted = insert_activations(document, param, quantizers) if quantizers else []
    text = str(document)
    differences = phase_differences(parse_net(text, document.name))
    for place, new in enumerate(inserted):
        layer = layers[new.layer]
        method = layer.block.all(ACTIVATIONS)[new.top]
        if place == 0:
            layer.note(
                method, "each batch was scaled by itself; here, once trained, by a moving average"
            )
        if not new.is_read:
            layer.note(method, f"an output of the net; it is {new.blob!r} now")
        for difference in differences:
            if difference.layer == new.blob:
                layer.note(method, f"layer {new.blob!r} {difference.consequence}")
    notes = [note for layer in layers.values() for note in layer.notes]
    notes.sort(key=lambda note: note[0])
    return ImportedNet(text, tuple(rows.values()), tuple(note for _, note in notes))


def _refuse_solver(document: Document) -> None:
    solver = caffe_pb2.SolverParameter.DESCRIPTOR.fields_by_name
    net = caffe_pb2.NetParameter.DESCRIPTOR.fields_by_name
    for entry in document.root.fields:
        if entry.name in solver and entry.name not in net:
            raise document.error(entry.start, f"{entry.name}: a solver; give the net that it names")


def _without_fork_fields(document: Document) -> str:
    """The text with blanks for the fork's fields, so that each line and column stays."""
    text = document.source
    for layer in document.root.all("layer"):
        for entry in layer.block.fields if layer.block else ():
            if entry.name in FIELDS:
                blanks = re.sub(r"[^\n]", " ", text[entry.start : entry.end])
                text = text[: entry.start] + blanks + text[entry.end :]
    return text


def _import_layer(layer: ForkLayer, *, ulq_activations: bool) -> ImportedLayer:
    """Turn a layer into one of ul2q, but for what goes behind it."""
    document = layer.document
    weight, bias = _weights(layer)
    activations = _activations(layer, ulq_activations=ulq_activations)
    entries = layer.fields
    new_type = layer.param.type
    if weight:
        new_type = QUANTIZED + new_type
        parts = [f"weight {{ {weight.prototxt} }}"]
        parts += [f"bias {{ {bias.prototxt} }}"] if bias else []
        if type_field := layer.block.get("type"):
            document.set(type_field, f'"{new_type}"')
        # In the place of the first field, among the comments that belong to it.
        first = next(entry for entry in entries if entry.name == WEIGHTS)
        entries = [entry for entry in entries if entry.start != first.start]
        document.replace(first, f"quantization_param {{ {' '.join(parts)} }}")
    for entry in entries:
        document.remove(entry)
    return ImportedLayer(layer.param.name, new_type, weight, bias, activations)


def _weights(layer: ForkLayer) -> tuple[Quantizer | None, Quantizer | None]:
    """The quantizers of the weights and of the biases."""
    compressions = layer.compressions(WEIGHTS)
    if not compressions:
        return None, None
    if layer.param.HasField("quantization_param"):
        raise layer.error(compressions[0].method, "beside quantization_param; drop one")
    if layer.param.type not in _WEIGHT_LAYERS:
        known = ", ".join(_WEIGHT_LAYERS)
        layer.note(
            compressions[0].method,
            f"dropped; {layer.param.type} stays float, {known} have quantised weights",
        )
        return None, None
    blobs = ("weights", "biases") if has_bias(layer.param) else ("weights",)
    quantizers: list[Quantizer | None] = [None, None]
    for place, compression in enumerate(compressions):
        if place >= len(blobs):
            layer.note(compression.method, f"ignored; there are only {' and '.join(blobs)}")
        else:
            quantizers[place] = import_quantizer(layer, compression, blobs[place])
    weight, bias = quantizers
    if bias and not weight:
        layer.note(compressions[1].method, "dropped; needs quantised weights")
        bias = None
    return weight, bias


def _activations(layer: ForkLayer, *, ulq_activations: bool) -> tuple[Quantizer | None, ...]:
    """The quantizers of the tops."""
    compressions = layer.compressions(ACTIVATIONS)
    tops = len(layer.param.top)
    for compression in compressions[tops:]:
        layer.note(compression.method, f"ignored; the layer's tops are {tops}")
    if compressions and _is_measure(layer.param):
        layer.note(compressions[0].method, f"dropped; {layer.param.type} stays float")
        return ()
    return tuple(
        import_quantizer(layer, compression, "activations", ulq_activations=ulq_activations)
        for compression in compressions[:tops]
    )


def _is_measure(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether the tops are losses or accuracies, which no layer computes with."""
    return layer.type.endswith("Loss") or layer.type == "Accuracy" or bool(layer.loss_weight)
