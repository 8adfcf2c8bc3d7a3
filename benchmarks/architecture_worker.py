"""Times a net of published_nets.py in Caffe; architectures.py runs one such process an engine.

usage: architecture_worker.py FOLDER    with net.prototxt, net.caffemodel and input_BATCH.npy

worker.py has the commands; besides, "call prepare BATCH" makes the net that trains, "call save
BATCH FILE" writes what the outputs are for the input, and "call profile BATCH FILE" milliseconds of
each layer, forward and backward, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from published_nets import with_loss
from worker import serve

ROUNDS = 5  # of a profile


def main() -> None:
    """Time the net."""
    folder = Path(sys.argv[1])
    text = (folder / "net.prototxt").read_text(encoding="utf-8")
    param = text_format.Parse(text, caffe_pb2.NetParameter())
    weights = str(folder / "net.caffemodel")
    trained_batch = 0

    def with_batch(batch: int) -> caffe_pb2.NetParameter:
        net = caffe_pb2.NetParameter()
        net.CopyFrom(param)
        net.layer[0].input_param.shape[0].dim[0] = batch
        return net

    def fill(net: Any, batch: int) -> None:
        net.blobs["data"].data[...] = np.load(folder / f"input_{batch}.npy")

    @cache
    def tested(batch: int) -> Any:
        net = caffe.Net.from_proto(with_batch(batch), caffe.TEST)
        net.copy_from(weights)
        fill(net, batch)
        return net

    @cache
    def solver(batch: int) -> Any:
        made = caffe.get_solver(
            caffe_pb2.SolverParameter(
                net_param=with_loss(with_batch(batch)),
                base_lr=1e-12,
                lr_policy="fixed",
                momentum=0.9,
                weight_decay=0.0001,
                random_seed=1,
            )
        )
        made.net.copy_from(weights)
        fill(made.net, batch)
        return made

    def call(command: str, batch: str, file: str = "") -> None:
        nonlocal trained_batch
        if command == "prepare":
            solver.cache_clear()  # one net's blobs at a time
            trained_batch = int(batch)
        elif command == "save":
            outputs: dict[str, Any] = tested(int(batch)).forward()
            np.savez(file, **outputs)
        else:
            solver.cache_clear()
            tested.cache_clear()
            Path(file).write_text(json.dumps(_profile(solver(int(batch)).net)), encoding="utf-8")

    serve(
        lambda: solver(trained_batch).step(1),
        lambda batch: tested(batch).forward(),
        call,
        time.process_time,
    )


def _profile(net: Any) -> dict[str, dict[str, Any]]:
    """Each layer by itself, so without fusions."""
    net.forward()
    net.backward()
    profile = {}
    for i, name in enumerate(net._layer_names):
        seconds: dict[str, list[float]] = {"forward": [], "backward": []}
        for _ in range(ROUNDS):
            for direction, run in (("forward", net._forward), ("backward", net._backward)):
                began = time.process_time()
                run(i, i)
                seconds[direction].append(time.process_time() - began)
        profile[name] = {
            "type": net.layers[i].type,
            **{direction: 1000 * median(taken) for direction, taken in seconds.items()},
        }
    return profile


if __name__ == "__main__":
    main()
