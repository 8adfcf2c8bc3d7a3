"""What architecture workers read of a net of published_nets.py: its files in a folder.

net.prototxt and net.caffemodel, for Caffe and OpenCV; net_BATCH.onnx, for onnxruntime; net.json and
weights.npz, for PyTorch; input_BATCH.npy; and outputs.txt, the outputs' names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from google.protobuf.json_format import MessageToDict
from published_nets import NETS, architecture

from ul2q.deploy.exporter import export

if TYPE_CHECKING:
    from pathlib import Path

BATCHES = (1, 16)


def write_files(name: str, folder: Path) -> None:
    """Write them, with random weights.

    BatchNorm's averages are those of two batches, so that numbers keep their size from layer to
    layer.
    """
    rng = np.random.default_rng(1)
    caffe.set_random_seed(1)
    net = caffe.Net.from_proto(architecture(name, 4), caffe.TRAIN)
    for _ in range(2):
        net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
        net.forward()
    net.save(str(folder / "net.caffemodel"))
    arrays: dict[str, Any] = {
        f"{layer}/{i}": blob.data
        for layer, blobs in net.params.items()
        for i, blob in enumerate(blobs)
    }
    np.savez(folder / "weights.npz", **arrays)
    for batch in BATCHES:
        param = architecture(name, batch)
        (folder / "net.prototxt").write_text(str(param), encoding="utf-8")
        export(
            folder / "net.prototxt",
            folder / "net.caffemodel",
            folder / f"net_{batch}.onnx",
            to="onnx",
            verify=False,  # the outputs are compared by architectures.py
            force=True,
        )
        shape = (batch, *NETS[name][1])
        np.save(folder / f"input_{batch}.npy", rng.standard_normal(shape).astype(np.float32))
    param = architecture(name, BATCHES[0])
    (folder / "net.prototxt").write_text(str(param), encoding="utf-8")
    as_dict = MessageToDict(param, preserving_proto_field_name=True)
    (folder / "net.json").write_text(json.dumps(as_dict), encoding="utf-8")
    outputs = [top for layer in param.layer for top in layer.top if top.startswith("output")]
    (folder / "outputs.txt").write_text(" ".join(outputs), encoding="utf-8")
