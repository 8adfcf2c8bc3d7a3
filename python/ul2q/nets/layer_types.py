"""The quantised layers by type, and the float layers that they take the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

QUANTIZED = "Quantized"  # begins each quantised layer's type
ACTIVATION = "QuantizedActivation"

# Depthwise convolutions of forks. Their weights are those of a Convolution with as many groups as
# outputs, whose quantised twin takes their place.
DEPTHWISE = ("DepthwiseConvolution", "ConvolutionDepthwise")

# The layers with weights that have a quantised twin, and where their own options stand.
WEIGHT_LAYERS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Embed": "embed_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
    **dict.fromkeys(DEPTHWISE, "convolution_param"),
}

# The other layers whose parameters are learned: a number or a few for each channel.
CHANNEL_LAYERS = ("BatchNorm", "Scale", "Bias", "PReLU", "BN", "Normalize")


def float_type(layer_type: str) -> str:
    """The type of the float layer that a layer of this type is, or takes the place of."""
    return layer_type.removeprefix(QUANTIZED)


def quantized_type(layer_type: str) -> str:
    """The type of the quantised layer for a float or quantised layer with weights."""
    base = float_type(layer_type)
    return QUANTIZED + ("Convolution" if base in DEPTHWISE else base)


def is_constant_upsampling(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer interpolates by weights that no training changes.

    That is a Deconvolution whose weights have `lr_mult: 0`, and which begins as bilinear
    interpolation or has no biases, as nets for segmentation have them. Other layers that are held
    still, as fine-tuning does it, have learned their weights before.
    """
    options = layer.convolution_param
    return (
        float_type(layer.type) == "Deconvolution"
        and bool(layer.param)
        and layer.param[0].lr_mult == 0
        and (options.weight_filler.type == "bilinear" or not options.bias_term)
    )


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
