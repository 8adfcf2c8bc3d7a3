"""Move the averages of BatchNorm layers to what quantised layers make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.calibration.lockstep import Lockstep


def correct_batch_norm(quantised: Lockstep, exact: Lockstep, layer: int) -> None:
    """Move a BatchNorm layer's mean and variance by what quantisation moves its bottom's.

    The mean by the difference and the variance by the quotient of both nets on the same images: in
    place of the images' own mean and variance, which would be those of few images.

    Args:
        quantised: the net, about to run the layer; its averages change.
        exact: its float twin, whose layer has the averages of training.
        layer: of type BatchNorm, that takes its averages.
    """
    one = quantised.net.layers[layer]
    mean, variance, factor = (np.array(blob.data, np.float64) for blob in one.blobs)
    if factor[0] == 0:
        return
    (our_mean, our_variance), (mean_before, variance_before) = (
        _moments(net, layer) for net in (quantised, exact)
    )
    used = (variance_before > 0) & (our_variance > 0)
    ratio = np.where(used, our_variance / np.where(used, variance_before, 1), 1)
    one.blobs[0].data[...] = mean + factor[0] * (our_mean - mean_before)
    one.blobs[1].data[...] = variance * ratio


def _moments(net: Lockstep, layer: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and variance of each channel that the layer reads."""
    total: Any = 0
    squares: Any = 0
    count = 0
    for batch in range(net.batches):
        values = np.moveaxis(net.bottom(layer, batch), 1, 0)
        flat = values.reshape(len(values), -1).astype(np.float64)
        total = total + flat.sum(axis=1)
        squares = squares + (flat**2).sum(axis=1)
        count += flat.shape[1]
    mean = total / count
    return mean, np.maximum(squares / count - mean**2, 0)
