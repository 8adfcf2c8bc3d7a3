"""Adaptive rounding of a layer's master weights, kept where the layer's own fit keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.calibration.inputs import groups_of, reads_in_rows, rows
from ul2q.calibration.ranges import Grid
from ul2q.calibration.rounding import output_error, round_to_output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.calibration.lockstep import Lockstep

_LARGEST_ROW = 4096  # weights of an output: its square is held and gone through
_POSITIONS = 40  # that are looked at for each weight of a row, and at least so many thousands
_LEAST = 20_000


def round_layer(net: Lockstep, layer: int, *, centred: bool) -> str:
    """Round each weight of a layer so that its output is closest, for the inputs it is to read.

    The rounded weights become the masters, to which the layer fits scale and shift as ever. Where
    the fit finds other levels than those that the weights were rounded to, and the output is not
    closer for it, the masters of the channel stay as they were.

    Args:
        net: quantised, about to run the layer.
        layer: with weights.
        centred: whether the mean of the output's error is not to count, as the bias takes it.

    Returns:
        What was done, or why nothing was.
    """
    one = net.net.layers[layer]
    param = one.param
    quantizer = param.quantization_param.weight
    shape = tuple(one.blobs[0].shape)
    group = groups_of(param) if reads_in_rows(param) else 1
    size = int(np.prod(shape[1:]))
    if Grid.of(quantizer) is None or not reads_in_rows(param) or size > _LARGEST_ROW:
        return "rounded to the nearest"
    master = np.array(one.blobs[0].data)
    moments, rows_seen = _moments(net, layer, shape, group, centred=centred)
    before = _Levels(one, group)
    weights = master.reshape(group, -1, size).astype(np.float64)
    rounded = np.stack(
        [
            round_to_output(*each)
            for each in zip(
                weights,
                before.values,
                _shrunk(moments, rows_seen),
                before.scale,
                before.lowest,
                before.highest,
                strict=True,
            )
        ]
    )
    one.blobs[0].data[...] = rounded.reshape(shape)
    after = _Levels(one, group)
    old, new = (
        np.stack([output_error(*each) for each in zip(weights, found.values, moments, strict=True)])
        for found in (before, after)
    )
    kept = new < old
    if quantizer.granularity != quantizer.CHANNEL:  # one fit for all
        kept[...] = new.sum() < old.sum()
    mixed = np.where(kept[..., np.newaxis], rounded, weights)
    one.blobs[0].data[...] = mixed.reshape(shape)
    # A form that is next to nothing may be computed as less than that.
    gain = max(np.where(kept, new, old).sum(), 0) / max(old.sum(), 1e-300)
    return f"rounded, error {gain**0.5:.2f}"


class _Levels:
    """The quantised weights of a layer, by group: groups x outputs of a group x weights.

    Attributes:
        values: the levels that the weights are at.
        scale, lowest, highest: of each output, with 1 in the place of weights.
    """

    def __init__(self, layer: Any, group: int) -> None:
        (blob,) = [one for one in layer.quantized_blobs() if one.field == "weight"]
        outputs = len(blob.values) // group
        values = np.asarray(blob.values, np.float64)
        self.values = values.reshape(group, outputs, -1)
        codes = blob.codes.reshape(self.values.shape)[..., :1]
        scale = np.broadcast_to(np.asarray(blob.scale, np.float64), values.shape)
        self.scale: NDArray[Any] = scale.reshape(self.values.shape)[..., :1]
        self.lowest = self.values[..., :1] - (codes - blob.lowest_code) * self.scale
        self.highest = self.values[..., :1] + (blob.highest_code - codes) * self.scale


def _moments(
    net: Lockstep, layer: int, shape: tuple[int, ...], group: int, *, centred: bool
) -> tuple[NDArray[np.float64], int]:
    """E[x xᵀ], or the covariance, of the inputs of a row, and how many inputs it is the mean of.

    Its shape is groups x weights x weights.
    """
    param = net.net.layers[layer].param
    size = int(np.prod(shape[1:]))
    most = max(_LEAST, _POSITIONS * size) // net.batches
    products: Any = np.zeros((group, size, size))
    sums: Any = np.zeros((group, size))
    count = 0
    for batch in range(net.batches):
        x = rows(param, net.bottom(layer, batch), shape[2:], most=most)
        products += x.transpose(0, 2, 1) @ x
        sums += x.sum(axis=1, dtype=np.float64)
        count += x.shape[1]
    moments = products / count
    if centred:
        means = sums / count
        moments -= means[:, :, np.newaxis] * means[:, np.newaxis, :]
    return np.asarray(moments), count


def _shrunk(moments: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Moments nearer to their diagonals, the fewer inputs there were for each weight.

    An inner product of 1,024 weights sees one input an image: 50 images leave directions that
    they say nothing of, in which the weights would otherwise go anywhere.
    """
    size = moments.shape[-1]
    share = size / (count + size)
    diagonal = moments * np.eye(size)
    return np.asarray((1 - share) * moments + share * diagonal)
