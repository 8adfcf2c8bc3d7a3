"""A caffemodel whose quantised blobs are codes, for ul2q itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.deploy.packing import packed_net
from ul2q.deploy.targets.target import Written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

NAME = "packed"
SUMMARY = "a caffemodel of codes, which Caffe with ul2q reads as any other"


def write_net(net: caffe.Net, output: Path) -> Written:
    """One .caffemodel."""
    packed = packed_net(net)
    sizes = [(f"{blob.layer}[{blob.index}]", blob.bytes) for blob in packed.blobs]
    warnings = tuple(
        f"{name} stays float: its weights are shared by layers that quantise them otherwise, or "
        "their levels overflow"
        for name in packed.left_float
    )
    return Written({output: packed.content}, sizes, warnings)


def run_net(
    param: caffe_pb2.NetParameter, path: Path, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """What Caffe computes with the file, by name."""
    net = caffe.Net.from_proto(param, caffe.TEST, weights=path)
    return {name: np.array(values) for name, values in net.forward(**inputs).items()}
