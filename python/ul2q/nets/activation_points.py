"""Where a net needs QuantizedActivation layers, so that given layers read quantised blobs.

What is quantised, and where, follows here from who reads it: one layer stands behind all that write
a blob, those in place and their twins in other phases; but before Dropout layers, which testing
does not have (`dropouts` says why). `quantization_caffe.activations` has the rule of the fork,
which quantised what a layer wrote, before layers in place and whoever read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.blob_flow import flows
from ul2q.nets.data_layers import included
from ul2q.nets.dropouts import before_dropouts, movable_dropouts
from ul2q.nets.layer_types import ACTIVATION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ul2q.nets.blob_flow import Bottom, Flow, Version


@dataclass(frozen=True)
class ActivationPoint:
    """A place for a QuantizedActivation layer.

    Attributes:
        blob: the blob that it quantises.
        after: the index of the layer that it goes behind.
        bottoms: the bottoms that are to read its top.
        rules: the index of the layer whose `include` and `exclude` it takes; None: it has none.
        non_negative: whether no value of the blob can be below 0.
        in_place: Dropout layers, by index, that read the new top and are to write it in place.
    """

    blob: str
    after: int
    bottoms: Sequence[Bottom]
    rules: int | None
    non_negative: bool
    in_place: Sequence[int] = ()


@dataclass(frozen=True)
class ActivationPlan:
    """The places in a net.

    Attributes:
        points: a place for each version of a blob that is to be quantised, in the net's order.
        float_bottoms: by index of a layer, why a bottom of it stays float.
    """

    points: Sequence[ActivationPoint]
    float_bottoms: dict[int, str]


def plan_activations(
    net: caffe_pb2.NetParameter, found: Sequence[Flow], wanted_bottoms: Collection[Bottom]
) -> ActivationPlan:
    """Find the places for layers that quantise all of `wanted_bottoms`.

    Inputs of the net stay float; what a QuantizedActivation layer wrote is quantised already.

    Args:
        net: the net, its layers in the field `layer`.
        found: what `blob_flow.flows` finds in it.
        wanted_bottoms: the bottoms that are to be quantised.
    """
    moved = movable_dropouts(net, found)
    while True:
        plan = _Planner(net, found, moved).plan(wanted_bottoms)
        stranded = _stranded(plan, found)
        if not stranded:
            return plan
        moved -= stranded  # the place is behind these, then


def _stranded(plan: ActivationPlan, found: Sequence[Flow]) -> set[int]:
    """The Dropout layers that would move away from some of those who read behind them."""
    moving = {index: set(point.bottoms) for point in plan.points for index in point.in_place}
    return {
        version.writer
        for flow in found
        for bottom, version in flow.reads.items()
        if version.writer in moving and bottom not in moving[version.writer]
    }


class _Planner:
    """One try of `plan_activations`, in which the Dropout layers `moved` move where they can."""

    def __init__(
        self, net: caffe_pb2.NetParameter, found: Sequence[Flow], moved: Collection[int]
    ) -> None:
        self._net = net
        self._found = found
        self._moved = moved
        self._past_moved = flows(net, passing=moved) if moved else found
        # Who reads each blob. A net has as many blobs as layers: one that is looked up in all of
        # them for each blob would take time by the square.
        self._reads: dict[str, list[tuple[Bottom, Version]]] = {}
        for flow in self._past_moved:
            for bottom, version in flow.reads.items():
                self._reads.setdefault(version.blob, []).append((bottom, version))

    def plan(self, wanted_bottoms: Collection[Bottom]) -> ActivationPlan:
        net = self._net
        float_bottoms: dict[int, str] = {}
        # The writers behind each bottom, by blob and by the reader's name: layers of one name for
        # different phases are to share a QuantizedActivation layer and its scale.
        wishes: dict[tuple[str, str], dict[Bottom, set[int]]] = {}
        readers: dict[Bottom, set[int]] = {}  # who is to find quantised values there, or further on
        for wanted_bottom in sorted(wanted_bottoms):
            reader = wanted_bottom[0]
            places = before_dropouts(net, self._found, self._past_moved, self._moved, wanted_bottom)
            for flow in self._past_moved:
                if wanted_bottom not in flow.reads:
                    continue
                for bottom in sorted(places & flow.reads.keys()):
                    version = flow.reads[bottom]
                    if version.is_input:
                        float_bottoms[reader] = f"input {version.blob!r} stays float"
                    elif net.layer[version.writer].type != ACTIVATION:
                        bottoms = wishes.setdefault((version.blob, net.layer[reader].name), {})
                        bottoms.setdefault(bottom, set()).add(version.writer)
                        readers.setdefault(bottom, set()).add(reader)
        wanted: dict[tuple[str, frozenset[int]], set[Bottom]] = {}
        for (blob, _), bottoms in wishes.items():
            writers = frozenset(writer for behind in bottoms.values() for writer in behind)
            wanted.setdefault((blob, writers), set()).update(bottoms)
        points: list[ActivationPoint] = []
        served: set[Bottom] = set()
        # The place behind most writers first: it serves those who read what some of them wrote.
        for (blob, writers), wanting in sorted(wanted.items(), key=lambda item: -len(item[0][1])):
            if wanting <= served:
                continue
            point = self._point(blob, writers, served)
            if point and wanting - served <= set(point.bottoms):
                points.append(point)
                served.update(point.bottoms)
            else:
                note = f"{blob!r} stays float: its layers differ too much between phases"
                behind = {reader for bottom in wanting for reader in readers[bottom]}
                float_bottoms |= dict.fromkeys(behind, note)
        return ActivationPlan(sorted(points, key=lambda point: point.after), float_bottoms)

    def _point(
        self, blob: str, writers: frozenset[int], served: Collection[Bottom]
    ) -> ActivationPoint | None:
        """The place behind all of `writers`, for all who read what they wrote but those `served`.

        None if there is none that suits each state.
        """
        net = self._net
        after = max(writers)
        behind: dict[Bottom, set[int]] = {}  # the writers of `blob` as later layers read it
        non_negative = True
        for bottom, version in self._reads.get(blob, ()):
            layer = net.layer[bottom[0]]
            if version.writer in writers:
                non_negative &= version.non_negative
            stays = layer.type == ACTIVATION or (
                blob in layer.top and bottom[0] not in self._moved
            )
            if bottom[0] > after and not stays:
                behind.setdefault(bottom, set()).add(version.writer)
        bottoms = sorted(
            bottom for bottom, wrote in behind.items() if wrote <= writers and bottom not in served
        )
        in_place = [reader for reader, _ in bottoms if reader in self._moved]
        # In each state the layer must be there if and only if something reads its top.
        needed = [any(bottom in flow.reads for bottom in bottoms) for flow in self._past_moved]
        for rules in (None, *(reader for reader, _ in bottoms)):
            like = caffe_pb2.LayerParameter() if rules is None else net.layer[rules]
            if [included(like, flow.state) for flow in self._past_moved] == needed:
                return ActivationPoint(blob, after, bottoms, rules, non_negative, in_place)
        return None
