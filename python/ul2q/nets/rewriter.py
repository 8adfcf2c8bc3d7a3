"""Turn the prototxt of a net into that of a quantised one, and keep all else in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.activation_layers import insert_activation_layer
from ul2q.nets.activation_points import ActivationPoint, plan_activations
from ul2q.nets.blob_flow import flows, versions
from ul2q.nets.bundled import output_beside
from ul2q.nets.layer_bits import bits_by_layer
from ul2q.nets.layer_checks import refuse_twins
from ul2q.nets.layer_fields import layer_fields
from ul2q.nets.layer_types import (
    ACTIVATION,
    CHANNEL_LAYERS,
    DEPTHWISE,
    WEIGHT_LAYERS,
    activation_bottoms,
    float_type,
    has_bias,
    quantized_type,
)
from ul2q.nets.new_names import NewNames
from ul2q.nets.phase_differences import PhaseDifference, phase_differences
from ul2q.nets.prototxt import parse_net
from ul2q.nets.prototxt_text import Block, Document
from ul2q.nets.quantization import NetQuantization, code_bits, method_name
from ul2q.nets.upgrade import upgrade_net

if TYPE_CHECKING:
    from ul2q.nets.layer_bits import LayerBits
    from ul2q.util.paths import StrPath

_ENGINES = {"CAFFE", "1"}  # what a field `engine` says for BVLC's own layers


@dataclass(frozen=True)
class LayerChange:
    """What became of a layer.

    Attributes:
        name: the name of the layer.
        old_type: the type that it had, e.g. "Convolution"; "" for a layer that is new.
        new_type: the type that it has, e.g. "QuantizedConvolution", or still "Convolution".
        weight_bits: bits of a weight's code; None: the weights are float.
        bias_bits: bits of a bias's code; None: the biases are float, or there are none.
        activation_bits: bits of a QuantizedActivation layer's codes.
        method: the method of the weights, or of the activation; "" for a float layer.
        reason: why: the option that says so, or what the layer is.
        note: what else there is to say, e.g. what of its bottoms stays float.
    """

    name: str
    old_type: str
    new_type: str
    weight_bits: int | None = None
    bias_bits: int | None = None
    activation_bits: int | None = None
    method: str = ""
    reason: str = ""
    note: str = ""

    @property
    def bits(self) -> str:
        """Bits of the weights, and after a + those of the biases; or those of the activation."""
        widths = (self.weight_bits, self.bias_bits, self.activation_bits)
        return "+".join(str(width) for width in widths if width is not None) or "float"


@dataclass(frozen=True)
class QuantizedNet:
    """A quantised net, and what it took.

    Attributes:
        text: the prototxt of the net.
        rows: a row for each layer with learned parameters and each QuantizedActivation layer, in
            the order of the net; layers of one name for different phases are one if the same became
            of them.
        warnings: the QuantizedActivation layers that see other values in training than in testing.
        others: how many layers of each other type there are; all stay as they are.
        notes: what else there is to know, a sentence each.
    """

    text: str
    rows: tuple[LayerChange, ...]
    warnings: tuple[PhaseDifference, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headings and rows: what became of each layer."""
        rows: list[tuple[str, ...]] = [
            (
                row.name,
                row.new_type,
                row.bits,
                row.method or "",
                "; ".join(filter(None, (row.reason, row.note))),
            )
            for row in self.rows
        ]
        return ("layer", "type", "bits", "method", "why"), rows


def quantize_net(net: StrPath | Document, options: NetQuantization) -> QuantizedNet:
    """Turn a net's layers with weights into quantised ones.

    Convolution, Deconvolution, InnerProduct, Embed, LSTM and RNN layers get the type of the
    quantised layer and a `quantization_param`; in those that are quantised already it is
    replaced. The depthwise convolutions of forks become a QuantizedConvolution with a group for
    each output. `nets.layer_bits` decides which width each gets. Comments, blank lines, the order
    of layers and all other fields stay; but a net in the format of 2013/14 is upgraded first, which
    leaves no comments.

    For quantised activations each blob that a quantised layer reads gets a QuantizedActivation
    layer `<blob>_q` behind the layer that writes it last; not the net's inputs, and not the indices
    that an Embed layer reads. All later layers read the quantised blob, losses and accuracies too,
    as there is no other in a quantised net; but for layers that work on the blob in place. The
    layer stands before a Dropout, whose values no test sees. Where the values cannot be negative,
    the codes have no sign.

    Args:
        net: the path of a prototxt, or `ul2q.nets.prototxt_text.Document(text)`.
        options: what to make of it.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no net that Caffe reads, or without weights, or two layers have one
            name; the message names file and line.
        OptionsError: `options` name a layer that the net does not have.
    """
    given = net if isinstance(net, Document) else Document.read(Path(net))
    document = upgraded(given)
    notes = []
    if document is not given:
        notes.append(
            "the net was in the format of 2013/14 and is in today's now, without its comments"
        )
    return _Rewriter(document, options, notes).run()


def upgraded(document: Document) -> Document:
    """A net in today's format: the very document unless it is in that of 2013/14.

    Raises:
        PrototxtError: it is no net that Caffe reads.
    """
    if not document.root.get("layers"):
        return document
    net = parse_net(document.source, document.name)
    return Document(upgrade_net(net, document.name).text, document.name)


def default_output(net: StrPath, options: NetQuantization) -> Path:
    """Where the command writes: beside the net, "_2bit" in the place of "_float" in its name.

    What is made of a net of the package's goes into the working folder.
    """
    path = Path(net)
    return output_beside(path.with_stem(f"{path.stem.removesuffix('_float')}_{options.name}"))


class _Rewriter:
    """One call of `quantize_net`."""

    def __init__(self, document: Document, options: NetQuantization, notes: list[str]) -> None:
        self._document = document
        self._options = options
        self._notes = notes
        self._blocks = [entry.block for entry in layer_fields(document) if entry.block]
        self._net = parse_net(document.source, document.name)
        self._rows: dict[int, list[LayerChange]] = {}  # by index of the layer; new layers behind

    def run(self) -> QuantizedNet:
        refuse_twins(self._net, self._document.name)
        bits = bits_by_layer(self._net, self._options, self._document.name)
        float_bottoms = {}
        if self._options.quantizes_activations:
            float_bottoms = self._quantize_activations(bits)
        others: Counter[str] = Counter()
        for index, layer in enumerate(self._net.layer):
            if float_type(layer.type) in WEIGHT_LAYERS:
                row = self._quantize_weights(index, bits[layer.name], float_bottoms.get(index))
                self._rows.setdefault(index, []).insert(0, row)
            elif layer.type in CHANNEL_LAYERS:
                reason = "a few numbers a channel"
                row = LayerChange(layer.name, layer.type, layer.type, reason=reason)
                self._rows.setdefault(index, []).insert(0, row)
            elif layer.type != ACTIVATION:
                others[layer.type] += 1
        self._mind_engines()
        rows = [row for index in sorted(self._rows) for row in self._rows[index]]
        text = str(self._document)
        differences = phase_differences(parse_net(text, self._document.name))
        return QuantizedNet(
            text,
            tuple(dict.fromkeys(rows)),
            tuple(differences),
            tuple(others.most_common()),
            tuple(self._notes),
        )

    def _quantize_weights(
        self, index: int, decision: LayerBits, float_bottom: str | None
    ) -> LayerChange:
        layer, block = self._net.layer[index], self._blocks[index]
        bits = decision.bits
        new_type = float_type(layer.type) if bits is None else quantized_type(layer.type)
        for entry in block.all("type"):
            quote = entry.text[0]
            self._document.set(entry, f"{quote}{new_type}{quote}")
        if bits is None:
            self._set_quantization(block, None)
            return LayerChange(layer.name, layer.type, new_type, reason=decision.reason)
        if layer.type in DEPTHWISE:
            self._set_groups(index)
        weight = self._options.weight_quantizer(bits)
        bias = self._options.bias_quantizer() if has_bias(layer) else None
        self._set_quantization(block, caffe_pb2.QuantizationParameter(weight=weight, bias=bias))
        was_quantized = "was quantised already" if layer.type == new_type else None
        return LayerChange(
            layer.name,
            layer.type,
            new_type,
            weight_bits=bits,
            bias_bits=code_bits(bias) if bias else None,
            method=method_name(weight),
            reason=decision.reason,
            note=", ".join(filter(None, (was_quantized, float_bottom))),
        )

    def _set_groups(self, index: int) -> None:
        """Give a depthwise convolution as many groups as it has outputs."""
        groups = self._net.layer[index].convolution_param.num_output
        for options in self._blocks[index].all("convolution_param"):
            if options.block is not None and options.block.get("num_output"):
                entry = options.block.get("group")
                if entry:
                    self._document.set(entry, str(groups))
                else:
                    self._document.append(options.block, f"group: {groups}")

    def _mind_engines(self) -> None:
        """Leave out each `engine: CAFFE`, or say how many there are."""
        entries = [
            entry
            for layer in self._blocks
            for options in layer.fields
            for entry in (options.block.all("engine") if options.block else ())
            if entry.text in _ENGINES
        ]
        if not entries:
            return
        layers = f"{len(entries)} layer{'s' if len(entries) > 1 else ''}"
        if self._options.drop_engine:
            for entry in entries:
                self._document.remove(entry)
            self._notes.append(f"engine: CAFFE is left out of {layers}")
        else:
            self._notes.append(
                f'{layers} with engine: CAFFE, which mostly was to say "not cuDNN": here it asks '
                "for BVLC's own slower layers; --drop-engine leaves it out"
            )

    def _quantize_activations(self, bits: dict[str, LayerBits]) -> dict[int, str]:
        """Put QuantizedActivation layers before the quantised ones.

        Returns:
            By index of a layer, why a bottom of it stays float.
        """
        net, found = self._net, flows(self._net)
        bottoms = set()
        for index, layer in enumerate(net.layer):
            base = float_type(layer.type)
            if base in WEIGHT_LAYERS and bits[layer.name].bits is not None:
                bottoms |= {(index, place) for place in activation_bottoms(layer)}
            elif layer.type == ACTIVATION:
                quantizer = self._options.activation_quantizer(
                    non_negative=all(one.non_negative for one in versions(found, (index, 0)))
                )
                quantization = caffe_pb2.QuantizationParameter(activation=quantizer)
                self._set_quantization(self._blocks[index], quantization)
                row = _activation_row(layer.name, layer.type, quantizer, "was quantised already")
                self._rows[index] = [row]
        plan = plan_activations(net, found, bottoms)
        names = NewNames(net)
        for point in plan.points:
            top = names.new(f"{point.blob}_q")
            quantizer = self._options.activation_quantizer(non_negative=point.non_negative)
            self._insert(point, top, quantizer)
            row = _activation_row(top, "", quantizer)
            self._rows.setdefault(point.after, []).append(row)
        return plan.float_bottoms

    def _insert(
        self, point: ActivationPoint, top: str, quantizer: caffe_pb2.QuantizerParameter
    ) -> None:
        insert_activation_layer(
            self._document,
            self._document.root.all("layer")[point.after],
            name=top,
            bottom=point.blob,
            quantizer=text_format.MessageToString(quantizer, as_one_line=True),
            rules=None if point.rules is None else self._blocks[point.rules],
            readers=[
                *(self._blocks[layer].all("bottom")[place] for layer, place in point.bottoms),
                *(self._blocks[layer].all("top")[0] for layer in point.in_place),
            ],
        )

    def _set_quantization(
        self, block: Block, quantization: caffe_pb2.QuantizationParameter | None
    ) -> None:
        """Give a layer this `quantization_param` in the place of what it has."""
        old = block.all("quantization_param")
        if quantization is not None and old:
            self._document.replace(old.pop(0), _field_text(quantization))
        elif quantization is not None:
            self._document.append(block, _field_text(quantization))
        for entry in old:
            self._document.remove(entry)


def _activation_row(
    name: str, old_type: str, quantizer: caffe_pb2.QuantizerParameter, note: str | None = None
) -> LayerChange:
    return LayerChange(
        name,
        old_type,
        ACTIVATION,
        activation_bits=code_bits(quantizer),
        method=method_name(quantizer),
        reason="read by a quantised layer",
        note=", ".join(filter(None, (None if quantizer.signed else "unsigned", note))),
    )


def _field_text(quantization: caffe_pb2.QuantizationParameter) -> str:
    return f"quantization_param {{ {text_format.MessageToString(quantization, as_one_line=True)} }}"
