"""Describes the weights in a run's model, layer by layer, before and after quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import read_blobs
from ul2q.models.histograms import moments, normalised_histogram
from ul2q.nets.data_layers import only_in_training
from ul2q.nets.layer_types import float_type
from ul2q.nets.quantization import method_name
from ul2q.quantizers import dequantize, quantize

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.models.caffemodel import ModelBlob
    from ul2q.models.histograms import Histogram
    from ul2q.quantizers import Quantized


@dataclass(frozen=True)
class QuantizedWeights:
    """What quantisation makes of a blob.

    Attributes:
        method: its name in `ul2q.methods()`.
        bits: how many bits a code has.
        scale, shift: α and β, or their means where each channel has its own.
        loss: the mean squared error.
        share: the mean squared error as a share of the weights' variance; None if that is 0.
        codes: the codes in use, ascending.
        counts: how many weights have each of them.
        lowest_code, highest_code: the limits of the method's codes.
        code_step: the difference of two neighbouring codes of the method.
    """

    method: str
    bits: int
    scale: float
    shift: float
    loss: float
    share: float | None
    codes: NDArray[Any]
    counts: NDArray[Any]
    lowest_code: int
    highest_code: int
    code_step: int

    @property
    def possible(self) -> int:
        """How many codes the method has."""
        return (self.highest_code - self.lowest_code) // self.code_step + 1


@dataclass(frozen=True)
class LayerWeights:
    """A blob of weights.

    Attributes:
        name: the names of layer and blob, "conv1[0]".
        type: the float layer's type.
        shape: the blob's shape.
        mean, sigma: moments of the float weights; None if they are not finite, and so is what
            follows.
        quantized: what quantisation makes of them; None for a float layer.
        histogram: their normalised histogram; None if all weights are equal.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    mean: float | None = None
    sigma: float | None = None
    quantized: QuantizedWeights | None = None
    histogram: Histogram | None = None


def read_layers(model: Path, net: caffe_pb2.NetParameter) -> tuple[LayerWeights, ...]:
    """The blobs of weights in a caffemodel, as its layers quantise them.

    Biases are left out, blobs of float layers that have no axis beside the channels', and layers
    that are there in training alone, as a teacher's.

    Args:
        model: the .caffemodel.
        net: the message in it.

    Raises:
        WeightsError: the file is damaged.
    """
    layers = {layer.name: layer for layer in net.layer}
    found = []
    for blob in read_blobs(model):
        layer = layers.get(blob.layer, caffe_pb2.LayerParameter())
        if _is_weights(layer, blob) and not only_in_training(layer):
            found.append(_describe(layer, blob))
    return tuple(found)


def weight_quantizers(
    layers: Iterable[caffe_pb2.LayerParameter],
) -> list[caffe_pb2.QuantizerParameter]:
    """The quantizers of the layers' weights, in their order, but for a teacher's."""
    return [
        layer.quantization_param.weight
        for layer in layers
        if layer.quantization_param.HasField("weight") and not only_in_training(layer)
    ]


def _is_weights(layer: caffe_pb2.LayerParameter, blob: ModelBlob) -> bool:
    shape = blob.values.shape
    if layer.quantization_param.HasField("weight") and layer.type not in (
        "QuantizedLSTM",
        "QuantizedRNN",
    ):
        return blob.index == 0
    return blob.values.size > max(shape, default=1)


def _describe(layer: caffe_pb2.LayerParameter, blob: ModelBlob) -> LayerWeights:
    values, place = blob.values, (blob.name, float_type(blob.type), blob.values.shape)
    if not values.size or not np.isfinite(values).all():
        return LayerWeights(*place)
    mean, sigma = moments(values)
    title = f"{blob.name} {'×'.join(map(str, values.shape))}"
    if not layer.quantization_param.HasField("weight"):
        histogram = normalised_histogram(title, values) if sigma else None
        return LayerWeights(*place, mean, sigma, None, histogram)
    quantizer = layer.quantization_param.weight
    values = channels_first(layer, values)
    quantized = quantize_as(quantizer, values)
    lowest, highest, step = _code_range(quantizer, quantized.bits)
    codes, counts = np.unique(quantized.codes, return_counts=True)
    weights = QuantizedWeights(
        method=method_name(quantizer),
        bits=quantized.bits,
        scale=float(np.mean(quantized.scale)),
        shift=float(np.mean(quantized.shift)),
        loss=quantized.loss,
        share=quantized.loss / sigma**2 if sigma else None,
        codes=codes,
        counts=counts,
        lowest_code=lowest,
        highest_code=highest,
        code_step=step,
    )
    histogram = normalised_histogram(title, values, quantized, step) if sigma else None
    return LayerWeights(*place, mean, sigma, weights, histogram)


def channels_first(layer: caffe_pb2.LayerParameter, weights: NDArray[Any]) -> NDArray[Any]:
    """Weights as output channels × the rest, where cpp/ul2q/core/channels.hpp says these lie."""
    base = float_type(layer.type)
    if base == "Deconvolution":
        # group × inputs × outputs × kernel
        groups, (inputs, outputs, *kernel) = layer.convolution_param.group, weights.shape
        grouped = weights.reshape(groups, inputs // groups, outputs, *kernel)
        return grouped.swapaxes(1, 2).reshape(groups * outputs, -1)
    if base == "Embed" or (base == "InnerProduct" and layer.inner_product_param.transpose):
        return weights.T
    return weights


def quantize_as(quantizer: caffe_pb2.QuantizerParameter, weights: NDArray[Any]) -> Quantized:
    """Weights, output channels first, as a layer in phase TEST quantises them."""
    names = {
        field: getattr(caffe_pb2.QuantizerParameter, enum).Name(getattr(quantizer, field)).lower()
        for field, enum in (("fit", "Fit"), ("granularity", "Granularity"), ("shift", "Shift"))
        if quantizer.HasField(field)
    }
    bits = quantizer.bits if quantizer.HasField("bits") else None
    return quantize(weights, bits, method_name(quantizer), **names)


def _code_range(quantizer: caffe_pb2.QuantizerParameter, bits: int) -> tuple[int, int, int]:
    """A method's lowest and highest code, and the step between two codes."""
    half = 2 ** (bits - 1)

    def is_code(code: int) -> bool:
        try:
            dequantize([code], 1.0, 0.0, quantizer.bits or None, method_name(quantizer))
        except ValueError:
            return False
        return True

    lowest = next(code for code in (-half, 1 - half, -1) if is_code(code))
    highest = next(code for code in (half, half - 1, 1) if is_code(code))
    return lowest, highest, 1 if highest - lowest < 2**bits else highest - lowest
