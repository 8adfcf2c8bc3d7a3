"""QuantizedActivation layers in the text of a net: their names and their fields."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.prototxt_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caffe.proto import caffe_pb2

    from ul2q.nets.prototxt_text import Document, Field


class ActivationNames:
    """Names for new layers and their tops, which no blob and no layer of a net has."""

    def __init__(self, net: caffe_pb2.NetParameter) -> None:
        """Begin with the names of `net` taken."""
        self._taken = {name for layer in net.layer for name in (layer.name, *layer.top)}
        self._taken.update(net.input)

    def new(self, blob: str) -> str:
        """`<blob>_q`, with a number behind it if that is taken; it is taken then."""
        first = f"{blob}_q"
        numbered = (f"{first}{number}" for number in itertools.count(2))
        name = next(one for one in itertools.chain([first], numbered) if one not in self._taken)
        self._taken.add(name)
        return name


def insert_activation_layer(
    document: Document,
    before: Field,
    *,
    name: str,
    bottom: str,
    rules: Iterable[str],
    quantizer: str,
) -> None:
    """Add a QuantizedActivation layer, laid out as the one before it.

    It is not in place, so that the one before keeps its output for its backward pass.

    Args:
        document: the net's text; gets the edit.
        before: the layer that it goes behind.
        name: of the layer and of its top.
        bottom: the blob that it quantises.
        rules: its fields `include` and `exclude`.
        quantizer: the fields of `quantization_param.activation`, e.g. "bits: 8 signed: false".
    """
    fields = [
        f"name: {quoted(name)}",
        f"type: {quoted(ACTIVATION)}",
        f"bottom: {quoted(bottom)}",
        f"top: {quoted(name)}",
        *rules,
        f"quantization_param {{ activation {{ {quantizer} }} }}",
    ]
    document.insert_after(before, "layer", fields)
