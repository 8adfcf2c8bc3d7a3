"""From files to what is ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.models.caffemodel import WeightsError, check_weights_file, read_caffemodel
from ul2q.models.weights import load_weights
from ul2q.nets.deploy import deploy_net
from ul2q.nets.deploy_file import stored_shapes
from ul2q.nets.prototxt import PrototxtError, parse_net
from ul2q.nets.prototxt_text import Document
from ul2q.runtime.translation import compile as compile_net

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ul2q.runtime.model import Model
    from ul2q.runtime.pixels import Pixels
    from ul2q.util.paths import StrPath


def load(
    weights: StrPath,
    deploy_prototxt: StrPath | None = None,
    *,
    pixels: Mapping[str, Pixels] | None = None,
) -> Model:
    """A trained net in integers, from its files.

    Args:
        weights: the .caffemodel or .caffemodel.h5.
        deploy_prototxt: the net that is deployed; None: what `ul2q.nets.deploy.deploy_net` makes of
            the net that the .caffemodel was saved from, whose layers stand in it.
        pixels: as of `ul2q.compile`.

    Raises:
        FileNotFoundError: a file is missing.
        PrototxtError: the prototxt is faulty, or the .caffemodel does not tell what can be
            deployed, such as the shape of its images.
        WeightsError: the weights are damaged, do not belong to the net, or hold NaN or infinity.
        DeployError: a layer cannot be lowered.
        ModelError: a layer is not for this runtime, or `pixels` does not fit the net.
        caffe.CaffeError: Caffe refuses the net.
    """
    if deploy_prototxt is not None:
        return compile_net(deploy_prototxt, weights, pixels=pixels)
    path = Path(weights)
    try:
        text = _deployed(path)
    except PrototxtError as error:
        raise PrototxtError(f"{error}; or give the prototxt that is deployed, too") from error
    net = caffe.Net.from_proto(parse_net(text, str(path)), caffe.TEST)
    load_weights(net, path, complete=True, net_name=str(path))
    return compile_net(net, pixels=pixels)


def _deployed(path: Path) -> str:
    """The prototxt of the net in a .caffemodel, without what only training and testing need."""
    check_weights_file(path)
    if path.suffix == ".h5":
        raise WeightsError(f"{path} is HDF5, which holds no layers: give a deploy prototxt, too")
    model = read_caffemodel(path)
    if model.layers or not any(layer.bottom for layer in model.layer):
        raise WeightsError(
            f"{path} does not tell how its layers are connected: give a deploy prototxt, too"
        )
    document = Document(text_format.MessageToString(_as_written(model)), str(path))
    return deploy_net(document, stored_shapes(document))


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
