"""The quantised layers by type, and the float layers that they take the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

QUANTIZED = "Quantized"  # begins each quantised layer's type
ACTIVATION = "QuantizedActivation"

# The layers with weights that have a quantised twin, and where their own options stand.
WEIGHT_LAYERS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Embed": "embed_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
}


def float_type(layer_type: str) -> str:
    """The type of the float layer that a layer of this type is, or takes the place of."""
    return layer_type.removeprefix(QUANTIZED)


def has_bias(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer with weights has biases."""
    options = getattr(layer, WEIGHT_LAYERS[float_type(layer.type)])
    return bool(getattr(options, "bias_term", True))  # recurrent layers always


def activation_bottoms(layer: caffe_pb2.LayerParameter) -> range:
    """The bottoms of a layer with weights that hold activations, by their place.

    Not the indices that an Embed layer reads, nor what a recurrent layer reads besides its
    input: marks of where sequences begin, and states.
    """
    base = float_type(layer.type)
    if base == "Embed":
        return range(0)
    return range(1 if base in ("LSTM", "RNN") else len(layer.bottom))
