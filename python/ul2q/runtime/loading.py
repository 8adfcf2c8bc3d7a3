"""From files to what is ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.models.stored_net import stored_net
from ul2q.models.weights import load_weights
from ul2q.nets.deploy import deploy_net
from ul2q.nets.deploy_file import stored_shapes
from ul2q.nets.prototxt import PrototxtError, parse_net
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
        document = stored_net(path)
        text = deploy_net(document, stored_shapes(document))
    except PrototxtError as error:
        raise PrototxtError(f"{error}; or give the prototxt that is deployed, too") from error
    net = caffe.Net.from_proto(parse_net(text, str(path)), caffe.TEST)
    load_weights(net, path, complete=True, net_name=str(path))
    return compile_net(net, pixels=pixels)
