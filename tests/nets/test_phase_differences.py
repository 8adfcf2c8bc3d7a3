"""What is quantised behind a layer that does one thing in training and another in testing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q import NetQuantization, quantize, quantize_net
from ul2q.nets.phase_differences import phase_differences
from ul2q.nets.prototxt_text import Document

if TYPE_CHECKING:
    from pathlib import Path

# Activations from noise, dropped out before the layer that reads them.
NET = """
layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 50 dim: 20 }
  data_filler { type: "gaussian" std: 1 } } }
layer { name: "t" type: "DummyData" top: "t" dummy_data_param { shape { dim: 50 dim: 2 }
  data_filler { type: "gaussian" std: 1 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "ip1"
  inner_product_param { num_output: 30 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "drop" type: "Dropout" bottom: "ip1" top: "DROPPED" }
layer { name: "ip2" type: "InnerProduct" bottom: "DROPPED" top: "ip2"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip2" bottom: "t" top: "loss" }
"""
OPTIONS = NetQuantization(weight_bits=8, activation_bits=4)


@pytest.mark.parametrize("dropped", ["ip1", "drop"])
def test_the_scale_that_is_learned_is_that_of_what_testing_sees(
    tmp_path: Path, dropped: str
) -> None:
    """Behind the Dropout it came out 42 % too large."""
    net = quantize_net(Document(NET.replace("DROPPED", dropped)), OPTIONS)
    assert not net.warnings
    solver = caffe_pb2.SolverParameter(
        net_param=text_format.Parse(net.text, caffe_pb2.NetParameter()),
        base_lr=1e-4,
        lr_policy="fixed",
        test_iter=[1],
        test_interval=1000,
        random_seed=4,
        snapshot_prefix=str(tmp_path / "s"),
    )
    run = caffe.get_solver(solver)
    run.step(60)
    (name,) = (
        name
        for name, layer in zip(run.net._layer_names, run.net.layers, strict=True)
        if layer.type == "QuantizedActivation"
    )
    learned = run.net.params[name][0].data[0]
    fits = []
    test = run.test_nets[0]
    for _ in range(60):
        test.forward(end="relu")
        fits.append(quantize(test.blobs["ip1"].data.copy(), 4, signed=False).scale)
    assert learned == pytest.approx(np.mean(fits), rel=0.03)


def differences(text: str) -> list[str]:
    net = text_format.Parse(text, caffe_pb2.NetParameter())
    return [f"{one.layer} {one.cause}" for one in phase_differences(net)]


def layer(name: str, kind: str, bottom: str = "", top: str = "", fields: str = "") -> str:
    bottoms = "".join(f'bottom: "{blob}" ' for blob in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms}top: "{top or name}" {fields} }}\n'


TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"
DATA = layer("x", "Input")
CONV = layer("conv", "Convolution", "x")
QUANTIZE = "quantization_param { activation { bits: 8 } }"


def q(bottom: str, fields: str = "", name: str = "q") -> str:
    return layer(name, "QuantizedActivation", bottom, "", QUANTIZE + fields)


CASES: dict[str, tuple[str, list[str]]] = {
    "nothing between": (CONV + q("conv"), []),
    "dropout": (CONV + layer("d", "Dropout", "conv") + q("d"), ["q d"]),
    "dropout in place": (CONV + layer("d", "Dropout", "conv", "conv") + q("conv"), ["q d"]),
    "dropout while training": (
        CONV + layer("d", "Dropout", "conv", "conv", TRAIN) + q("conv"),
        ["q d"],
    ),
    "dropout of nothing": (
        CONV + layer("d", "Dropout", "conv", "", "dropout_param { dropout_ratio: 0 }") + q("d"),
        [],
    ),
    "behind a dropout, pooling and a ReLU": (
        CONV
        + layer("d", "Dropout", "conv")
        + layer("p", "Pooling", "d")
        + layer("r", "ReLU", "p")
        + q("r"),
        ["q d"],
    ),
    "one branch": (
        CONV + layer("d", "Dropout", "conv") + layer("c", "Concat", "conv d") + q("c"),
        ["q d"],
    ),
    "a layer with weights between": (
        CONV + layer("d", "Dropout", "conv") + layer("ip", "QuantizedInnerProduct", "d") + q("ip"),
        [],
    ),
    "another activation between": (
        CONV + layer("d", "Dropout", "conv") + q("d", name="p") + layer("r", "ReLU", "p") + q("r"),
        ["p d"],
    ),
    "before the dropout": (CONV + q("conv") + layer("d", "Dropout", "q"), []),
    "stochastic pooling": (
        CONV + layer("p", "Pooling", "conv", "", "pooling_param { pool: STOCHASTIC }") + q("p"),
        ["q p"],
    ),
    "other pooling": (CONV + layer("p", "Pooling", "conv") + q("p"), []),
    "batch norm": (CONV + layer("b", "BatchNorm", "conv") + q("b"), []),
    "a layer for training": (
        CONV + layer("n", "Power", "conv", "conv", TRAIN) + q("conv"),
        ["q n"],
    ),
    "a layer for testing": (CONV + layer("n", "Power", "conv", "conv", TEST) + q("conv"), ["q n"]),
    "twins": (
        layer("conv", "Convolution", "x", "c", TRAIN)
        + layer("conv", "Convolution", "x", "c", TEST)
        + q("c"),
        [],
    ),
    "another layer in each phase": (
        layer("a", "Convolution", "x", "c", TRAIN)
        + layer("b", "Convolution", "x", "c", TEST)
        + q("c"),
        ["q a", "q b"],
    ),
    "an activation for testing, which never learns": (
        CONV + layer("d", "Dropout", "conv") + q("d", TEST),
        [],
    ),
    "no testing": (CONV + layer("n", "ReLU", "conv", "", TRAIN) + q("n", TRAIN), []),
    "a stage": (
        CONV + layer("d", "Dropout", "conv", "conv", 'include { stage: "s" }') + q("conv"),
        ["q d"],
    ),
    "the input of each phase": (
        layer("a", "DummyData", "", "y", TRAIN) + layer("b", "DummyData", "", "y", TEST) + q("y"),
        [],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_layers_that_part_the_phases_are_found(text: str, expected: list[str]) -> None:
    assert differences(DATA + text) == expected


def test_a_net_that_has_such_a_layer_is_warned_of() -> None:
    text = DATA + CONV + layer("d", "Dropout", "conv") + layer("p", "Pooling", "d")
    text += layer("ip", "InnerProduct", "p")
    result = quantize_net(Document(text), OPTIONS)
    assert [str(warning) for warning in result.warnings] == [
        "layer 'p_q' (QuantizedActivation) stands behind layer 'd' (Dropout), which drops values "
        "while training and scales the others up: its scale is not that of what testing sees; put "
        "it before 'd', or fit it anew when the net is trained, with `ul2q calibrate`"
    ]
