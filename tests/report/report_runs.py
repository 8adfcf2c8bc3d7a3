"""Folders of runs, written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from caffe.proto import caffe_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LOG = """\
iteration,seconds,learning_rate,train_loss,test_accuracy,test_loss
0,0.100,0.1,2.5,0.25,9.5
10,1.000,0.1,1.5,,
20,2.000,0.01,0.75,0.5,1.25
30,3.500,0.01,0.5,0.625,0.875
"""
QUANTIZATION = """\
iteration,seconds,conv[0].scale,conv[0].loss,act.scale,act.loss
0,0.1,0.5,0.02,0.25,
10,1.0,0.5,0.03,0.25,0.001
20,2.0,0.5,0.04,0.25,0.002
"""
SOLVER = "max_iter: 30 random_seed: 7 base_lr: 0.1\n"


def weights(seed: int = 1, shape: tuple[int, ...] = (6, 4, 3, 3)) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.02, 0.3, shape).astype(np.float32)


def model(
    quantizer: dict[str, Any] | None, name: str = "lenet_2bit", conv: str = "conv"
) -> caffe_pb2.NetParameter:
    """A convolution, quantised or not, a bias, a BatchNorm, and an inner product of 8 bits."""
    net = caffe_pb2.NetParameter(name=name)
    prefix = "Quantized" if quantizer else ""
    first = net.layer.add(name=conv, type=f"{prefix}Convolution")
    _add(first, weights(), np.ones(6))
    _add(net.layer.add(name="bn", type="BatchNorm"), np.ones(6), np.ones(6), np.ones(1))
    last = net.layer.add(name="ip", type=f"{prefix}InnerProduct")
    _add(last, weights(2, (5, 40)))
    if quantizer:
        first.quantization_param.weight.CopyFrom(caffe_pb2.QuantizerParameter(**quantizer))
        last.quantization_param.weight.bits = 8
    return net


def _add(layer: caffe_pb2.LayerParameter, *blobs: NDArray[Any]) -> None:
    for values in blobs:
        layer.blobs.add(shape={"dim": values.shape}, data=values.ravel())


def write_run(
    folder: Path,
    *,
    log: str | None = LOG,
    quantization: str | None = None,
    solver: str | None = SOLVER,
    net: caffe_pb2.NetParameter | None = None,
    record: dict[str, Any] | None = None,
    early_stop: str | None = None,
) -> Path:
    """A run's folder; `record` is what differs from a finished 2-bit run in run.json.

    The accuracy in it is that of LOG's last row, too.
    """
    if log == LOG and record is not None and record.get("accuracy") is not None:
        log = LOG.replace("0.625", str(record["accuracy"]))
    folder.mkdir(parents=True)
    for name, text in (
        ("log.csv", log),
        ("quantization.csv", quantization),
        ("solver.prototxt", solver),
        ("early_stop.json", early_stop),
    ):
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    if net is not None:
        (folder / "x_iter_30.caffemodel").write_bytes(net.SerializeToString())
    if record is not None:
        whole: dict[str, Any] = {
            "run": folder.name,
            "net": "lenet",
            "method": "ul2q",
            "bits": 2,
            "seed": 1,
            "variant": "",
            "options": {"data": "data/mnist"},
            "status": "done",
            "float_run": None,
            "accuracy": 0.625,
            "loss": 0.875,
            "iterations": 30,
            "seconds": 3.5,
            "error": None,
            **record,
        }
        (folder / "run.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder
