"""The layers in the text of a net, refused where the text is of a format that is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ul2q.nets.prototxt_text import Document, Field

_FORK_FIELDS = ("weights_compress", "activations_compress")  # and the same with _param


def layer_fields(document: Document) -> list[Field]:
    """The fields `layer` of a net's text, in the order of the net's layers.

    Raises:
        PrototxtError: the layers are in the format of 2013/14, or have fields of the fork
            Quantization-caffe, or several stand in one list; the message names file and line.
    """
    old = document.root.get("layers")
    if old:
        raise document.error(
            old.start,
            "`layers` is the format of 2013/14; `ul2q upgrade` writes the net in today's",
        )
    layers = [entry for entry in document.separate("layer") if entry.block]
    for layer in layers:
        for entry in layer.block.fields if layer.block else ():
            if entry.name.startswith(_FORK_FIELDS):
                raise document.error(
                    entry.start,
                    f"{entry.name} is a field of the fork; run `ul2q import-fork` first",
                )
    return layers
