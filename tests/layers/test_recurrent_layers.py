"""QuantizedLSTM and QuantizedRNN, against the stock layers with quantised weights."""

from __future__ import annotations

from typing import Any

import caffe
import numpy as np
import pytest

from ul2q import quantize

STEPS, STREAMS = 5, 3

NET = """
force_backward: true
layer {{ name: "x" type: "Input" top: "x" top: "cont" top: "static"
  input_param {{ shape {{ dim: 5 dim: 3 dim: 4 }} shape {{ dim: 5 dim: 3 }}
    shape {{ dim: 3 dim: 2 }} }} }}
layer {{ name: "r" type: "{type}" bottom: "x" bottom: "cont" {static} top: "r"
  recurrent_param {{ num_output: 6 weight_filler {{ type: "gaussian" std: 0.4 }}
    bias_filler {{ type: "uniform" min: -0.5 max: 0.5 }} }} {more} }}
layer {{ name: "loss" type: "Reduction" bottom: "r" top: "loss"
  reduction_param {{ operation: SUMSQ }} loss_weight: 1 }}
"""

OPTIONS = [
    ("weight { bits: 2 }", {"bits": 2}),
    (
        "weight { method: TERNARY granularity: CHANNEL }",
        {"method": "ternary", "granularity": "channel"},
    ),
    ("weight { bits: 3 fit: EMPIRICAL } bias { bits: 4 }", {"bits": 3, "fit": "empirical"}),
]


def make(kind: str, options: str = "", static: bool = False, phase: int = caffe.TRAIN) -> Any:
    caffe.set_random_seed(7)
    more = f"quantization_param {{ {options} }}" if options else ""
    bottom = 'bottom: "static"' if static else ""
    net = caffe.Net.from_proto(NET.format(type=kind, more=more, static=bottom), phase)
    rng = np.random.default_rng(3)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].data.shape)
    net.blobs["cont"].data[...] = rng.random((STEPS, STREAMS)) > 0.2
    return net


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(("options", "python"), OPTIONS)
def test_computes_with_quantised_weights(
    kind: str, static: bool, options: str, python: dict[str, Any]
) -> None:
    net = make(f"Quantized{kind}", options, static)
    plain = make(kind, static=static)
    masters = [blob.data.copy() for blob in net.params["r"]]
    for master, blob in zip(masters, plain.params["r"], strict=True):
        is_bias = master.ndim == 1
        np.testing.assert_array_equal(blob.data, master)
        if is_bias and "bias" in options:
            blob.data[...] = quantize(master, 4).values
        elif not is_bias:
            blob.data[...] = quantize(master, **python).values
    for n in (net, plain):
        n.forward()
        n.backward()
    np.testing.assert_allclose(net.blobs["r"].data, plain.blobs["r"].data, atol=1e-6)
    np.testing.assert_allclose(net.blobs["x"].diff, plain.blobs["x"].diff, atol=1e-5)
    for i, (mine, stock) in enumerate(zip(net.params["r"], plain.params["r"], strict=True)):
        np.testing.assert_array_equal(mine.data, masters[i])
        np.testing.assert_allclose(mine.diff, stock.diff, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_each_weight_blob_is_listed_once(kind: str) -> None:
    net = make(f"Quantized{kind}", "weight { bits: 2 } bias { bits: 4 }", static=True)
    blobs = {blob.index: blob for blob in net.layer_dict["r"].quantized_blobs()}
    assert sorted(blobs) == list(range(len(net.params["r"])))
    for index, blob in blobs.items():
        master = net.params["r"][index].data
        assert blob.field == ("bias" if master.ndim == 1 else "weight")
        np.testing.assert_array_equal(
            blob.values, quantize(master, 4 if master.ndim == 1 else 2).values
        )
    rows = net.quantization_statistics()
    assert [row.index for row in rows] == list(blobs)


def test_stochastic_rounding_knows_the_phase() -> None:
    options = "weight { method: FIXED_POINT bits: 3 rounding: STOCHASTIC }"
    train, test = make("QuantizedLSTM", options), make("QuantizedLSTM", options, phase=caffe.TEST)
    first, second = (train.forward()["loss"].copy() for _ in range(2))
    assert first != second
    assert test.forward()["loss"] == test.forward()["loss"]


def test_training_lowers_the_loss() -> None:
    net = make("QuantizedLSTM", "weight { bits: 2 }")
    losses = []
    for _ in range(30):
        net.clear_param_diffs()
        losses.append(float(net.forward()["loss"]))
        net.backward()
        for blob in net.params["r"]:
            blob.data[...] -= 0.02 * blob.diff
    assert losses[-1] < 0.5 * losses[0]


def test_the_weights_options_are_required() -> None:
    with pytest.raises(caffe.CaffeError, match=r"weight\.bits is missing"):
        make("QuantizedRNN", "bias { bits: 2 }")
