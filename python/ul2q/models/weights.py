"""Load trained weights into a net, and say which of them do not belong to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
        is_missing: whether it is the file that does not have the layer.
    """

    layer: str
    why: str
    is_missing: bool = False

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
    file = _WeightsFile.read(path)
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
    file = _WeightsFile.read(path)
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
            *(
                NotTaken(name, f"the file has none{near}", is_missing=True)
                for name, near in self.missing.items()
            ),
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


class _WeightsFile(ABC):
    """A file of weights of one of the two formats.

    Attributes:
        layers: the names of those that have blobs.
    """

    layers: tuple[str, ...]

    @staticmethod
    def read(path: Path) -> _WeightsFile:
        return _Hdf5File(path) if path.suffix == ".h5" else _BinaryFile(path)

    def compare(self, net: caffe.Net) -> _Comparison:
        unknown = tuple(name for name in self.layers if name not in net.params)
        optional = _activations(net)
        taken, missing, misfits = [], {}, {}
        for name, wanted in self._wanted(net).items():
            if name not in self.layers:
                if wanted and name not in optional:
                    missing[name] = near_names(name, unknown)
            elif why := self._misfit(name, len(net.params[name]), wanted):
                misfits[name] = why
            else:
                taken.append(name)
        return _Comparison(tuple(taken), missing, misfits, unknown)

    @abstractmethod
    def copy_into(self, net: caffe.Net, comparison: _Comparison) -> None:
        """Copy all layers but the misfits; the file serves one net."""

    def _wanted(self, net: caffe.Net) -> dict[str, dict[int, tuple[int, ...]]]:
        """For each layer of the net: the blobs that the file must hold, by index, and their shapes.

        A `.caffemodel` holds each blob of a layer, be it another's, too.
        """
        return {
            name: {index: tuple(blob.shape) for index, blob in enumerate(blobs)}
            for name, blobs in net.params.items()
        }

    @abstractmethod
    def _misfit(self, name: str, count: int, wanted: dict[int, tuple[int, ...]]) -> str | None:
        """Why the file's layer is none for the net, which has `count` blobs; None if it is."""


class _BinaryFile(_WeightsFile):
    """A `.caffemodel`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model = read_caffemodel(path)
        self._held = {layer.name: layer for layer in layers_with_blobs(self._model)}
        self.layers = tuple(self._held)

    def copy_into(self, net: caffe.Net, comparison: _Comparison) -> None:
        blobs = {name: len(net.params.get(name, ())) for name in net._layer_names}

        def misfits(layer: ModelLayer) -> bool:
            others = layer.name in blobs and blobs[layer.name] != len(layer.blobs)
            return others or layer.name in comparison.misfits

        drop_layers(self._model, misfits)
        try:
            net.copy_from(self._model)
        except caffe.CaffeError as error:
            raise WeightsError(f"{self._path} is damaged: {error}") from error

    def _misfit(self, name: str, count: int, wanted: dict[int, tuple[int, ...]]) -> str | None:
        layer = self._held[name]
        if len(layer.blobs) != count:
            return _other_count(count, len(layer.blobs))
        for index, shape in wanted.items():
            blob = layer.blobs[index]
            held = blob_shape(blob)
            # The four numbers of old files have ones in front, as Blob::ShapeEquals allows for.
            old = blob.HasField("num") or blob.HasField("channels")
            if held != shape and not (old and held == (1,) * (4 - len(shape)) + shape):
                return _other_shape(index, shape, held)
        return None


class _Hdf5File(_WeightsFile):
    """A `.caffemodel.h5`."""

    def __init__(self, path: Path) -> None:
        try:
            self._weights = caffe._caffe._Hdf5Weights(path)
            self._held = self._weights.shapes
        except caffe.CaffeError as error:
            raise WeightsError(f"{path} is damaged or no .caffemodel.h5: {error}") from error
        self._path = path
        self.layers = tuple(self._held)

    def copy_into(self, net: caffe.Net, comparison: _Comparison) -> None:
        for name in comparison.taken:
            for index in self._held[name]:
                try:
                    values = self._weights.read(name, index)
                except caffe.CaffeError as error:
                    raise WeightsError(f"{self._path}: layer {name!r}: {error}") from error
                net.params[name][index].data[...] = values

    def _wanted(self, net: caffe.Net) -> dict[str, dict[int, tuple[int, ...]]]:
        """Those of `_BinaryFile`, without blobs that an earlier layer has, too."""
        seen: set[int] = set()
        wanted: dict[str, dict[int, tuple[int, ...]]] = {}
        for name, blobs in net.params.items():
            own = wanted[name] = {}
            for index, blob in enumerate(blobs):
                address = blob.data.ctypes.data
                if not blob.count or address not in seen:
                    own[index] = tuple(blob.shape)
                seen.add(address)
        return wanted

    def _misfit(self, name: str, count: int, wanted: dict[int, tuple[int, ...]]) -> str | None:
        held = self._held[name]
        if max(held) >= count or not wanted.keys() <= held.keys():
            return _other_count(count, len(held))
        for index, shape in wanted.items():
            if tuple(held[index]) != shape:
                return _other_shape(index, shape, held[index])
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


def _other_count(wanted: int, held: int) -> str:
    return f"the net has {wanted} blob{'' if wanted == 1 else 's'}, the file {held}"


def _other_shape(index: int, wanted: Sequence[int], held: Sequence[int]) -> str:
    return f"blob {index} is {_times(wanted)}, the file's {_times(held)}"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a number"
