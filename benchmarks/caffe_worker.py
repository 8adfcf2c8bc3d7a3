"""Times a Caffe net; benchmarks/nets.py runs one such process for each contestant.

usage: caffe_worker.py NET BITS     a folder in prototxt/; bits of its weights, the last layer's 8,
                                    or 0 for float

The net is the one that trains, on made-up data of its input size. worker.py has the commands.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from worker import serve

from ul2q import NetQuantization, prototxt_path, quantize_net

BATCH = 100


def read_net(name: str, bits: int) -> caffe_pb2.NetParameter:
    """The net that trains, with inputs for its data and labels, and without what counts hits."""
    path = prototxt_path(f"{name}/train_test_float.prototxt")
    text = path.read_text(encoding="utf-8")
    if bits:
        text = quantize_net(path, NetQuantization(weight_bits=bits, last_bits=8)).text
    trained = text_format.Parse(text, caffe_pb2.NetParameter())
    deploy = prototxt_path(f"{name}/deploy_float.prototxt").read_text(encoding="utf-8")
    image = text_format.Parse(deploy, caffe_pb2.NetParameter()).layer[0].input_param.shape[0].dim
    net = caffe_pb2.NetParameter(name=name)
    for top, shape in (("data", [BATCH, *image[1:]]), ("label", [BATCH])):
        layer = net.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=shape)
    net.layer.extend(layer for layer in trained.layer if layer.type not in {"Data", "Accuracy"})
    return net


def _fill(net: Any) -> None:
    """Give the inputs numbers and labels, which stay the same."""
    rng = np.random.default_rng(1)
    net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
    net.blobs["label"].data[...] = rng.integers(0, 10, net.blobs["label"].shape)


def main() -> None:
    """Time a net."""
    param = read_net(sys.argv[1], int(sys.argv[2]))

    @cache
    def solver() -> Any:
        made = caffe.get_solver(
            caffe_pb2.SolverParameter(
                net_param=param,
                base_lr=0.001,
                lr_policy="fixed",
                momentum=0.9,
                weight_decay=0.0001,
                random_seed=1,
            )
        )
        _fill(made.net)
        return made

    @cache
    def net(batch: int) -> Any:
        made = caffe.Net.from_proto(param, caffe.TEST)
        for name in ("data", "label"):
            made.blobs[name].reshape(batch, *made.blobs[name].shape[1:])
        made.reshape()
        _fill(made)
        return made

    serve(lambda: solver().step(1), lambda batch: net(batch).forward())


if __name__ == "__main__":
    main()
