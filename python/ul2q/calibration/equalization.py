"""Cross-layer equalisation: give the channels of an activation ranges of one size.

The channels of an activation share a scale. A channel whose values are small has few levels, and
where the next layer has large weights for it, as depthwise layers have, their error becomes the
largest of all. A factor for each channel, which ReLU and its like let through, is taken out of the
layer before and put into the weights behind: the net computes the same, and each channel has more
levels. Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, which balances weights against weights; that activations are what is
balanced, by a power that is tried out, is Xiao et al., "SmoothQuant", ICML 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.nets.layer_types import float_type

if TYPE_CHECKING:
    import caffe
    from numpy.typing import NDArray

    from ul2q.calibration.regions import Region

# How much of the difference between the channels goes; the rest is for the weights behind.
POWERS = (0.25, 0.5, 0.75, 1.0)
_LARGEST = 64.0  # factor between channels
# Of the noise that channels bring to the layers behind, in the mean: what one may bring at least. A
# channel that images hardly reach gains nothing from more levels, and other images reach further.
_FLOOR = 0.25


def factors(ranges: NDArray[Any], weights: NDArray[Any], power: float) -> NDArray[np.float64]:
    """What each channel is to be divided by: rangeᵖ / weightᵖ⁻¹, about 1 in geometric mean.

    Args:
        ranges: how far each channel reaches, at least 0.
        weights: the largest magnitude of the weights that meet each channel.
        power: p, from 0 to 1: 1 gives all channels one range, 0 one size of their weights.

    Returns:
        At least 1/64 and at most 64, but where a channel would matter less than a quarter of the
        root mean square of range times weight: it is divided by as much more. 1 for channels
        without weights.
    """
    used = (ranges > 0) & (weights > 0)
    logarithms = np.zeros(len(ranges))
    logarithms[used] = power * np.log(ranges[used]) - (1 - power) * np.log(weights[used])
    if used.any():
        logarithms[used] -= logarithms[used].mean()
    limit = np.log(_LARGEST)
    found = np.exp(np.clip(logarithms, -limit, limit))
    if used.any():
        least = _FLOOR * np.sqrt(np.mean((found[used] * weights[used]) ** 2))
        read = weights > 0
        found[read] = np.maximum(found[read], least / weights[read])
    return np.asarray(found)


def weights_by_channel(net: caffe.Net, region: Region) -> NDArray[np.float64]:
    """The largest magnitude of the weights, of all readers, that meet each channel."""
    found = [
        np.abs(_by_group(net, reader, region.channels)).max(axis=(1, 3)).ravel()
        for reader in region.readers
    ]
    return np.asarray(np.max(found, axis=0), np.float64)


def divide(net: caffe.Net, region: Region, by: NDArray[Any]) -> None:
    """Divide the channels of a region by factors, and multiply the weights behind by them.

    Args:
        net: whose masters change; what it computes does not, but for rounding.
        region: of the net.
        by: a factor above 0 for each channel.
    """
    for blob in list(net.layers[region.producer].blobs)[:2]:  # weights or scales, and biases
        values = np.array(blob.data)
        blob.data[...] = values / by.reshape(-1, *[1] * (values.ndim - 1))
    for reader in region.readers:
        weights = _by_group(net, reader, region.channels)
        weights *= by.reshape(len(weights), 1, -1, 1)
        blob = net.layers[reader].blobs[0]
        blob.data[...] = weights.reshape(tuple(blob.shape))


def _by_group(net: caffe.Net, reader: int, channels: int) -> NDArray[np.float64]:
    """A copy of weights: groups × outputs of a group × channels of a group × the rest."""
    layer = net.layers[reader]
    weights = np.array(layer.blobs[0].data, np.float64)
    group = 1
    if float_type(layer.type) == "Convolution":
        group = max(1, int(layer.param.convolution_param.group))
    return weights.reshape(group, len(weights) // group, channels // group, -1)
