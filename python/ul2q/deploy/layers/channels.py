"""BatchNorm, Scale and Bias: a scale and a shift for each channel when testing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def batch_norm(layer: Source) -> tuple[ops.Op, ...]:
    """BatchNorm by its averages: (x - mean) / sqrt(variance + eps)."""
    options = layer.param.batch_norm_param
    if options.HasField("use_global_stats") and not options.use_global_stats:
        layer.refuse(
            "use_global_stats: false, so each batch is normalised by its own mean; leave that out "
            "of the net that is deployed"
        )
    weight = float(layer.blobs[2].ravel()[0])
    factor = 1 / weight if weight else 0.0
    mean, variance = (layer.blobs[i].astype(np.float64) * factor for i in (0, 1))
    scale = 1 / np.sqrt(variance + float(options.eps))
    return (_affine(layer, scale, -mean * scale, 1),)


def scale(layer: Source) -> tuple[ops.Op, ...]:
    """Scale, by its own parameters or by a second bottom."""
    options = layer.param.scale_param
    axis = layer.axis(options.axis)
    if len(layer.bottoms) == 1:
        factor = layer.blobs[0]
        shift = layer.blobs[1] if options.bias_term else np.zeros_like(factor)
        return (_affine(layer, factor, shift, axis),)
    times = ops.Broadcast("multiply", axis, _shape(layer, layer.bottoms[1], axis))
    if not options.bias_term:
        return (times,)
    shift = layer.blobs[0]
    return (times, _affine(layer, np.ones_like(shift), shift, axis))


def bias(layer: Source) -> tuple[ops.Op, ...]:
    """Bias, by its own parameters or by a second bottom."""
    axis = layer.axis(layer.param.bias_param.axis)
    if len(layer.bottoms) == 1:
        shift = layer.blobs[0]
        return (_affine(layer, np.ones_like(shift), shift, axis),)
    return (ops.Broadcast("add", axis, _shape(layer, layer.bottoms[1], axis)),)


def _affine(layer: Source, factor: Any, shift: Any, axis: int) -> ops.Affine:
    shape = _shape(layer, factor.shape, axis)
    return ops.Affine(
        np.asarray(factor, np.float32).reshape(shape), np.asarray(shift, np.float32).reshape(shape)
    )


def _shape(layer: Source, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape laid beside the first bottom's from an axis on, with ones elsewhere."""
    axes = len(layer.bottoms[0])
    if not shape or axes == 1:  # a number for all, or BatchNorm of one axis
        return (1,) * (axes - len(shape)) + tuple(shape)
    return (1,) * axis + tuple(shape) + (1,) * (axes - axis - len(shape))


LAYERS = {"BatchNorm": batch_norm, "Scale": scale, "Bias": bias}
