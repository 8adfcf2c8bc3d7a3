"""Take over nets and weights of Quantization-caffe, the Caffe fork of μL2Q's authors (2019).

There, any layer may have `weights_compress` and `activations_compress` (methods by name, one for
each blob or top) and `..._compress_param` (their widths); its caffemodels hold a quantised copy
beside the float weights. docs/fork.md says what becomes of each field, and why.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from caffe.proto import caffe_pb2

from ul2q.activation_layers import insert_activations
from ul2q.layer_types import ACTIVATION, QUANTIZED, has_bias
from ul2q.output_file import refuse_existing, write_file
from ul2q.prototxt import PrototxtError, parse_net
from ul2q.prototxt_text import Block, Document, Field
from ul2q.weights import WeightsError, check_weights_file, read_caffemodel

# The fork's names, and ours in the enum QuantizerParameter.Method.
METHODS = {
    "ULQ": "UL2Q",
    "Ternary": "TERNARY",
    "Ternary_Quantize": "TERNARY_QUANTIZED",
    "Quantize": "FIXED_POINT",
    "Clip": "CLIP",
}

_WEIGHTS = "weights_compress"
_ACTIVATIONS = "activations_compress"
_FIELDS = tuple(f"{kind}{suffix}" for kind in (_WEIGHTS, _ACTIVATIONS) for suffix in ("", "_param"))

# CompressParameter: what a user sets, and what the fork overwrites as it trains.
_BITS = "maxbits"
_STATISTICS = ("delta", "alpha", "fixedpos")
_DEFAULT_BITS = 8
_MAX_BITS = 16  # ours

# What the fork's first two methods meant the weights and the biases of.
_WEIGHT_LAYERS = ("Convolution", "Deconvolution", "Embed", "InnerProduct")


@dataclass(frozen=True)
class Quantizer:
    """A quantizer as a prototxt of ours names it.

    Attributes:
        method: a name of the enum QuantizerParameter.Method.
        bits: its width; None if the method has one only.
    """

    method: str
    bits: int | None

    @property
    def prototxt(self) -> str:
        """The fields of a QuantizerParameter."""
        method = [] if self.method == "UL2Q" else [f"method: {self.method}"]  # the default
        bits = [] if self.bits is None else [f"bits: {self.bits}"]
        return " ".join(method + bits)

    def __str__(self) -> str:
        """E.g. "ul2q 2"."""
        return " ".join([self.method.lower(), *([] if self.bits is None else [str(self.bits)])])


@dataclass(frozen=True)
class ImportedLayer:
    """A layer that had fields of the fork.

    Attributes:
        name: of the layer.
        type: what it is now.
        weight: the quantizer of its weights; None if they are float.
        bias: the same of its biases.
        activations: the same of its tops, in their order, up to the last one with a field.
    """

    name: str
    type: str
    weight: Quantizer | None = None
    bias: Quantizer | None = None
    activations: tuple[Quantizer | None, ...] = ()


@dataclass(frozen=True)
class ImportNote:
    """A field that the fork did not heed, or whose effect is not the same here.

    Attributes:
        place: "file:line".
        layer: the layer's name.
        field: the field's name.
        text: what the fork did with it, and what became of it.
    """

    place: str
    layer: str
    field: str
    text: str

    def __str__(self) -> str:
        """All of it in one line."""
        return f"{self.place}: layer {self.layer!r}: {self.field}: {self.text}"


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


@dataclass(frozen=True)
class ImportedWeights:
    """A caffemodel without fields of the fork.

    Attributes:
        net: the float weights, as the fork trained them.
        saved_bytes: how much smaller its file is.
    """

    net: caffe_pb2.NetParameter
    saved_bytes: int


def import_net(net: str | Path | Document, *, ulq_activations: bool = False) -> ImportedNet:
    """Turn a prototxt of the fork into one of ours that computes what the fork computed.

    Layers with `weights_compress` become quantised ones. `activations_compress` becomes a
    QuantizedActivation layer behind its layer.

    Args:
        net: the path of a prototxt, or `Document(text)`.
        ulq_activations: quantise the activations of the method ULQ, too, which the fork left float.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no net, has no field of the fork, or one with a value that the fork
            did not know; the message begins with file:line:column.
        ActivationError: activations are quantised in one phase only.
    """
    document = net if isinstance(net, Document) else Document.read(Path(net))
    _refuse_solver(document)
    _refuse_lists(document)
    return _NetImport(document, ulq_activations).run()


def import_weights(path: Path, net: caffe_pb2.NetParameter | None = None) -> ImportedWeights:
    """Read a caffemodel of the fork.

    Its quantised copies and their parameters are dropped; the float weights are all that a layer
    of ours needs.

    Args:
        path: a .caffemodel.
        net: its imported net; gives the layers of the same name their type and quantization_param.
            Its QuantizedActivation layers are added, with averages of no batches: in phase TEST
            they quantise each batch by itself, as the fork did.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is no .caffemodel, or holds no weights.
    """
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(f"{path} holds float weights alone, there is nothing to import: use it")
    weights = read_caffemodel(path)
    size = path.stat().st_size
    if not any(layer.blobs for layer in (*weights.layer, *weights.layers)):
        raise WeightsError(f"{path} holds no weights; give a .caffemodel")
    weights.DiscardUnknownFields()  # all of the fork's
    if net:
        _complete(weights, net)
    return ImportedWeights(weights, size - weights.ByteSize())


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


@dataclass(frozen=True)
class ImportedFiles:
    """What `import_files` has written.

    Attributes:
        net: the net, and its path.
        weights: the weights, and their path; None if there were none to import.
    """

    net: ImportedNet
    net_path: Path
    weights: ImportedWeights | None
    weights_path: Path | None


def import_files(
    net: Path,
    weights: Path | None = None,
    *,
    output: Path | None = None,
    force: bool = False,
    ulq_activations: bool = False,
) -> ImportedFiles:
    """Write a net of the fork, and its weights, as ones of ours.

    Nothing is written before all has been read and every path is found to be free.

    Args:
        net: the fork's prototxt.
        weights: its .caffemodel.
        output: a folder, or the path of the new prototxt, which the new .caffemodel goes beside.
            None: `<name>_ul2q` beside each file.
        force: replace files that are there.
        ulq_activations: as of `import_net`.

    Raises:
        FileNotFoundError: there is no such file, or `output` is a folder that does not exist.
        OutputExistsError: there is a file where one is to be written, and `force` is not set.
        PrototxtError, ActivationError, WeightsError: as of `import_net` and `import_weights`.
    """
    net_path = _output(net, output)
    weights_path = None
    if weights:
        beside_net = output is not None and not output.is_dir()
        weights_path = (
            net_path.with_suffix(".caffemodel") if beside_net else _output(weights, output)
        )
        if weights_path == net_path:
            raise WeightsError(f"{net_path} is to be the prototxt; give it another suffix")
    imported = import_net(net, ulq_activations=ulq_activations)
    imported_weights = None
    if weights:
        imported_weights = import_weights(weights, parse_net(imported.text, str(net_path)))
    for path in (net_path, weights_path):
        if path:
            refuse_existing(path, force=force)
    if imported_weights and weights_path:
        write_file(weights_path, imported_weights.net.SerializeToString(), force=force)
    write_file(net_path, imported.text.encode(), force=force)
    return ImportedFiles(imported, net_path, imported_weights, weights_path)


def _output(source: Path, output: Path | None) -> Path:
    path = source.with_stem(f"{source.stem}_ul2q")
    if output is None:
        return path
    if output.is_dir():
        return output / path.name
    if not output.suffix:
        raise FileNotFoundError(f"{output}: no such folder; make it, or name the new prototxt")
    return output


def _refuse_solver(document: Document) -> None:
    solver = caffe_pb2.SolverParameter.DESCRIPTOR.fields_by_name
    net = caffe_pb2.NetParameter.DESCRIPTOR.fields_by_name
    for entry in document.root.fields:
        if entry.name in solver and entry.name not in net:
            raise document.error(entry.start, f"{entry.name}: a solver; give the net that it names")


def _refuse_lists(document: Document) -> None:
    for entry, following in itertools.pairwise(document.root.all("layer")):
        if entry.start == following.start:
            raise document.error(entry.start, "a list of layers; write layer { ... } for each")


def _without_fork_fields(document: Document) -> str:
    """The text with blanks for the fork's fields, so that each line and column stays."""
    text = document.source
    for layer in document.root.all("layer"):
        for entry in layer.block.fields if layer.block else ():
            if entry.name in _FIELDS:
                blanks = re.sub(r"[^\n]", " ", text[entry.start : entry.end])
                text = text[: entry.start] + blanks + text[entry.end :]
    return text


@dataclass(frozen=True)
class _Layer:
    """A layer with fields of the fork."""

    block: Block
    param: caffe_pb2.LayerParameter


@dataclass(frozen=True)
class _Compression:
    """A method and its parameters, which the fork paired by their place."""

    method: Field
    parameters: Field | None


class _NetImport:
    """One call of `import_net`."""

    def __init__(self, document: Document, ulq_activations: bool) -> None:
        self._document = document
        self._ulq_activations = ulq_activations
        self._notes: list[tuple[int, ImportNote]] = []  # with the offset of the field

    def run(self) -> ImportedNet:
        net = parse_net(_without_fork_fields(self._document), self._document.name)
        rows: list[ImportedLayer] = []
        quantizers: dict[tuple[int, int], str] = {}
        layers: dict[int, _Layer] = {}
        fields = self._document.root.all("layer")
        for index, (entry, param) in enumerate(zip(fields, net.layer, strict=True)):
            if entry.block is None or not any(map(entry.block.all, _FIELDS)):
                continue
            layer = layers[index] = _Layer(entry.block, param)
            row = self._layer(layer)
            rows.append(row)
            for top, quantizer in enumerate(row.activations):
                if quantizer:
                    # The fork let all of the gradient pass; QuantizedActivation's default is less.
                    quantizers[index, top] = f"{quantizer.prototxt} gradient: IDENTITY"
        if not rows:
            raise PrototxtError(
                f"{self._document.name}: no layer has {_WEIGHTS} or {_ACTIVATIONS}; there is "
                "nothing to import"
            )
        inserted = insert_activations(self._document, net, quantizers) if quantizers else []
        for place, new in enumerate(inserted):
            layer = layers[new.layer]
            method = layer.block.all(_ACTIVATIONS)[new.top]
            if place == 0:
                self._note(
                    layer,
                    method,
                    "each batch was scaled by itself; here, once trained, by a moving average",
                )
            if not new.is_read:
                self._note(layer, method, f"an output of the net; it is {new.blob!r} now")
        notes = sorted(self._notes, key=lambda note: note[0])
        return ImportedNet(str(self._document), tuple(rows), tuple(note for _, note in notes))

    def _layer(self, layer: _Layer) -> ImportedLayer:
        weight, bias = self._weights(layer)
        activations = self._activations(layer)
        entries = [entry for entry in layer.block.fields if entry.name in _FIELDS]
        new_type = layer.param.type
        if weight:
            new_type = QUANTIZED + new_type
            parts = [f"weight {{ {weight.prototxt} }}"]
            parts += [f"bias {{ {bias.prototxt} }}"] if bias else []
            if type_field := layer.block.get("type"):
                self._document.set(type_field, f'"{new_type}"')
            # In the place of the first field, among the comments that belong to it.
            first = next(entry for entry in entries if entry.name == _WEIGHTS)
            entries = [entry for entry in entries if entry.start != first.start]
            self._document.replace(first, f"quantization_param {{ {' '.join(parts)} }}")
        for entry in entries:
            self._document.remove(entry)
        return ImportedLayer(layer.param.name, new_type, weight, bias, activations)

    def _weights(self, layer: _Layer) -> tuple[Quantizer | None, Quantizer | None]:
        compressions = self._compressions(layer, _WEIGHTS)
        if not compressions:
            return None, None
        if layer.param.HasField("quantization_param"):
            raise self._error(layer, compressions[0].method, "beside quantization_param; drop one")
        if layer.param.type not in _WEIGHT_LAYERS:
            known = ", ".join(_WEIGHT_LAYERS)
            self._note(
                layer,
                compressions[0].method,
                f"dropped; {layer.param.type} stays float, {known} have quantised weights",
            )
            return None, None
        blobs = ("weights", "biases") if has_bias(layer.param) else ("weights",)
        quantizers: list[Quantizer | None] = [None, None]
        for place, compression in enumerate(compressions):
            if place >= len(blobs):
                self._note(
                    layer, compression.method, f"ignored; there are only {' and '.join(blobs)}"
                )
            else:
                quantizers[place] = self._quantizer(layer, compression, blobs[place])
        weight, bias = quantizers
        if bias and not weight:
            self._note(layer, compressions[1].method, "dropped; needs quantised weights")
            bias = None
        return weight, bias

    def _activations(self, layer: _Layer) -> tuple[Quantizer | None, ...]:
        compressions = self._compressions(layer, _ACTIVATIONS)
        tops = len(layer.param.top)
        for compression in compressions[tops:]:
            self._note(layer, compression.method, f"ignored; the layer's tops are {tops}")
        if compressions and _is_measure(layer.param):
            self._note(layer, compressions[0].method, f"dropped; {layer.param.type} stays float")
            return ()
        return tuple(
            self._quantizer(layer, compression, "activations")
            for compression in compressions[:tops]
        )

    def _compressions(self, layer: _Layer, kind: str) -> list[_Compression]:
        methods = layer.block.all(kind)
        parameters = layer.block.all(f"{kind}_param")
        for entry in parameters:
            self._check_parameters(layer, entry)
        for entry in parameters[len(methods) :]:
            self._note(layer, entry, f"ignored; there is no {kind} for it")
        padded = [*parameters, *[None] * len(methods)]
        return [_Compression(*pair) for pair in zip(methods, padded, strict=False)]

    def _check_parameters(self, layer: _Layer, entry: Field) -> None:
        if entry.block is None:
            raise self._error(layer, entry, "must be a message, e.g. { maxbits: 2 }")
        for parameter in entry.block.fields:
            if parameter.name not in (_BITS, *_STATISTICS):
                known = ", ".join((_BITS, *_STATISTICS))
                raise self._error(layer, parameter, f"no field of {entry.name}; it has {known}")
        statistics = [name for name in _STATISTICS if entry.block.all(name)]
        if statistics:
            self._note(layer, entry, f"{', '.join(statistics)} dropped; the fork set it itself")

    def _quantizer(self, layer: _Layer, compression: _Compression, what: str) -> Quantizer | None:
        """The quantizer that does what the fork did; None if it did nothing.

        Args:
            layer: where it stands.
            compression: the method.
            what: is quantised: "weights", "biases" or "activations".
        """
        entry = compression.method
        name = self._string(layer, entry)
        if not name:
            self._note(layer, entry, f"no method; the {what} stay float")
            return None
        if name not in METHODS:
            raise self._error(
                layer, entry, f"no method {name!r}; it is one of {', '.join(METHODS)}"
            )
        method = METHODS[name]
        if name == "Clip":
            return Quantizer(method, self._bits_of_clip(layer, compression))
        if what == "activations" and name.startswith("Ternary"):
            self._note(layer, entry, f"{name} gave the sign, unscaled; {method} fits a scale")
        if name == "Ternary":
            if unused := _parameter(compression, _BITS):
                self._note(layer, unused, "dropped; Ternary has no use for it")
            return Quantizer(method, None)
        bits = self._bits(layer, compression)
        if name == "ULQ":
            if what == "activations" and not self._ulq_activations:
                self._note(
                    layer,
                    entry,
                    "dropped; the fork never quantised activations by ULQ (--ulq-activations, "
                    "ulq_activations=True does)",
                )
                return None
            if what != "activations" and bits > 8:
                self._note(
                    layer,
                    entry,
                    "above 8 bits the fork's step had a factor σ too many; not so here",
                )
        elif bits == 1:
            raise self._error(layer, entry, f"{name} with 1 bit gave zeros; must be 2 or more")
        if name == "Ternary_Quantize":
            bits -= 1  # the fork's had a sign, which a scale has no use for
        return Quantizer(method, bits)

    def _bits(self, layer: _Layer, compression: _Compression) -> int:
        entry = _parameter(compression, _BITS)
        if entry is None:
            return _DEFAULT_BITS
        bits = self._integer(layer, entry)
        if bits == 0:
            self._note(layer, entry, f"0 stood for {_DEFAULT_BITS}")
            return _DEFAULT_BITS
        if bits < 0:
            raise self._error(layer, entry, f"is {bits}; must be 1 to {_MAX_BITS}")
        if bits > _MAX_BITS:
            self._note(layer, entry, f"{bits} is more than ul2q has; {_MAX_BITS} now")
        return min(bits, _MAX_BITS)

    def _bits_of_clip(self, layer: _Layer, compression: _Compression) -> int:
        entry = _parameter(compression, _BITS)
        if entry and self._integer(layer, entry) != _DEFAULT_BITS:
            self._note(layer, entry, f"ignored; Clip had {_DEFAULT_BITS} bits, whatever it said")
        return _DEFAULT_BITS

    def _string(self, layer: _Layer, entry: Field) -> str:
        try:
            return entry.string
        except PrototxtError:
            raise self._error(layer, entry, f"is {entry.text}; must be a string") from None

    def _integer(self, layer: _Layer, entry: Field) -> int:
        try:
            return int(entry.text, 0)
        except ValueError:
            raise self._error(layer, entry, f"is {entry.text}; must be an integer") from None

    def _note(self, layer: _Layer, entry: Field, text: str) -> None:
        place = f"{self._document.name}:{entry.line}"
        note = ImportNote(place, layer.param.name, entry.name, text)
        self._notes.append((entry.value_start, note))

    def _error(self, layer: _Layer, entry: Field, text: str) -> PrototxtError:
        name = layer.param.name
        return self._document.error(entry.start, f"layer {name!r}: {entry.name}: {text}")


def _parameter(compression: _Compression, name: str) -> Field | None:
    parameters = compression.parameters
    return parameters.block.get(name) if parameters and parameters.block else None


def _is_measure(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether the tops are losses or accuracies, which no layer computes with."""
    return layer.type.endswith("Loss") or layer.type == "Accuracy" or bool(layer.loss_weight)
