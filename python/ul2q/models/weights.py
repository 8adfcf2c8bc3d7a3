"""Load trained weights into a net, and say which of them do not belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.models.caffemodel import (
    ModelLayer,
    WeightsError,
    blob_shape,
    drop_layers,
    layers_with_blobs,
    read_caffemodel,
)
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.net_outputs import weights_not_finite
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ul2q.util.paths import StrPath

_NAMED = 12  # parts that a message lists


@dataclass(frozen=True)
class NotTaken:
    """A layer whose weights a net has not taken from a file.

    Attributes:
        layer: its name.
        why: what the net and the file have of it, e.g. "blob 0 is 500×800, the file's 500×450".
    """

    layer: str
    why: str

    def __str__(self) -> str:
        """E.g. "'ip1': blob 0 is 500×800, the file's 500×450"."""
        return f"{self.layer!r}: {self.why}"


def load_weights(
    net: caffe.Net, path: StrPath, *, complete: bool, net_name: str = ""
) -> tuple[NotTaken, ...]:
    """Copy the layers of `path` (.caffemodel or .caffemodel.h5) into those of the same name.

    Args:
        net: where the weights go.
        path: the file.
        complete: every layer of the net that has parameters must be in the file, in the same
            shape, but for a QuantizedActivation, which fits each batch as long as it has no
            averages; else at least one.
        net_name: the net's file, for messages; "" for the net's own name.

    Returns:
        The layers of the net that keep their values, then those of the file that the net does not
        have; empty if all belongs together.

    Raises:
        WeightsError: the file is damaged, lacks those layers, or holds NaN or infinity.
    """
    path = Path(path)
    file = _WeightsFile(path)
    comparison = file.compare(net)
    lacking = comparison.missing or comparison.misfits
    if lacking and (complete or not comparison.taken):
        name = net_name or f"the net {net.name!r}"
        raise WeightsError(comparison.refusal(path, name, list(file.layers)))
    file.copy_into(net, comparison)
    if layer := weights_not_finite(net):
        raise WeightsError(f"{path}: the weights of layer {layer!r} hold NaN or infinity")
    return comparison.not_taken


def copy_what_fits(net: caffe.Net, path: Path) -> None:
    """Copy the layers of a file that are those of a net in name and shape, be there none.

    Raises:
        WeightsError: the file is damaged.
    """
    file = _WeightsFile(path)
    file.copy_into(net, file.compare(net))


def told(not_taken: Sequence[NotTaken], path: Path, net_name: str) -> str:
    """One text about what a net has not taken from a file, to warn of."""
    listed = [str(one) for one in not_taken[:_NAMED]]
    if len(not_taken) > _NAMED:
        listed.append(f"and {len(not_taken) - _NAMED} more")
    return f"{path} and {net_name} differ in these layers, which are not taken: {'; '.join(listed)}"


@dataclass(frozen=True)
class _Comparison:
    """A net and a file beside each other.

    Attributes:
        taken: the layers of both, of the same shapes.
        missing: the layers of the net that the file does not have, each with near names of those
            that the net does not have, or "". QuantizedActivation layers can do without.
        misfits: the layers of both whose blobs differ, and how.
        unknown: the layers of the file that the net does not have.
    """

    taken: tuple[str, ...]
    missing: dict[str, str]
    misfits: dict[str, str]
    unknown: tuple[str, ...]

    @property
    def not_taken(self) -> tuple[NotTaken, ...]:
        return (
            *(NotTaken(name, f"the file has none{near}") for name, near in self.missing.items()),
            *(NotTaken(name, why) for name, why in self.misfits.items()),
            *(NotTaken(name, "the net has none") for name in self.unknown),
        )

    def refusal(self, path: Path, net_name: str, held: Iterable[str]) -> str:
        """The message of the error that names both."""
        parts = []
        if self.missing:
            parts.append(
                f"has no weights for layer {_names(self.missing)}; it holds {_names(held)}"
            )
        if self.misfits:
            listed = [f"{name!r}: {why}" for name, why in self.misfits.items()][:_NAMED]
            parts.append(f"has other blobs than the net: {'; '.join(listed)}")
        near = next((near for near in self.missing.values() if near), "")
        return f"{path} {', and it '.join(parts)} (the net is {net_name}){near}"


class _WeightsFile:
    """A file of weights.

    Attributes:
        layers: those that have blobs, by name; None for those of HDF5, whose shapes Caffe checks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model = None if path.suffix == ".h5" else read_caffemodel(path)
        self.layers: dict[str, ModelLayer | None] = {}
        if self._model is not None:
            self.layers.update((layer.name, layer) for layer in layers_with_blobs(self._model))
            return
        try:
            self.layers.update(dict.fromkeys(sorted(caffe._caffe._hdf5_weights(str(path)))))
        except caffe.CaffeError as error:
            raise WeightsError(f"{path} is damaged or no .caffemodel.h5") from error

    def compare(self, net: caffe.Net) -> _Comparison:
        unknown = tuple(name for name in self.layers if name not in net.params)
        optional = _activations(net)
        taken, missing, misfits = [], {}, {}
        for name, blobs in net.params.items():
            layer = self.layers.get(name)
            if name not in self.layers:
                if name not in optional:
                    missing[name] = near_names(name, unknown)
            elif layer is not None and (why := _misfit(layer, [tuple(b.shape) for b in blobs])):
                misfits[name] = why
            else:
                taken.append(name)
        return _Comparison(tuple(taken), missing, misfits, unknown)

    def copy_into(self, net: caffe.Net, comparison: _Comparison) -> None:
        """Copy all layers but the misfits; the file serves one net."""
        if self._model is None:
            try:
                net.copy_from(str(self._path))
            except caffe.CaffeError as error:
                raise WeightsError(f"{self._path}: {error}") from error
            return
        blobs = {name: len(net.params.get(name, ())) for name in net._layer_names}

        def misfits(layer: ModelLayer) -> bool:
            others = layer.name in blobs and blobs[layer.name] != len(layer.blobs)
            return others or layer.name in comparison.misfits

        drop_layers(self._model, misfits)
        net.copy_from(self._model)


def _misfit(layer: ModelLayer, wanted: Sequence[tuple[int, ...]]) -> str | None:
    """Why blobs of these shapes cannot take a layer's; None if they can."""
    if len(layer.blobs) != len(wanted):
        return f"the net has {_count(len(wanted))}, the file {len(layer.blobs)}"
    for index, (blob, shape) in enumerate(zip(layer.blobs, wanted, strict=True)):
        held = blob_shape(blob)
        # The four numbers of old files have ones in front, as Blob::ShapeEquals allows for.
        old = blob.HasField("num") or blob.HasField("channels")
        if held != shape and not (old and held == (1,) * (4 - len(shape)) + shape):
            return f"blob {index} is {_times(shape)}, the file's {_times(held)}"
    return None


def activations_without_averages(net: caffe.Net) -> list[str]:
    """The QuantizedActivation layers that no training pass has fitted: the weight is 0."""
    return [
        name
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.type == ACTIVATION and not layer.blobs[1].data.any()
    ]


def _activations(net: caffe.Net) -> list[str]:
    layers = zip(net._layer_names, net.layers, strict=True)
    return [name for name, layer in layers if layer.type == ACTIVATION]


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return (", ".join(map(repr, listed[:_NAMED])) or "none") + more


def _count(blobs: int) -> str:
    return f"{blobs} blob{'' if blobs == 1 else 's'}"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a number"
