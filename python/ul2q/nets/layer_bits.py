"""Which width the weights of each layer of a net get, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ul2q.nets.blob_flow import flows
from ul2q.nets.layer_types import WEIGHT_LAYERS, float_type, is_constant_upsampling
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.quantization import OptionsError
from ul2q.util.near_names import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caffe.proto import caffe_pb2

    from ul2q.nets.blob_flow import Flow
    from ul2q.nets.quantization import NetQuantization


class LayerBits(NamedTuple):
    """What a layer's weights get.

    Attributes:
        bits: of a weight's code; None: the weights stay float.
        reason: the option that says so, or what the layer is.
    """

    bits: int | None
    reason: str


def bits_by_layer(
    net: caffe_pb2.NetParameter, options: NetQuantization, name: str
) -> dict[str, LayerBits]:
    """What the weights of each layer get, by its name, in the order of the net.

    A layer is a first one if no layer with weights that can be quantised stands before it on any
    way through the net, and a last one if none stands behind it: a net with several inputs or heads
    has several. Layers of one name for different phases are one. Constant upsampling stays float
    and does not count, unless `options.layers` names it.

    Args:
        net: its layers in the field `layer`.
        options: how it is to be quantised.
        name: of its file, for messages.

    Raises:
        PrototxtError: it has no such layer, or a bottom is missing.
        OptionsError: `options.layers` names one that the net does not have.
    """
    layers = [one for one in net.layer if float_type(one.type) in WEIGHT_LAYERS]
    if not layers:
        raise PrototxtError(
            f"{name}: none of its layers can be quantised; those are {', '.join(WEIGHT_LAYERS)}"
        )
    found = dict.fromkeys(
        (one.name for one in layers), LayerBits(options.code_bits, options.bits_option)
    )
    for unknown in options.layers:
        if unknown not in found:
            near = nearest(unknown, found) or list(found)
            raise OptionsError(
                f"{name}: no layer with weights is named {unknown!r}; "
                f"there is {', '.join(map(repr, near))}"
            )
    fixed = {one.name for one in layers if is_constant_upsampling(one)} - {*options.layers}
    if options.first_bits is not None or options.last_bits is not None:
        quantised = {one.name for one in layers} - fixed
        states = flows(net)
        for first in sorted(quantised - _behind(net, states, quantised)):
            if options.first_bits is not None:
                found[first] = LayerBits(options.first_bits, "--first-bits: none before it")
        for last in sorted(quantised - _before(net, states, quantised)):
            if options.last_bits is not None:
                found[last] = LayerBits(options.last_bits, "--last-bits: none behind it")
    for one in fixed:
        found[one] = LayerBits(None, "constant upsampling (lr_mult: 0)")
    for one, bits in options.layers.items():
        found[one] = LayerBits(bits, "--layer")
    return found


def _behind(net: caffe_pb2.NetParameter, states: Sequence[Flow], names: set[str]) -> set[str]:
    """Those of the layers `names` that compute with what another of them wrote, however far up."""
    found = set()
    for flow in states:
        reached: set[int] = set()  # the layers, by index, that such a value arrives at
        for (index, _), version in sorted(flow.reads.items()):
            writer = version.writer
            if writer in reached or (writer >= 0 and net.layer[writer].name in names):
                reached.add(index)
        found |= {net.layer[index].name for index in reached} & names
    return found


def _before(net: caffe_pb2.NetParameter, states: Sequence[Flow], names: set[str]) -> set[str]:
    """Those of the layers `names` whose values another of them computes with, however far down."""
    found = set()
    for flow in states:
        leading: set[int] = set()  # the layers, by index, that lead to one of them
        for (index, _), version in sorted(flow.reads.items(), reverse=True):
            if index in leading or net.layer[index].name in names:
                leading.add(version.writer)
        found |= {net.layer[index].name for index in leading if index >= 0} & names
    return found
