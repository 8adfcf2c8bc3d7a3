"""Nets in the formats of 2013 and 2014 in today's, by BVLC's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import caffe
from caffe.proto import caffe_pb2

from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from google.protobuf.message import Message


class UpgradedNet(NamedTuple):
    """A net in today's format.

    Attributes:
        text: the prototxt, as BVLC's upgrade_net_proto_text prints it: without comments.
        message: the same, with weights if the net had some.
    """

    text: str
    message: caffe_pb2.NetParameter


def upgrade_net(net: caffe_pb2.NetParameter, name: str) -> UpgradedNet:
    """The net in today's format: fields `layer`, Input layers, types in quotes.

    What `caffe.Net` does to a net as it reads it (UpgradeNetAsNeeded in BVLC's upgrade_proto.cpp).
    One that is in today's format stays as it is.

    Args:
        net: with or without weights.
        name: of its file, for messages.

    Raises:
        PrototxtError: it has fields or types that have no counterpart today, or layers of both
            formats.
    """
    _refuse_both_formats(net, name)
    try:
        content, text, is_complete = caffe._caffe._upgraded_net(net, name)
    except caffe.CaffeError as error:
        raise PrototxtError(f"{name}: it cannot be upgraded: {error}") from error
    if not is_complete:
        raise PrototxtError(
            f"{name}: some of its layers have no counterpart in today's format; the log of Caffe "
            "names them (GLOG_minloglevel=0)"
        )
    message: Message = caffe_pb2.NetParameter.FromString(content)
    return UpgradedNet(text, message)


def _refuse_both_formats(net: caffe_pb2.NetParameter, name: str) -> None:
    if net.layers and net.layer:
        raise PrototxtError(
            f"{name}: it has `layers`, the format of 2013/14, beside `layer`; write all of one kind"
        )
