"""In what two nets differ, layer by layer: as messages, whatever their texts look like."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from ul2q.util.differences import Difference, differing

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

_LAYERS = ("layer", "layers")  # of today's format and of that of 2014


def net_differences(
    old: caffe_pb2.NetParameter, new: caffe_pb2.NetParameter, *, sources: bool = True
) -> list[Difference]:
    """In what a net is another than it was; nothing if both are the same message.

    A layer is one with another of the same name; of several of one name, such as the data layers
    of both phases, the first with the first.

    Args:
        old: a net.
        new: another.
        sources: whether the databases that Data layers read count, and the mean files.
    """
    before, after = ({} if net is None else _as_dict(net, sources=sources) for net in (old, new))
    layers = [{}, {}]  # type: list[dict[str, Any]]
    for place, net in enumerate((before, after)):
        for field in _LAYERS:
            layers[place] |= _by_name(net.pop(field, []))
    found = list(differing(before, after))
    for name in dict.fromkeys((*layers[0], *layers[1])):
        was, now = layers[0].get(name), layers[1].get(name)
        if was is None or now is None:
            kind = (was or now or {}).get("type", "no type")
            found.append(Difference(name, was and kind, now and kind))
        else:
            found += (
                Difference(f"{name}: {one.name}", one.old, one.new) for one in differing(was, now)
            )
    both = [[name for name in one if all(name in other for other in layers)] for one in layers]
    if both[0] != both[1]:
        found.append(Difference("the order of the layers", both[0], both[1]))
    return found


def _as_dict(net: caffe_pb2.NetParameter, *, sources: bool) -> dict[str, Any]:
    held: dict[str, Any] = MessageToDict(net, preserving_proto_field_name=True)
    if not sources:
        for field in _LAYERS:
            for layer in held.get(field, ()):
                layer.get("data_param", {}).pop("source", None)
                layer.get("transform_param", {}).pop("mean_file", None)
    return held


def _by_name(layers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Layers by what they are called: "layer 'data'", and "layer 'data' (2)" for the second."""
    seen: Counter[str] = Counter()
    found = {}
    for layer in layers:
        name = layer.get("name", "")
        seen[name] += 1
        place = f" ({seen[name]})" if seen[name] > 1 else ""
        found[f"layer {name!r}{place}"] = layer
    return found
