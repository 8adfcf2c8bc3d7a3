"""Give layers the biases that they lack, for bias correction to have a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.layer_fields import layer_fields
from ul2q.nets.layer_types import QUANTIZED, WEIGHT_LAYERS, float_type, has_bias
from ul2q.nets.prototxt import parse_net

if TYPE_CHECKING:
    from ul2q.nets.prototxt_text import Document

_CAN = ("Convolution", "Deconvolution", "InnerProduct")
# What behind a layer makes its own bias useless: the averages that are subtracted take it.
_NORMS = ("BatchNorm",)


def add_missing_biases(document: Document) -> str:
    """The text of a net whose quantised layers with weights all have biases.

    But for those that share parameters, and those that BatchNorm reads: its averages take what a
    bias would.
    """
    net = parse_net(document.source, document.name)
    normed = {layer.bottom[0] for layer in net.layer if layer.type in _NORMS}
    for layer, entry in zip(net.layer, layer_fields(document), strict=True):
        base = float_type(layer.type)
        if (
            not layer.type.startswith(QUANTIZED)
            or base not in _CAN
            or has_bias(layer)
            or any(one.name for one in layer.param)
            or set(layer.top) & normed
            or entry.block is None
        ):
            continue
        for options in entry.block.all(WEIGHT_LAYERS[base]):
            for term in options.block.all("bias_term") if options.block else ():
                document.set(term, "true")
    return str(document)
