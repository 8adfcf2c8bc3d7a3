"""How many bits the parameters of a model take, quantised and as floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import WeightsError
from ul2q.nets.data_layers import only_in_training
from ul2q.nets.layer_types import WEIGHT_LAYERS, float_type
from ul2q.nets.quantization import code_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.models.caffemodel import ModelBlob

FLOAT_BITS = 32


@dataclass(frozen=True)
class LayerSize:
    """What a layer's parameters take.

    Attributes:
        layer: the layer's name.
        type: the float layer's type.
        weights: how many weights it has; 0 for a layer such as BatchNorm.
        weight_bits: bits of a weight: those of its code, or 32 in a float layer.
        others: how many other parameters it has: biases, averages, scales.
        bits: what all of it takes: codes at their width, and for each quantised blob α and β as
            float32, once or for each output channel; all else as float32.
    """

    layer: str
    type: str
    weights: int
    weight_bits: int
    others: int
    bits: int

    @property
    def float_bits(self) -> int:
        """What all of it takes as float32."""
        return FLOAT_BITS * (self.weights + self.others)


@dataclass(frozen=True)
class ModelSize:
    """What the parameters of a model take.

    Attributes:
        layers: the layers that have parameters, in the model's order.
    """

    layers: tuple[LayerSize, ...]

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(layer.weights for layer in self.layers)

    @property
    def parameters(self) -> int:
        """How many parameters there are, weights and all others."""
        return self.weights + sum(layer.others for layer in self.layers)

    @property
    def bits_per_weight(self) -> float | None:
        """The mean width of a weight; None without weights."""
        total = sum(layer.weights * layer.weight_bits for layer in self.layers)
        return total / self.weights if self.weights else None

    @property
    def kilobytes(self) -> float:
        """What all parameters take, in 1,000 bytes."""
        return sum(layer.bits for layer in self.layers) / 8000

    @property
    def float_kilobytes(self) -> float:
        """What all parameters take as float32, in 1,000 bytes."""
        return sum(layer.float_bits for layer in self.layers) / 8000

    @property
    def compression(self) -> float:
        """How many times smaller the model is than as float32; 1 without parameters."""
        return self.float_kilobytes / self.kilobytes if self.kilobytes else 1.0


def model_size(blobs: Sequence[ModelBlob], layers: Sequence[caffe_pb2.LayerParameter]) -> ModelSize:
    """The size of a model, as these layers quantise it.

    Layers that are there in phase TRAIN alone, such as a teacher's, do not count, unless all are.

    Args:
        blobs: of the model; those that several layers share count for each of them.
        layers: say how the layers of these names are quantised: those of the model itself, or of a
            net that is to compute with it. A layer that is not among them is float.

    Raises:
        WeightsError: no blob belongs to any of these layers.
    """
    known = {layer.name: layer for layer in layers}
    of_training = {layer.name for layer in layers if only_in_training(layer)}
    of_training -= {layer.name for layer in layers if not only_in_training(layer)}
    if all(blob.layer in of_training for blob in blobs):
        of_training = set()  # a net of its own for training
    by_layer: dict[str, list[ModelBlob]] = {}
    for blob in blobs:
        if blob.layer not in of_training:
            by_layer.setdefault(blob.layer, []).append(blob)
    if known and not known.keys() & by_layer.keys():
        raise WeightsError(
            f"the net has none of the model's layers, which are {', '.join(map(repr, by_layer))}"
        )
    return ModelSize(
        tuple(
            _layer_size(known.get(name, caffe_pb2.LayerParameter(name=name)), held)
            for name, held in by_layer.items()
        )
    )


def _layer_size(layer: caffe_pb2.LayerParameter, blobs: Sequence[ModelBlob]) -> LayerSize:
    kind = float_type(layer.type or blobs[0].type)
    quantization = layer.quantization_param
    weights = others = bits = 0
    weight_bits = FLOAT_BITS
    for blob in blobs:
        count, shape = blob.values.size, blob.values.shape
        is_weight = kind in WEIGHT_LAYERS and _is_weight(kind, blob)
        use = "weight" if is_weight else "bias"
        if kind in WEIGHT_LAYERS and quantization.HasField(use):
            quantizer = getattr(quantization, use)
            width = code_bits(quantizer)
            by_channel = is_weight and quantizer.granularity == quantizer.CHANNEL
            scales = _output_channels(layer, kind, shape) if by_channel else 1
            bits += width * count + 2 * FLOAT_BITS * scales
        else:
            width = FLOAT_BITS
            bits += width * count
        if is_weight:
            weights, weight_bits = weights + count, width
        else:
            others += count
    return LayerSize(blobs[0].layer, kind, weights, weight_bits, others, bits)


def _is_weight(kind: str, blob: ModelBlob) -> bool:
    """Whether a blob of a layer with weights has weights in it, not biases."""
    if kind in ("LSTM", "RNN"):  # matrices of inputs and of the hidden state, biases among them
        return blob.values.ndim > 1
    return blob.index == 0


def _output_channels(layer: caffe_pb2.LayerParameter, kind: str, shape: Sequence[int]) -> int:
    """How many output channels weights have, where cpp/ul2q/core/channels.hpp says these lie."""
    if kind == "Deconvolution":
        return int(layer.convolution_param.group) * shape[1]
    if kind == "Embed" or (kind == "InnerProduct" and layer.inner_product_param.transpose):
        return math.prod(shape[1:])
    return shape[0]
