"""QuantizedActivation: the levels that the layer itself would use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def quantized_activation(layer: Source) -> tuple[ops.Op, ...]:
    """QuantizedActivation, by the averages that it holds."""
    if not layer.blobs[1].any():
        layer.refuse(
            "it has no averages yet and fits each batch anew; `ul2q calibrate` or training "
            "gives it some"
        )
    fit = _fit(layer)
    options = layer.param.quantization_param.activation
    if options.method == options.BINARY:
        return (ops.BinarizeActivation(fit.scale),)
    if options.method in (options.TERNARY, options.TERNARY_QUANTIZED):
        return (ops.TernarizeActivation(fit.scale, float(layer.blobs[0][2])),)
    if fit.scale == 0:
        return (ops.QuantizeActivation(0.0, fit.shift, 0.0, 0, 0, fit.bits),)
    # The outermost levels lie on whole or half steps from the shift.
    lowest, highest = (
        round(2 * (level - fit.shift) / fit.scale) for level in (fit.lowest, fit.highest)
    )
    offset = lowest % 2 / 2
    codes = (round(lowest / 2 + offset), round(highest / 2 + offset))
    return (ops.QuantizeActivation(fit.scale, fit.shift, offset, *codes, fit.bits),)


def _fit(layer: Source) -> caffe._caffe.QuantizedActivation:
    """Scale, shift and levels, from one pass of a net of this layer alone."""
    param = caffe_pb2.LayerParameter()
    param.CopyFrom(layer.param)
    del param.bottom[:], param.top[:], param.param[:], param.include[:], param.exclude[:]
    param.bottom.append("x")
    param.top.append("y")
    given = caffe_pb2.LayerParameter(name="x", type="Input", top=["x"])
    given.input_param.shape.add().dim.append(1)
    net = caffe.Net.from_proto(caffe_pb2.NetParameter(layer=[given, param]), caffe.TEST)
    for blob, values in zip(net.layers[1].blobs, layer.blobs, strict=True):
        blob.data[...] = values
    net.forward(x=np.zeros(1))
    fit = net.layers[1].quantized_activation()
    assert fit is not None  # there was a forward pass  # noqa: S101
    return fit


LAYERS = {"Activation": quantized_activation}
