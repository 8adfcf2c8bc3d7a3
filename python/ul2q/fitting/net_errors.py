"""How far a quantised net is from its float one: in its weights, its layers and its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.nets.layer_types import QUANTIZED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import caffe
    from caffe._caffe import Blob
    from numpy.typing import NDArray

Batch = dict[str, "NDArray[Any]"]
"""Values for each input of a net, by its name."""


class Error:
    """Gathers a relative error: the root of squared differences over squared values."""

    def __init__(self) -> None:
        """Begin with no elements."""
        self._difference = 0.0
        self._size = 0.0

    def add(self, value: NDArray[Any], quantised: NDArray[Any]) -> None:
        """Add the elements of two arrays of one shape."""
        exact = np.asarray(value, np.float64)
        self._difference += float(np.sum((np.asarray(quantised, np.float64) - exact) ** 2))
        self._size += float(np.sum(exact**2))

    @property
    def value(self) -> float:
        """0 where there is nothing to be wrong; infinity for something where 0 is right."""
        if self._difference == 0:
            return 0.0
        return float((self._difference / self._size) ** 0.5) if self._size else float("inf")


def weight_errors(net: caffe.Net) -> dict[str, float]:
    """By layer, the relative error of the quantised weights."""
    found: dict[str, Error] = {}
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        for blob in layer.quantized_blobs():
            if blob.field == "weight":
                found.setdefault(name, Error()).add(layer.blobs[blob.index].data, blob.values)
    return {name: error.value for name, error in found.items()}


def outputs(net: caffe.Net, batches: Iterable[Batch]) -> list[Batch]:
    """What a net puts out for each batch."""
    found = []
    for _ in given(net, batches):
        net.forward()
        found.append({name: net.blobs[name].data.copy() for name in net.outputs})
    return found


def outputs_error(expected: Sequence[Batch], found: Sequence[Batch]) -> float:
    """The relative error of all outputs that both nets have."""
    error = Error()
    for exact, quantised in zip(expected, found, strict=True):
        for name in exact.keys() & quantised.keys():
            error.add(exact[name], quantised[name])
    return error.value


def layer_errors(
    net: caffe.Net, others: Mapping[str, caffe.Net], batches: Iterable[Batch]
) -> dict[str, dict[str, float]]:
    """The relative error of what each quantised layer makes of the float net's values.

    Args:
        net: the float net.
        others: the same net with other layers with weights, by a name.
        batches: inputs of the net.

    Returns:
        By the name of each other net, by layer.
    """
    errors: dict[str, dict[str, Error]] = {name: {} for name in others}
    quantised_layers = {
        name: {
            index for index, layer in enumerate(other.layers) if layer.type.startswith(QUANTIZED)
        }
        for name, other in others.items()
    }
    for batch in batches:
        for one in (net, *others.values()):
            _give(one, batch)
        for index, name in enumerate(net._layer_names):
            quantised = {
                other: found for other, found in others.items() if index in quantised_layers[other]
            }
            # Before the float layer, which may write into its bottom.
            for found in quantised.values():
                for blob, exact in zip(
                    _blobs(found, found._bottom_ids(index)),
                    _blobs(net, net._bottom_ids(index)),
                    strict=True,
                ):
                    blob.data[...] = exact.data
                found._forward(index, index)
            net._forward(index, index)
            for other, found in quantised.items():
                error = errors[other].setdefault(name, Error())
                for blob, exact in zip(
                    _blobs(found, found._top_ids(index)),
                    _blobs(net, net._top_ids(index)),
                    strict=True,
                ):
                    error.add(exact.data, blob.data)
    return {
        other: {name: error.value for name, error in found.items()}
        for other, found in errors.items()
    }


def given(net: caffe.Net, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, each of which is in the net's inputs, of its shape, when it comes."""
    for batch in batches:
        _give(net, batch)
        yield batch


def _give(net: caffe.Net, batch: Batch) -> None:
    for name, values in batch.items():
        blob = net.blobs[name]
        if tuple(blob.shape) != values.shape:
            blob.reshape(*values.shape)
            net.reshape()
        blob.data[...] = values


def _blobs(net: caffe.Net, ids: Iterable[int]) -> list[Blob]:
    blobs = net._blobs
    return [blobs[one] for one in ids]
