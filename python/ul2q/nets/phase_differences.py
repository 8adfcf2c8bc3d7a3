"""QuantizedActivation layers that learn their scale from values which testing does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.blob_flow import flows
from ul2q.nets.dropouts import DROPOUT
from ul2q.nets.layer_types import ACTIVATION, WEIGHT_LAYERS, float_type
from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.nets.blob_flow import Flow


@dataclass(frozen=True)
class PhaseDifference:
    """A QuantizedActivation layer whose scale is learned from other values than it is tested on.

    Attributes:
        layer: the name of the QuantizedActivation layer.
        cause: the name of the layer that makes the difference.
        cause_type: its type.
        effect: what that layer does in one phase alone.
        is_movable: whether the QuantizedActivation can stand before it.
    """

    layer: str
    cause: str
    cause_type: str
    effect: str
    is_movable: bool = False

    @property
    def consequence(self) -> str:
        """What is wrong, and what to do about it."""
        before = f"put it before {self.cause!r}, or " if self.is_movable else ""
        return (
            f"stands behind layer {self.cause!r} ({self.cause_type}), which {self.effect}: its "
            f"scale is not that of what testing sees; {before}fit it anew when the net is trained, "
            "with `ul2q calibrate`"
        )

    def __str__(self) -> str:
        """The warning in one line."""
        return f"layer {self.layer!r} ({ACTIVATION}) {self.consequence}"


def phase_differences(net: caffe_pb2.NetParameter) -> list[PhaseDifference]:
    """What each QuantizedActivation layer sees in training and not in testing, or the reverse.

    Looked at are the layers between it and the layers with weights before it. Found are Dropout
    layers, pooling of the kind STOCHASTIC, and layers that one phase alone has. Not found are
    BatchNorm, whose batches in training have the averages' statistics but for chance, and what
    Python layers may do. There is nothing to find in a net that cannot be built.
    """
    if not any(layer.type == ACTIVATION for layer in net.layer):
        return []
    try:
        states = flows(net)
    except PrototxtError:  # Caffe says what is wrong with it
        return []
    found: dict[tuple[str, str], PhaseDifference] = {}
    for train, test in _phase_pairs(states):
        for index, layer in enumerate(net.layer):
            if layer.type != ACTIVATION or (index, 0) not in train.reads:
                continue
            behind = [list(_layers_behind(net, flow, index)) for flow in (train, test)]
            for difference in _differences(layer.name, *behind):
                found.setdefault((layer.name, difference.cause), difference)
    return list(found.values())


def _phase_pairs(found: Sequence[Flow]) -> Iterator[tuple[Flow, Flow]]:
    """The net in training and in testing, for each stage and level with which it can be built."""
    tests = {
        (tuple(flow.state.stage), flow.state.level): flow
        for flow in found
        if flow.state.phase == caffe_pb2.TEST
    }
    for flow in found:
        test = tests.get((tuple(flow.state.stage), flow.state.level))
        if flow.state.phase == caffe_pb2.TRAIN and test is not None:
            yield flow, test


def _layers_behind(
    net: caffe_pb2.NetParameter, flow: Flow, index: int
) -> Iterator[caffe_pb2.LayerParameter]:
    """The layers whose tops reach the bottom of a layer, up to those with weights or inputs."""
    waiting, seen = [index], {index}
    while waiting:
        reader = waiting.pop(0)
        for place in range(len(net.layer[reader].bottom)):
            version = flow.reads.get((reader, place))
            if version is None or version.is_input or version.writer in seen:
                continue
            seen.add(version.writer)
            layer = net.layer[version.writer]
            yield layer
            if float_type(layer.type) not in WEIGHT_LAYERS and layer.type != ACTIVATION:
                waiting.append(version.writer)


def _differences(
    name: str,
    train: Sequence[caffe_pb2.LayerParameter],
    test: Sequence[caffe_pb2.LayerParameter],
) -> Iterator[PhaseDifference]:
    names = [{layer.name for layer in layers} for layers in (train, test)]
    for layer in train:
        if layer.type == DROPOUT:
            if layer.dropout_param.dropout_ratio > 0:
                effect = "drops values while training and scales the others up"
                yield PhaseDifference(name, layer.name, layer.type, effect, is_movable=True)
        elif (
            layer.type == "Pooling"
            and layer.pooling_param.pool == caffe_pb2.PoolingParameter.STOCHASTIC
        ):
            effect = "picks values at random while training and averages them in testing"
            yield PhaseDifference(name, layer.name, layer.type, effect)
        elif test and layer.name not in names[1]:
            yield PhaseDifference(name, layer.name, layer.type, "testing does not have")
    for layer in test:
        if layer.type != DROPOUT and layer.name not in names[0]:
            yield PhaseDifference(name, layer.name, layer.type, "training does not have")
