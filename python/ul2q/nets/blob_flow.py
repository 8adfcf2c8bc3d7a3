"""Which layer wrote what each layer of a net reads: in-place layers give a blob new versions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import included, net_state
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Layers that pass their bottoms' values on.
SHAPE_ONLY = {"Flatten", "Reshape", "Slice", "Split"}
# Layers whose tops cannot be negative, whatever they read, and if they read nothing negative.
_NEVER_NEGATIVE = {"AbsVal", "BNLL", "Exp", "Sigmoid", "Softmax", "Threshold"}
_KEEP_SIGN = {"Concat", "Dropout", "LRN", "Pooling", *SHAPE_ONLY}

Bottom = tuple[int, int]  # index of a layer, index among its bottoms


@dataclass(frozen=True)
class Version:
    """A blob as one layer leaves it.

    Attributes:
        blob: the name of the blob.
        writer: the index of the layer that wrote it; -1 for the net's own `input` fields.
        is_input: whether its values are those that the net is given, reshaped at most.
        non_negative: whether no value can be below 0.
    """

    blob: str
    writer: int
    is_input: bool
    non_negative: bool


@dataclass(frozen=True)
class Flow:
    """What the layers of a net read in one state of it.

    Attributes:
        state: the state of the net, e.g. phase TRAIN.
        reads: the version behind each bottom of the layers that the net has in this state.
    """

    state: caffe_pb2.NetState
    reads: dict[Bottom, Version]


def flows(net: caffe_pb2.NetParameter, *, passing: Collection[int] = ()) -> list[Flow]:
    """What the layers read in each state that the net can be built in.

    The states are both phases, without and with each stage that the layers' rules mention, at
    each level that they mention.

    Args:
        net: the net, its layers in the field `layer`.
        passing: layers in place, by index, that are to count for none: who reads behind one reads
            what it read.

    Raises:
        PrototxtError: the net can be built in none, as a bottom is missing.
    """
    found, errors = [], []
    for state in _states(net):
        try:
            found.append(Flow(state, _reads(net, state, passing)))
        except PrototxtError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def versions(found: Iterable[Flow], bottom: Bottom) -> list[Version]:
    """What stands behind a bottom, in each state that has its layer."""
    return [flow.reads[bottom] for flow in found if bottom in flow.reads]


def _states(net: caffe_pb2.NetParameter) -> list[caffe_pb2.NetState]:
    """The states that `flows` looks at."""
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    stages = {stage for rule in rules for stage in (*rule.stage, *rule.not_stage)}
    levels = {net.state.level} | {
        getattr(rule, field)
        for rule in rules
        for field in ("min_level", "max_level")
        if rule.HasField(field)
    }
    return [
        net_state(net, phase, caffe_pb2.NetState(stage=[stage] if stage else [], level=level))
        for phase, stage, level in itertools.product(
            (caffe_pb2.TRAIN, caffe_pb2.TEST), ["", *sorted(stages)], sorted(levels)
        )
    ]


def _reads(
    net: caffe_pb2.NetParameter, state: caffe_pb2.NetState, passing: Collection[int]
) -> dict[Bottom, Version]:
    """The version behind each bottom in one state, from one pass over the layers."""
    reads = {}
    current = {blob: Version(blob, -1, is_input=True, non_negative=False) for blob in net.input}
    for index, layer in enumerate(net.layer):
        if not included(layer, state):
            continue
        for i, blob in enumerate(layer.bottom):
            if blob not in current:
                raise PrototxtError(
                    f"layer {layer.name!r}: its bottom {blob!r} is the top of no layer before it"
                )
            reads[index, i] = current[blob]
        if index in passing:
            continue
        bottoms = [current[blob] for blob in layer.bottom]
        shape_only = not bottoms or layer.type in SHAPE_ONLY
        is_input = shape_only and all(version.is_input for version in bottoms)
        non_negative = _non_negative(layer, [version.non_negative for version in bottoms])
        for blob in layer.top:
            current[blob] = Version(blob, index, is_input, non_negative)
    return reads


def _non_negative(layer: caffe_pb2.LayerParameter, bottoms: list[bool]) -> bool:
    """Whether the tops cannot be negative, given which bottoms cannot."""
    if layer.type == "ReLU":
        return bool(layer.relu_param.negative_slope == 0)
    if layer.type == "Clip":
        return bool(layer.clip_param.min >= 0)
    if layer.type == "Power":
        return bool(layer.power_param.power == 2)
    if layer.type == ACTIVATION:
        return not layer.quantization_param.activation.signed
    if layer.type == "Eltwise":  # a product, a maximum or a weighted sum
        return all(bottoms) and all(c >= 0 for c in layer.eltwise_param.coeff)
    keeps = layer.type in _KEEP_SIGN and bool(bottoms) and all(bottoms)
    return layer.type in _NEVER_NEGATIVE or keeps
