"""Quantise activations as Quantization-caffe did: what a layer puts out, for all who read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.nets.activation_layers import insert_activation_layer
from ul2q.nets.blob_flow import flows, versions
from ul2q.nets.new_names import NewNames
from ul2q.nets.prototxt_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caffe.proto import caffe_pb2

    from ul2q.nets.blob_flow import Version
    from ul2q.nets.prototxt_text import Document

# A blob's name in the net as it was, and the layer that wrote it -> what it is read by now.
_Names = dict[tuple[str, int], str]


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


# Not at the places of `nets.activation_points`, which follow from the layers that are to read
# quantised blobs. The fork quantised what a layer wrote, before layers in place and whoever reads
# it.
def insert_activations(
    document: Document, net: caffe_pb2.NetParameter, quantizers: Mapping[tuple[int, int], str]
) -> list[InsertedActivation]:
    """Quantise tops of layers: each by a new layer behind its own, which all later layers read.

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
    found = flows(net)
    names = _Names()
    new_names = NewNames(net)
    quantized: dict[str, str] = {}  # TRAIN and TEST twins share a name
    inserted: list[tuple[int, int, str]] = []
    read: set[str] = set()
    for index, (field, layer) in enumerate(zip(document.separate("layer"), net.layer, strict=True)):
        if field.block is None:
            continue
        bottoms = []
        for place, blob in enumerate(layer.bottom):
            bottoms.append(_agreed(names, versions(found, (index, place)), blob, layer))
        read.update(bottoms)
        in_place = dict(zip(layer.bottom, bottoms, strict=True))
        tops = [in_place.get(blob, blob) for blob in layer.top]
        for name, old, new in (("bottom", layer.bottom, bottoms), ("top", layer.top, tops)):
            for entry, before, after in zip(field.block.all(name), old, new, strict=True):
                if before != after:
                    document.set(entry, quoted(after))
        names.update({(blob, index): top for blob, top in zip(layer.top, tops, strict=True)})
        for place, (blob, top) in enumerate(zip(layer.top, tops, strict=True)):
            if quantizer := quantizers.get((index, place)):
                if top not in quantized:
                    quantized[top] = new_names.new(f"{top}_q")
                names[blob, index] = quantized[top]
                insert_activation_layer(
                    document,
                    field,
                    name=quantized[top],
                    bottom=top,
                    quantizer=quantizer,
                    rules=field.block,
                )
                inserted.append((index, place, quantized[top]))
    return [InsertedActivation(*new, is_read=new[2] in read) for new in inserted]


def _agreed(
    names: _Names, behind: Iterable[Version], blob: str, layer: caffe_pb2.LayerParameter
) -> str:
    """What `layer` reads for `blob`, given the versions of it behind its bottom in each state."""
    found = {names.get((version.blob, version.writer), blob) for version in behind}
    if len(found) > 1:
        raise ActivationError(
            f"layer {layer.name!r} would read blob {blob!r} quantised in one phase or stage and "
            "float in another; quantise it in all"
        )
    return found.pop() if found else blob
