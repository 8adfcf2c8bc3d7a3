"""Refuses layers that Caffe would misunderstand, and says where in a net's file a layer stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import included, net_state
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ul2q.nets.prototxt_text import Field

# How a CaffeError begins that a layer caused: ul2q::LayerScope.
_LAYER = re.compile(r"^Layer '(?P<name>[^']*)' \(")


def check_layers(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState, name: str) -> None:
    """Refuse two layers of one name, unknown types, and rules that contradict each other.

    Two layers of one name would share weights, snapshots and statistics.

    Args:
        net: the net; its layers in the format of 2013/14 are left to Caffe.
        state: in which it runs; layers of one name for different phases are fine.
        name: of its file, which gives the lines if it is there.

    Raises:
        PrototxtError: the message names the file, the lines and the layers.
    """
    known = set(caffe.layer_type_list())
    for index, layer in enumerate(net.layer):
        if layer.include and layer.exclude:
            raise PrototxtError(
                f"{_place(net, name, index)}layer {layer.name!r} has include and exclude rules; "
                "give those of one kind, not both"
            )
        if not included(layer, state):
            continue
        if not layer.type:
            raise PrototxtError(
                f"{_place(net, name, index)}layer {layer.name!r} has no type; write e.g. "
                'type: "Convolution"'
            )
        if layer.type not in known:
            near = near_names(layer.type, known) or f"; it has {', '.join(sorted(known))}"
            raise PrototxtError(
                f"{_place(net, name, index)}layer {layer.name!r} is of type {layer.type!r}, which "
                f"Caffe does not have{near}"
            )
    _refuse_twins(net, state, name)


def refuse_twins(net: caffe_pb2.NetParameter, name: str) -> None:
    """Refuse two layers of one name that stand in the net together, in training or in testing.

    Args:
        net: the net; its layers in the format of 2013/14 are left to Caffe.
        name: as of `check_layers`.

    Raises:
        PrototxtError: the message names the file, the lines and the layers.
    """
    for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
        _refuse_twins(net, net_state(net, phase), name)


def _refuse_twins(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState, name: str) -> None:
    seen: dict[str, int] = {}
    for index, layer in enumerate(net.layer):
        if not layer.name or not included(layer, state):
            continue
        if layer.name in seen:
            first = net.layer[seen[layer.name]]
            where = f" of line {line}" if (line := _line(net, name, seen[layer.name])) else ""
            raise PrototxtError(
                f"{_place(net, name, index)}a second layer is named {layer.name!r} "
                f"({layer.type}; the first, {first.type}, is that{where}): give each a name of "
                "its own"
            )
        seen[layer.name] = index


def place_of_error(error: str, nets: Iterable[str]) -> str:
    """`FILE:LINE: ` of the layer that Caffe's error names; "" if these files have no such layer.

    Where a file has layers of this name for several phases: `FILE:LINE or LINE: `.
    """
    match = _LAYER.match(error)
    if match is None:
        return ""
    for path in nets:
        blocks = [(entry.line, entry.block) for entry in _entries(path) if entry.block]
        named = [(line, block.get("name")) for line, block in blocks]
        lines = [line for line, name in named if name and name.string == match["name"]]
        if lines:
            return f"{path}:{' or '.join(map(str, lines))}: "
    return ""


def _place(net: caffe_pb2.NetParameter, name: str, index: int) -> str:
    line = _line(net, name, index)
    return f"{name}:{line}: " if line else f"{name}: "


def _line(net: caffe_pb2.NetParameter, name: str, index: int) -> int | None:
    """The line of a layer in the net's file; None if the file does not have those layers."""
    entries = _entries(name)
    return entries[index].line if len(entries) == len(net.layer) else None


def _entries(path: str) -> list[Field]:
    try:
        return Document.read(Path(path)).root.all("layer")
    except (OSError, PrototxtError):
        return []
