"""QuantizedActivation layers in the text of a net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.prototxt_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ul2q.nets.prototxt_text import Block, Document, Field


def insert_activation_layer(
    document: Document,
    before: Field,
    *,
    name: str,
    bottom: str,
    quantizer: str,
    rules: Block | None = None,
    readers: Iterable[Field] = (),
) -> None:
    """Add a QuantizedActivation layer, laid out as the one before it.

    It is not in place, so that the layer before keeps its output for its backward pass.

    Args:
        document: the net's text, which gets the edits.
        before: the layer that the new one goes behind.
        name: the name of the new layer and of its top.
        bottom: the blob that it quantises.
        quantizer: the fields of `quantization_param.activation`, e.g. "bits: 8 signed: false".
        rules: the layer whose `include` and `exclude` the new one takes; None: it has none.
        readers: fields `bottom` of other layers, which are to read the new top.
    """
    fields = [
        f"name: {quoted(name)}",
        f"type: {quoted(ACTIVATION)}",
        f"bottom: {quoted(bottom)}",
        f"top: {quoted(name)}",
        *(
            f"{entry.name} {entry.text}"
            for entry in (rules.fields if rules else ())
            if entry.name in ("include", "exclude")
        ),
        f"quantization_param {{ activation {{ {quantizer} }} }}",
    ]
    document.insert_after(before, "layer", fields)
    for entry in readers:
        document.set(entry, quoted(name))
