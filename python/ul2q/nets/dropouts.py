"""Dropout in a net whose activations are quantised: those are quantised before it.

Dropout passes its bottom on in phase TEST; in TRAIN it sets values to 0 and scales the others up.
A scale that is learned behind it fits values that no test has; before it, both phases have the
same, and what is dropped is an activation on its levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.blob_flow import SHAPE_ONLY
from ul2q.nets.layer_types import ACTIVATION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from caffe.proto import caffe_pb2

    from ul2q.nets.blob_flow import Bottom, Flow

DROPOUT = "Dropout"


def movable_dropouts(net: caffe_pb2.NetParameter, found: Sequence[Flow]) -> frozenset[int]:
    """The Dropout layers in place that can work on a quantised blob instead, by index.

    All who read behind one then have to read that blob, too. A layer in place has to stay, and so
    has a QuantizedActivation: then the Dropout layer stays with it.
    """
    movable = {
        index
        for index, layer in enumerate(net.layer)
        if layer.type == DROPOUT and _is_in_place(layer)
    }
    while True:
        bound = {
            version.writer
            for flow in found
            for (reader, _), version in flow.reads.items()
            if version.writer in movable
            and reader not in movable
            and (net.layer[reader].type == ACTIVATION or version.blob in net.layer[reader].top)
        }
        if not bound:
            return frozenset(movable)
        movable -= bound


def before_dropouts(
    net: caffe_pb2.NetParameter,
    found: Sequence[Flow],
    past_moved: Sequence[Flow],
    moved: Collection[int],
    bottom: Bottom,
) -> set[Bottom]:
    """The bottoms to quantise so that `bottom` holds quantised values in both phases.

    That is `bottom` itself, unless layers that only pass values on are between it and a Dropout
    layer: then it is the bottom of the first of these. (There may be one for each phase.)

    Args:
        net: the net.
        found: what `flows` finds in it.
        past_moved: the same, with `moved` taken for layers that write nothing.
        moved: Dropout layers in place that are to work on the quantised blob.
        bottom: a bottom of `net`.
    """
    place = chosen = {bottom}
    while True:
        writers = {
            flow.reads[one].writer for flow in past_moved for one in place & flow.reads.keys()
        }
        if (
            not writers
            or -1 in writers
            or any(len(net.layer[writer].bottom) != 1 for writer in writers)
        ):
            return chosen
        layers = [net.layer[writer] for writer in writers]
        place = {(writer, 0) for writer in writers}
        if all(layer.type == DROPOUT and not _is_in_place(layer) for layer in layers):
            chosen = place
        elif not all(layer.type in SHAPE_ONLY for layer in layers):
            return chosen
        elif any(
            flow.reads[one].writer in moved for flow in found for one in place & flow.reads.keys()
        ):
            chosen = place


def _is_in_place(layer: caffe_pb2.LayerParameter) -> bool:
    return list(layer.bottom) == list(layer.top)
