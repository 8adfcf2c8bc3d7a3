"""How well a net's quantised blobs stand for their float masters, while it trains."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from caffe._caffe import Net, QuantizedActivation, QuantizedBlob, Solver


@dataclass(frozen=True)
class BlobStatistics:
    """How well a quantised blob of a layer stands for its master.

    For an activation, this is what the last forward pass did.

    Attributes:
        layer: the layer's name.
        field: the field of quantization_param: "weight", "bias" or "activation".
        index: the place of the master among the layer's blobs; None for an activation.
        bits: how many bits a code has.
        scale: α, or its mean over the channels where each has its own.
        shift: β, or its mean over the channels where each has its own.
        loss: the mean squared error of the quantised values; None for an activation in place, whose
            float values are gone.
        lowest_share: the share of the elements that have the smallest code.
        highest_share: the share of the elements that have the largest code.
        sign_flips: how many masters have passed to the other side of the shift since the last
            call; None at the first, and for an activation.
    """

    layer: str
    field: str
    index: int | None
    bits: int
    scale: float
    shift: float
    loss: float | None
    lowest_share: float
    highest_share: float
    sign_flips: int | None


class QuantizationStatistics:
    """Takes the statistics of a net's quantised blobs; remembers the signs of its last call."""

    def __init__(self, net: Net) -> None:
        """Look at `net`, which may change between two calls."""
        self._net = net
        self._above: dict[tuple[str, int], Any] = {}

    def __call__(self) -> list[BlobStatistics]:
        """A row for each quantised blob, in the order of the layers.

        Raises:
            ValueError: a blob holds NaN or infinity; the message names layer and blob.
        """
        rows = []
        for i, (name, layer) in enumerate(
            zip(self._net._layer_names, self._net.layers, strict=True)
        ):
            if activation := layer.quantized_activation():
                rows.append(self._activation_row(i, name, activation))
            rows += [
                self._row(name, blob, layer.blobs[blob.index].data)
                for blob in layer.quantized_blobs()
            ]
        return rows

    def _row(self, layer: str, blob: QuantizedBlob, master: Any) -> BlobStatistics:
        above = np.packbits(master >= blob.shift)
        before = self._above.get((layer, blob.index))
        self._above[layer, blob.index] = above
        size = max(blob.codes.size, 1)
        return BlobStatistics(
            layer=layer,
            field=blob.field,
            index=blob.index,
            bits=blob.bits,
            scale=float(np.mean(blob.scale)),
            shift=float(np.mean(blob.shift)),
            loss=blob.loss,
            lowest_share=np.count_nonzero(blob.codes == blob.lowest_code) / size,
            highest_share=np.count_nonzero(blob.codes == blob.highest_code) / size,
            sign_flips=None if before is None else _count_bits(above ^ before),
        )

    def _activation_row(
        self, index: int, name: str, activation: QuantizedActivation
    ) -> BlobStatistics:
        (bottom,), (top,) = self._net._bottom_ids(index), self._net._top_ids(index)
        values = self._net._blobs[top].data
        loss = None
        if top != bottom:
            error = np.subtract(values, self._net._blobs[bottom].data, dtype=np.float64)
            loss = float(np.mean(error**2))
        size = max(values.size, 1)
        return BlobStatistics(
            layer=name,
            field="activation",
            index=None,
            bits=activation.bits,
            scale=activation.scale,
            shift=activation.shift,
            loss=loss,
            lowest_share=np.count_nonzero(values == np.float32(activation.lowest)) / size,
            highest_share=np.count_nonzero(values == np.float32(activation.highest)) / size,
            sign_flips=None,
        )


def _count_bits(array: Any) -> int:
    return int(np.unpackbits(array).sum())


def record_statistics(solver: Solver, every: int = 1) -> list[tuple[int, list[BlobStatistics]]]:
    """Take the statistics of `solver`'s net before each `every`-th iteration while it runs.

    Returns:
        A list that a callback of the solver appends to: the iteration, and a row for each
        quantised blob.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every < 1:
        raise ValueError(f"every is {every}; must be at least 1")
    statistics = QuantizationStatistics(solver.net)
    records: list[tuple[int, list[BlobStatistics]]] = []

    def on_start() -> None:
        if solver.iter % every == 0:
            records.append((solver.iter, statistics()))

    solver.add_callback(on_start, lambda: None)
    return records


def net_statistics(net: Net) -> list[BlobStatistics]:
    """What `net.quantization_statistics()` returns: a BlobStatistics for each quantised blob.

    `sign_flips` counts from the last call on this net.
    """
    if not hasattr(net, _STATISTICS):
        setattr(net, _STATISTICS, QuantizationStatistics(weakref.proxy(net)))
    rows: list[BlobStatistics] = getattr(net, _STATISTICS)()
    return rows


_STATISTICS = "_ul2q_statistics"
