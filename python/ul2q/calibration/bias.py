"""Bias correction: take away what quantisation moves the mean of each channel by.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, section 4.2, with means over images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.nets.layer_types import float_type, has_bias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.calibration.lockstep import Lockstep


def correct_bias(quantised: Lockstep, exact: Lockstep, layer: int) -> str:
    """Add to the biases what the means of the channels lack, and run the layer again.

    Args:
        quantised: the net whose layer ran last, and whose biases change.
        exact: its float twin, at the same layer.
        layer: with weights.

    Returns:
        What was done, or why nothing was.
    """
    one = quantised.net.layers[layer]
    param = one.param
    if float_type(param.type) not in ("Convolution", "Deconvolution", "InnerProduct"):
        return ""
    if not has_bias(param):
        return "no bias to correct"
    axis = param.inner_product_param.axis if float_type(param.type) == "InnerProduct" else 1
    lacking = means(exact, layer, axis) - means(quantised, layer, axis)
    bias = np.array(one.blobs[1].data)
    one.blobs[1].data[...] = bias + lacking.reshape(bias.shape)
    quantised.run(layer)
    return "bias corrected"


def means(net: Lockstep, layer: int, axis: int) -> NDArray[np.float64]:
    """The mean of each channel, along an axis, of what the layer that ran last has made."""
    total: Any = 0
    count = 0
    for batch in range(net.batches):
        values = np.moveaxis(net.top(layer, batch), axis, 0)
        flat = values.reshape(len(values), -1)
        total = total + flat.sum(axis=1, dtype=np.float64)
        count += flat.shape[1]
    return np.asarray(total / count)
