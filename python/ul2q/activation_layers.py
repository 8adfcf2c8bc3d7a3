"""Put QuantizedActivation layers into the text of a net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.blob_flow import flows
from ul2q.data_layers import included
from ul2q.errors import UserError
from ul2q.layer_types import ACTIVATION
from ul2q.prototxt_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ul2q.prototxt_text import Document

# A blob's name in the net as it was -> the name of what later layers read in its place.
_Names = dict[str, str]


class ActivationError(UserError, ValueError):
    """An activation that cannot be quantised where it is asked for."""


@dataclass(frozen=True)
class InsertedActivation:
    """A new QuantizedActivation layer.

    Attributes:
        layer: the place, from 0, of the layer before it.
        top: which of that layer's tops it quantises, from 0.
        blob: the name of its own top, and of the layer itself.
        is_read: whether a layer reads that top; else it is an output of the net.
    """

    layer: int
    top: int
    blob: str
    is_read: bool


def insert_activations(
    document: Document, net: caffe_pb2.NetParameter, quantizers: Mapping[tuple[int, int], str]
) -> list[InsertedActivation]:
    """Quantise tops of layers: each by a new layer behind its own, which all later layers read.

    The new layer is not in place, so that the one before keeps its output for its backward pass.
    A later layer that works in place works on the new blob. The new layer has the
    `include` and `exclude` rules of the one before.

    Args:
        document: the net's text; gets the edits.
        net: the same net; its layers are the document's blocks `layer`.
        quantizers: for the place of a layer and of a top, both from 0, the fields of
            `quantization_param.activation`, e.g. "bits: 8 signed: false".

    Raises:
        ActivationError: a layer would read the quantised blob in one phase or stage only.
        PrototxtError: a bottom is missing.
    """
    blocks = document.root.all("layer")
    names = [(flow.state, _Names()) for flow in flows(net)]  # phases and stages may differ
    new_names = _NewNames(net)
    inserted: list[tuple[int, int, str]] = []
    read: set[str] = set()
    for index, (field, layer) in enumerate(zip(blocks, net.layer, strict=True)):
        if field.block is None:
            continue
        current = [of_state for state, of_state in names if included(layer, state)]
        bottoms = [_agreed(current, blob, layer) for blob in layer.bottom]
        read.update(bottoms)
        tops = []
        for blob in layer.top:
            if blob not in layer.bottom:  # not in place: the blob begins here
                for of_state in current:
                    of_state.pop(blob, None)
            tops.append(_agreed(current, blob, layer))
        for name, old, new in (("bottom", layer.bottom, bottoms), ("top", layer.top, tops)):
            for entry, before, after in zip(field.block.all(name), old, new, strict=True):
                if before != after:
                    document.set(entry, quoted(after))
        for place, (blob, top) in enumerate(zip(layer.top, tops, strict=True)):
            if quantizer := quantizers.get((index, place)):
                quantized = new_names.of(top)
                document.insert_after(field, "layer", _fields(quantized, top, quantizer, layer))
                inserted.append((index, place, quantized))
                for of_state in current:
                    of_state[blob] = quantized
    return [InsertedActivation(*new, is_read=new[2] in read) for new in inserted]


class _NewNames:
    """Names for blobs that no blob and no layer has; TRAIN and TEST twins share them."""

    def __init__(self, net: caffe_pb2.NetParameter) -> None:
        self._taken = {layer.name for layer in net.layer}
        self._taken.update(net.input, *(layer.top for layer in net.layer))
        self._given: dict[str, str] = {}

    def of(self, blob: str) -> str:
        if blob not in self._given:
            name = f"{blob}_q"
            number = 2
            while name in self._taken:
                name = f"{blob}_q{number}"
                number += 1
            self._taken.add(name)
            self._given[blob] = name
        return self._given[blob]


def _agreed(current: Iterable[_Names], blob: str, layer: caffe_pb2.LayerParameter) -> str:
    names = {of_state.get(blob, blob) for of_state in current}
    if len(names) > 1:
        raise ActivationError(
            f"layer {layer.name!r} would read blob {blob!r} quantised in one phase or stage and "
            "float in another; quantise it in all"
        )
    return names.pop() if names else blob


def _fields(name: str, bottom: str, quantizer: str, before: caffe_pb2.LayerParameter) -> list[str]:
    rules = caffe_pb2.LayerParameter(include=before.include, exclude=before.exclude)
    text = text_format.MessageToString(rules, as_one_line=True)
    return [
        f"name: {quoted(name)}",
        f"type: {quoted(ACTIVATION)}",
        f"bottom: {quoted(bottom)}",
        f"top: {quoted(name)}",
        *([text] if text else []),
        f"quantization_param {{ activation {{ {quantizer} }} }}",
    ]
