"""Times a Caffe net; benchmarks/nets.py runs one such process for each contestant.

usage: caffe_worker.py NET BITS     BITS: of the weights, the last layer's 8; 0 for float

worker.py has the commands.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from worker import serve

from ul2q import NetQuantization, quantize_net


def _read_net(path: Path, bits: int) -> caffe_pb2.NetParameter:
    text = path.read_text(encoding="utf-8")
    if bits:
        text = quantize_net(path, NetQuantization(weight_bits=bits, last_bits=8)).text
    return text_format.Parse(text, caffe_pb2.NetParameter())


def _fill(net: Any) -> None:
    """Give the inputs numbers and labels, which stay the same."""
    rng = np.random.default_rng(1)
    net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
    net.blobs["label"].data[...] = rng.integers(0, 10, net.blobs["label"].shape)


def main() -> None:
    """Time a net."""
    param = _read_net(Path(sys.argv[1]), int(sys.argv[2]))

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
