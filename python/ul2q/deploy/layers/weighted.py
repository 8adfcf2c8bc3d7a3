"""Layers with weights: convolutions, products, tables, and recurrent layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy import ops
from ul2q.deploy.quantized import QuantizedTensor, Weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.deploy.layers.source import Source


def convolution(layer: Source) -> tuple[ops.Op, ...]:
    """Convolution."""
    return (ops.Convolution(*_filter(layer)),)


def deconvolution(layer: Source) -> tuple[ops.Op, ...]:
    """Deconvolution."""
    return (ops.Deconvolution(*_filter(layer)),)


def inner_product(layer: Source) -> tuple[ops.Op, ...]:
    """InnerProduct; weights that lie transposed are turned around."""
    options = layer.param.inner_product_param
    weight = layer.weight(0)
    if options.transpose:
        weight = _transposed(weight)
    return (ops.InnerProduct(weight, _bias(layer), layer.axis(options.axis)),)


def embed(layer: Source) -> tuple[ops.Op, ...]:
    """Embed."""
    return (ops.Embedding(layer.weight(0), _bias(layer)),)


def lstm(layer: Source) -> tuple[ops.Op, ...]:
    """LSTM."""
    return (ops.Lstm(*_recurrent(layer, ["input", "input_bias"], ["state"], states=2)),)


def rnn(layer: Source) -> tuple[ops.Op, ...]:
    """RNN."""
    after = ["state", "output", "output_bias"]
    return (ops.Rnn(*_recurrent(layer, ["input", "input_bias"], after, states=1)),)


def _filter(
    layer: Source,
) -> tuple[Weight, Weight | None, ops.Shape, ops.Shape, ops.Shape, int]:
    """The arguments of both filters."""
    options = layer.param.convolution_param
    if len(layer.bottoms) > 1:
        layer.refuse("several bottoms; give each a layer of its own, with shared weights")
    if layer.axis(options.axis) != 1:
        layer.refuse(f"convolution_param.axis is {options.axis}; only axis 1 can be exported")
    spatial = len(layer.bottoms[0]) - 2
    return (
        layer.weight(0),
        _bias(layer),
        _extents(options.stride, (options.stride_h, options.stride_w), spatial, 1),
        _extents(options.pad, (options.pad_h, options.pad_w), spatial, 0),
        _extents(options.dilation, (0, 0), spatial, 1),
        int(options.group),
    )


def _extents(
    repeated: Sequence[int], height_and_width: tuple[int, int], axes: int, default: int
) -> ops.Shape:
    """A number for each spatial axis, as BaseConvolutionLayer reads the three ways to write it."""
    if any(height_and_width):
        return tuple(map(int, height_and_width))
    given = list(map(int, repeated)) or [default]
    return tuple(given * axes if len(given) == 1 else given)


def _transposed(weight: Weight) -> Weight:
    if isinstance(weight, QuantizedTensor):
        return weight.transposed()
    return np.ascontiguousarray(weight.T)


def _bias(layer: Source) -> Weight | None:
    return layer.weight(1) if len(layer.blobs) > 1 else None


def _recurrent(
    layer: Source, before: list[str], after: list[str], *, states: int
) -> tuple[dict[str, Weight], bool, bool]:
    """Parameters by name, whether there is a static input, and whether states are exposed."""
    exposes = bool(layer.param.recurrent_param.expose_hidden)
    has_static = len(layer.bottoms) > 2 + (states if exposes else 0)
    names = [*before, *(["static"] if has_static else []), *after]
    parameters: dict[str, Weight] = {name: layer.weight(index) for index, name in enumerate(names)}
    if has_static and math.prod(layer.bottoms[2][1:]) != parameters["static"].shape[1]:
        layer.refuse("the static input does not fit its weights")
    return parameters, has_static, exposes


LAYERS = {
    "Convolution": convolution,
    "Deconvolution": deconvolution,
    "InnerProduct": inner_product,
    "Embed": embed,
    "LSTM": lstm,
    "RNN": rnn,
}
