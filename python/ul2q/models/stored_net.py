"""The net that a .caffemodel was saved from, whose layers stand in it, as its prototxt had it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.models.caffemodel import WeightsError, check_weights_file, read_caffemodel
from ul2q.nets.prototxt_text import Document

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath


def stored_net(path: StrPath) -> Document:
    """The prototxt of the net in a .caffemodel, without phases: that which was trained or saved.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged or HDF5, or does not tell how its layers are connected.
    """
    path = Path(path)
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(f"{path} is HDF5, which holds no layers: give a deploy prototxt, too")
    model = read_caffemodel(path)
    if model.layers or not any(layer.bottom for layer in model.layer):
        raise WeightsError(
            f"{path} does not tell how its layers are connected: give a deploy prototxt, too"
        )
    try:
        text = text_format.MessageToString(_as_written(model))
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} is damaged: a name in it is not UTF-8") from error
    return Document(text, str(path))


def _as_written(model: caffe_pb2.NetParameter) -> caffe_pb2.NetParameter:
    """The net of a .caffemodel as its prototxt had it: for any phase, without what Caffe added.

    That is Split layers, which put other names in the place of a blob's that several layers read.
    """
    net = caffe_pb2.NetParameter(name=model.name)
    names: dict[str, str] = {}
    for stored in model.layer:
        bottoms = [names.get(bottom, bottom) for bottom in stored.bottom]
        if stored.type == "Split":
            names.update(dict.fromkeys(stored.top, bottoms[0]))
            continue
        layer = net.layer.add()
        layer.CopyFrom(stored)
        layer.bottom[:] = bottoms
        for field in ("phase", "include", "exclude", "blobs"):
            layer.ClearField(field)
    return net
