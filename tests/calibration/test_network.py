"""A net calibrated layer by layer, held against NumPy step by step."""

from __future__ import annotations

from typing import Any, cast

import caffe
import numpy as np
import pytest

import ul2q
from tests.small_nets import inputs
from ul2q.calibration import CalibrationError, CalibrationOptions, calibrate_net
from ul2q.calibration.lockstep import Lockstep, float_twin

WEIGHT = "weight { bits: 4 fit: EMPIRICAL granularity: CHANNEL }"
ACTIVATION = "quantization_param { activation { bits: 8 signed: false } }"
FILLERS = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 0.5 }'
NET = (
    inputs(x=(4, 3, 8, 8))
    + f"""
layer {{ name: "a" type: "QuantizedConvolution" bottom: "x" top: "a"
  convolution_param {{ num_output: 6 kernel_size: 3 {FILLERS} }}
  quantization_param {{ {WEIGHT} }} }}
layer {{ name: "n" type: "BatchNorm" bottom: "a" top: "a" }}
layer {{ name: "s" type: "Scale" bottom: "a" top: "a"
  scale_param {{ bias_term: true filler {{ type: "gaussian" std: 2 }}
                 bias_filler {{ type: "gaussian" std: 0.3 }} }} }}
layer {{ name: "r" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "q" type: "QuantizedActivation" bottom: "a" top: "q" {ACTIVATION} }}
layer {{ name: "b" type: "QuantizedConvolution" bottom: "q" top: "b"
  convolution_param {{ num_output: 6 group: 6 kernel_size: 3 {FILLERS} }}
  quantization_param {{ {WEIGHT} }} }}
layer {{ name: "t" type: "ReLU" bottom: "b" top: "b" }}
layer {{ name: "p" type: "QuantizedActivation" bottom: "b" top: "p" {ACTIVATION} }}
layer {{ name: "c" type: "QuantizedInnerProduct" bottom: "p" top: "c"
  inner_product_param {{ num_output: 5 {FILLERS} }}
  quantization_param {{ {WEIGHT} }} }}
"""
)
RNG = np.random.default_rng(2)


def images(seed: int) -> Any:
    x = np.random.default_rng(seed).normal(0, 1, (4, 3, 8, 8))
    return (x + np.roll(x, 1, 2) + np.roll(x, 1, 3) + x.mean(1, keepdims=True)).astype(np.float32)


BATCHES = [{"x": images(seed)} for seed in range(6)]


def build(text: str = NET, phase: int = caffe.TEST) -> Any:
    caffe.set_random_seed(6)
    net = caffe.Net.from_proto(text, phase)
    if "n" in net.params:
        mean, variance, factor = (blob.data for blob in net.params["n"])
        mean[...] = np.linspace(-0.5, 0.5, 6)
        variance[...] = np.linspace(1, 3, 6)
        factor[...] = 1
        del mean, variance, factor
    # Channels of different size.
    scale = net.params["s"][0].data
    scale[...] = [0.1, -4, 1, 0.3, 2, -0.05]
    del scale
    return net


def outputs(net: Any) -> Any:
    return np.concatenate([net.forward(**batch)["c"].copy() for batch in BATCHES])


def error(net: Any, exact: Any) -> float:
    return float(np.linalg.norm(outputs(net) - exact) / np.linalg.norm(exact))


def test_the_twin_is_the_float_net() -> None:
    net = build()
    twin = float_twin(net)
    assert list(twin._layer_names) == list(net._layer_names)
    text = NET.replace("Quantized", "").replace('"Activation"', '"Power"')
    for part in (ACTIVATION, f"quantization_param {{ {WEIGHT} }}"):
        text = text.replace(part, "")
    plain = build(text)
    np.testing.assert_allclose(outputs(twin), outputs(plain), rtol=1e-6)


def test_a_layer_at_a_time_is_the_whole_net() -> None:
    net = build()
    calibrate_net(net, BATCHES)
    expected = [{name: b.data.copy() for name, b in net.blobs.items()} for batch in BATCHES
                if net.forward(**batch)]  # fmt: skip
    uneven = [{"x": BATCHES[0]["x"]}, {"x": BATCHES[1]["x"][:3]}]
    steps = Lockstep(net, uneven)
    for index in range(len(net.layers)):
        steps.run(index)
        if index == len(net.layers) - 1:
            np.testing.assert_allclose(steps.top(index, 0), expected[0]["c"], rtol=1e-5)
            np.testing.assert_allclose(steps.top(index, 1), expected[1]["c"][:3], rtol=1e-5)
        steps.done(index)


def test_large_blobs_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ul2q.calibration.lockstep._IN_MEMORY", 100)
    net, other = build(), build()
    rows = calibrate_net(net, BATCHES, CalibrationOptions.all())
    monkeypatch.undo()
    assert calibrate_net(other, BATCHES, CalibrationOptions.all()) == rows


def test_ranges_fit_what_the_quantised_layers_before_make() -> None:
    net = build()
    rows = calibrate_net(net, BATCHES, CalibrationOptions(ranges="minmax"))
    assert [row.layer for row in rows] == ["a", "q", "b", "p", "c"]
    for name, bottom in (("q", "a"), ("p", "b")):
        largest = 0.0
        for batch in BATCHES:
            net.forward(**batch)
            largest = max(largest, float(net.blobs[bottom].data.max()))
        averages, weight = (blob.data for blob in net.params[name])
        assert averages[0] == pytest.approx(largest / 255, rel=1e-5)
        assert (averages[1], averages[2], weight[0]) == (0, 0, 1)
    assert rows[1].scale == pytest.approx(float(net.params["q"][0].data[0]))
    assert (rows[0].scale, rows[0].steps) == (None, ())


def test_signal_to_noise_is_that_of_numpy() -> None:
    net = build()
    rows = {row.layer: row for row in calibrate_net(net, BATCHES)}
    twin = float_twin(net)
    for name in ("a", "b", "c"):
        signal = noise = 0.0
        for batch in BATCHES:
            found = []
            for one in (net, twin):  # up to the layer: later ones write in place
                one.blobs["x"].data[...] = batch["x"]
                one.forward(end=name)
                found.append(one.blobs[name].data.copy())
            signal += float(np.sum(found[1].astype(float) ** 2))
            noise += float(np.sum((found[0] - found[1]).astype(float) ** 2))
        assert rows[name].decibels == pytest.approx(10 * np.log10(signal / noise), abs=0.01)


def test_average_is_what_training_gives() -> None:
    net, other = build(), build()
    rows = calibrate_net(net, BATCHES, CalibrationOptions(ranges="average"))
    expected = ul2q.gather_activation_averages(other, BATCHES)
    scales = [row.scale for row in rows if row.scale is not None]
    np.testing.assert_allclose(scales, [row.scale for row in expected], rtol=1e-3)
    binary = NET.replace("bits: 8 signed: false", "method: BINARY")
    net, other = build(binary), build(binary)
    # A layer sees what the average of all batches makes before it, not that of those so far.
    calibrate_net(net, BATCHES)  # which has no even levels for MSE
    ul2q.gather_activation_averages(other, BATCHES)
    for name in "qp":
        np.testing.assert_allclose(net.params[name][0].data, other.params[name][0].data, rtol=1e-2)


def test_means_are_those_of_the_float_net() -> None:
    net = build()
    twin = float_twin(net)
    calibrate_net(net, BATCHES, CalibrationOptions(correct_bias=True, batch_norm=True))
    exact, found = (outputs(one).mean(axis=0) for one in (twin, net))
    np.testing.assert_allclose(found, exact, atol=1e-4)
    plain = build()
    calibrate_net(plain, BATCHES)
    assert np.abs(outputs(plain).mean(axis=0) - exact).max() > 0.01


def test_batch_norm_moves_by_what_quantisation_moves() -> None:
    def moments(net: Any) -> tuple[Any, Any]:
        made = []
        for batch in BATCHES:
            net.blobs["x"].data[...] = batch["x"]
            net.forward(end="a")
            made.append(net.blobs["a"].data.copy())
        values = np.concatenate(made).astype(float)
        return values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3))

    net = build()
    twin = float_twin(net)
    before = [blob.data.copy() for blob in net.params["n"]]
    (mean, variance), (exact_mean, exact_variance) = moments(net), moments(twin)
    calibrate_net(net, BATCHES, CalibrationOptions(batch_norm=True))
    after = [blob.data.copy() for blob in net.params["n"]]
    np.testing.assert_allclose(after[0], before[0] + mean - exact_mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after[1], before[1] * variance / exact_variance, rtol=1e-4)
    assert np.abs(after[0] - before[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("step", "bits"), [("equalize", 8), ("correct_bias", 4), ("round_weights", 4)]
)
def test_each_step_brings_the_outputs_closer(step: str, bits: int) -> None:
    text = NET.replace("bits: 4", f"bits: {bits}")
    net = build(text)
    exact = outputs(float_twin(net))
    calibrate_net(net, BATCHES)
    plain = error(net, exact)
    net = build(text)
    calibrate_net(net, BATCHES, CalibrationOptions(**cast("dict[str, Any]", {step: True})))
    assert error(net, exact) < 0.95 * plain
    net = build(text)
    rows = calibrate_net(net, BATCHES, CalibrationOptions.all())
    assert error(net, exact) < 0.8 * plain
    words = [word.split()[0] for row in rows for word in row.steps]
    assert {"rounded,", "bias"} <= set(words)
    assert "equalised," in words or bits == 4


def test_layers_without_biases_are_told() -> None:
    net = build(NET.replace("num_output: 5", "num_output: 5 bias_term: false"))
    *_, last = calibrate_net(net, BATCHES, CalibrationOptions(correct_bias=True))
    assert last.steps == ("no bias to correct",)


def test_what_cannot_be_calibrated() -> None:
    def fails(words: str, net: Any, batches: Any = BATCHES) -> None:
        with pytest.raises(CalibrationError, match=words):
            calibrate_net(net, batches)

    fails("in phase TRAIN; build it in caffe.TEST", build(phase=caffe.TRAIN))
    fails("has no quantised layer", caffe.Net.from_proto(inputs(x=(2, 3)), caffe.TEST))
    fails("there are no batches", build(), [])
    fails("takes 'x', and a batch has 'y'", build(), [{"y": images(0)}])
    bad = images(0)
    bad[0] = np.nan
    fails("layer 'q': the values hold NaN or infinity", build(), [{"x": bad}])
