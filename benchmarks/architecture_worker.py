"""Times a net of published_nets.py in Caffe; architectures.py runs one such process an engine.

usage: architecture_worker.py FOLDER    with net.prototxt, net.caffemodel and input_BATCH.npy

worker.py has the commands; besides, there are

    call prepare BATCH              makes the net that trains
    call save BATCH FILE            writes what the outputs are for the input
    call describe TASK BATCH FILE   writes the layers and the steps of the net, as JSON
    call profile TASK BATCH FILE    writes milliseconds of each layer and of each step, as JSON

TASK is "test" or "train". A step is a layer with those behind it that work in place on its blob:
what can run as one pass.
"""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from published_nets import with_loss
from worker import serve

if TYPE_CHECKING:
    from collections.abc import Callable

Range = tuple[int, int]  # of layers, the last one included


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

    @lru_cache(maxsize=1)  # one net's blobs at a time
    def tested(batch: int) -> Any:
        net = caffe.Net.from_proto(with_batch(batch), caffe.TEST)
        net.copy_from(weights)
        fill(net, batch)
        return net

    @lru_cache(maxsize=1)
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

    def of_task(task: str, batch: int) -> Any:
        return tested(batch) if task == "test" else solver(batch).net

    def prepare(batch: str) -> None:
        nonlocal trained_batch
        tested.cache_clear()
        solver.cache_clear()
        trained_batch = int(batch)

    def save(batch: str, file: str) -> None:
        np.savez(file, **tested(int(batch)).forward())

    def write_description(task: str, batch: str, file: str) -> None:
        Path(file).write_text(json.dumps(describe(of_task(task, int(batch)))), encoding="utf-8")

    def write_profile(task: str, batch: str, file: str) -> None:
        profile = _profile(of_task(task, int(batch)), task)
        Path(file).write_text(json.dumps(profile), encoding="utf-8")

    commands: dict[str, Callable[..., None]] = {
        "prepare": prepare,
        "save": save,
        "describe": write_description,
        "profile": write_profile,
    }
    serve(
        lambda: solver(trained_batch).step(1),
        lambda batch: tested(batch).forward(),
        lambda command, *words: commands[command](*words),
        time.process_time,
    )


def describe(net: Any) -> dict[str, Any]:
    """The layers behind the input: type and shape of the bottom; the steps: name, types, shape."""
    names = list(net._layer_names)
    types = [layer.type for layer in net.layers]
    shapes = [
        "×".join(map(str, net.blobs[net.bottom_names[name][0]].shape)) if i else ""
        for i, name in enumerate(names)
    ]
    return {
        "layers": [[names[i], types[i], shapes[i]] for i in range(1, len(names))],
        "steps": [
            [names[first], " + ".join(types[first : last + 1]), shapes[first]]
            for first, last in steps(net)
        ],
    }


def steps(net: Any) -> list[Range]:
    """A net's steps, behind the input."""
    found: list[Range] = []
    top = None
    for i, name in enumerate(net._layer_names):
        bottoms, tops = net.bottom_names[name], net.top_names[name]
        if found and tops == bottoms == [top]:
            found[-1] = (found[-1][0], i)
        elif i > 0:
            found.append((i, i))
        top = tops[0] if len(tops) == 1 else None
    return found


def _profile(net: Any, task: str) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of one pass in order, by layers or steps, and direction."""
    layers = [(i, i) for i in range(1, len(net.layers))]
    profile: dict[str, dict[str, list[float]]] = {}
    for kind, ranges in (("layers", layers), ("steps", steps(net))):
        forward = [_milliseconds(net._forward, first, last) for first, last in ranges]
        profile[kind] = {"forward": forward}
        if task == "train":
            backward = [_milliseconds(net._backward, last, first) for first, last in ranges[::-1]]
            profile[kind]["backward"] = backward[::-1]
    return profile


def _milliseconds(run: Callable[[int, int], object], begin: int, end: int) -> float:
    began = time.process_time()
    run(begin, end)
    return 1000 * (time.process_time() - began)


if __name__ == "__main__":
    main()
