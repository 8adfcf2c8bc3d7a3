"""Scaled channels: the float net computes the same, and nothing is scaled that may not be."""

from __future__ import annotations

from typing import Any

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs
from ul2q.calibration import CalibrationOptions, calibrate_net
from ul2q.calibration.equalization import divide, factors, weights_by_channel
from ul2q.calibration.lockstep import float_twin
from ul2q.calibration.regions import find_regions


def layer(name: str, kind: str, bottom: str, options: str = "", top: str | None = None) -> str:
    return (
        f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top or name}" '
        f"{options} }}\n"
    )


def convolution(name: str, bottom: str, outputs: int, *, kernel: int = 3, more: str = "") -> str:
    return layer(
        name,
        "Convolution",
        bottom,
        f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {more} "
        'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 1 } }',
    )


def inner_product(name: str, bottom: str, outputs: int, more: str = "") -> str:
    return layer(
        name,
        "InnerProduct",
        bottom,
        f"inner_product_param {{ num_output: {outputs} {more} "
        'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 1 } }',
    )


INPUT = inputs(x=(2, 4, 9, 9))
ACTIVATION = "quantization_param { activation { bits: 8 } }"
POOL = "pooling_param { pool: %s kernel_size: 2 stride: 2 }"

# A net, and its regions: the producer, and its readers.
NETS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "relu": (
        convolution("a", "x", 6) + layer("r", "ReLU", "a", top="a") + convolution("b", "a", 5),
        {"a": ["b"]},
    ),
    "leaky, depthwise, 1x1": (
        convolution("a", "x", 6)
        + layer("r", "ReLU", "a", "relu_param { negative_slope: 0.1 }")
        + convolution("b", "r", 6, more="group: 6 bias_term: false")
        + layer("s", "PReLU", "b")
        + convolution("c", "s", 3, kernel=1),
        {"a": ["b"], "b": ["c"]},
    ),
    "groups": (
        convolution("a", "x", 6, more="group: 2")
        + layer("r", "ReLU", "a")
        + convolution("b", "r", 4, more="group: 2"),
        {"a": ["b"]},
    ),
    "pooling, inner products": (
        convolution("a", "x", 6)
        + layer("p", "Pooling", "a", POOL % "MAX")
        + layer("r", "ReLU", "p", top="p")
        + layer("d", "Dropout", "p", top="p")
        + inner_product("b", "p", 7)
        + layer("s", "ReLU", "b")
        + inner_product("c", "s", 3),
        {"a": ["b"], "b": ["c"]},
    ),
    "average, flattened": (
        convolution("a", "x", 6)
        + layer("p", "Pooling", "a", POOL % "AVE")
        + layer("f", "Flatten", "p")
        + inner_product("b", "f", 7),
        {"a": ["b"]},
    ),
    "two readers": (
        convolution("a", "x", 6)
        + layer("r", "ReLU", "a")
        + convolution("b", "r", 5)
        + convolution("c", "r", 3, kernel=1),
        {"a": ["b", "c"]},
    ),
    "quantised": (
        convolution("a", "x", 6)
        + layer("r", "ReLU", "a", top="a")
        + layer("q", "QuantizedActivation", "a", ACTIVATION)
        + convolution("b", "q", 5),
        {"a": ["b"]},
    ),
    "batch norm and scale": (
        convolution("a", "x", 6)
        + layer("n", "BatchNorm", "a", "batch_norm_param { use_global_stats: true }")
        + layer(
            "s",
            "Scale",
            "n",
            'scale_param { bias_term: true filler { type: "gaussian" std: 1 } '
            'bias_filler { type: "gaussian" std: 1 } }',
        )
        + layer("r", "ReLU", "s")
        + convolution("b", "r", 5),
        {"s": ["b"]},
    ),
    "none: other functions": (
        convolution("a", "x", 6)
        + layer("t", "TanH", "a")
        + convolution("b", "t", 5)
        + layer("l", "LRN", "b")
        + convolution("c", "l", 3)
        + layer("z", "Power", "c", "power_param { shift: 1 }")
        + convolution("d", "z", 3, kernel=1)
        + layer("n", "BatchNorm", "d", "batch_norm_param { use_global_stats: true }")
        + convolution("e", "n", 3, kernel=1),
        {},
    ),
    "none: an output, a sum, shared weights": (
        convolution("a", "x", 6)
        + layer("r", "ReLU", "a")
        + layer("o", "Sigmoid", "a")
        + convolution("b", "r", 6, kernel=1)
        + 'layer { name: "e" type: "Eltwise" bottom: "b" bottom: "r" top: "e" }\n'
        + convolution("c", "e", 4, kernel=1).replace(
            "convolution_param", 'param { name: "w" } convolution_param'
        )
        + layer("u", "ReLU", "c")
        + convolution("d", "u", 4, kernel=1),
        {},
    ),
    "none: a transposed inner product": (
        convolution("a", "x", 6)
        + inner_product("b", "a", 5, "transpose: true")
        + inner_product("c", "b", 5),
        {},
    ),
}  # fmt: skip


def build(text: str) -> Any:
    caffe.set_random_seed(2)
    net = caffe.Net.from_proto(INPUT + text, caffe.TEST)
    rng = np.random.default_rng(1)
    for name, one in zip(net._layer_names, net.layers, strict=True):
        if one.type == "BatchNorm":
            mean, variance, factor = (blob.data for blob in net.params[name])
            mean[...], variance[...] = rng.normal(0, 1, 6)[: len(mean)], 1.5
            factor[...] = 1
        if one.type == "QuantizedActivation":  # so fine that it may stand in a float net
            net.params[name][0].data[...] = (1e-6, 0, 0)
            net.params[name][1].data[...] = 0
    return net


@pytest.mark.parametrize(("text", "expected"), NETS.values(), ids=NETS)
def test_the_float_net_computes_the_same(text: str, expected: dict[str, list[str]]) -> None:
    net = build(text.replace('"QuantizedActivation"', '"Power"').replace(ACTIVATION, ""))
    x = np.random.default_rng(7).normal(0, 1, (2, 4, 9, 9)).astype(np.float32)
    before = {name: values.copy() for name, values in net.forward(x=x).items()}
    names = list(net._layer_names)
    regions = find_regions(net)
    assert {
        names[one.producer]: [names[reader] for reader in one.readers] for one in regions
    } == expected
    rng = np.random.default_rng(3)
    for region in regions:
        masters = net.layers[region.producer].blobs[0].data.copy()
        divide(net, region, np.exp(rng.normal(0, 1, region.channels)))
        assert not np.allclose(net.layers[region.producer].blobs[0].data, masters, rtol=0.1)
    for name, values in net.forward(x=x).items():
        np.testing.assert_allclose(values, before[name], rtol=1e-5, atol=1e-5 * np.ptp(values))


def test_a_quantised_net_has_the_same_regions() -> None:
    text, expected = NETS["quantised"]
    net = build(text)
    (region,) = find_regions(net)
    assert net._layer_names[region.producer] == next(iter(expected))
    assert "q" in [net._layer_names[one] for one in region.between]


def test_the_weights_that_a_channel_meets() -> None:
    net = build(NETS["groups"][0])
    (region,) = find_regions(net)
    weights = np.abs(net.params["b"][0].data)  # 4 x 3, of which two rows a group
    of_groups = [weights[:2].max(axis=(0, 2, 3)), weights[2:].max(axis=(0, 2, 3))]
    np.testing.assert_allclose(weights_by_channel(net, region), np.concatenate(of_groups))


def test_factors_give_one_range_or_one_size_of_weights() -> None:
    ranges, weights = np.array([4.0, 1.0, 2.0]), np.array([1.0, 8.0, 2.0])
    np.testing.assert_allclose(ranges / factors(ranges, weights, 1), np.full(3, 2.0))
    np.testing.assert_allclose(np.ptp(weights * factors(ranges, weights, 0)), 0, atol=1e-12)
    half = factors(ranges, weights, 0.5)
    np.testing.assert_allclose(half / half[0], np.sqrt(ranges / weights) / 2)


def test_channels_that_matter_little_keep_room_above_what_was_seen() -> None:
    ranges, weights = np.array([1.0, 1.0, 1e-3, 0.0]), np.array([1.0, 1.0, 1.0, 0.1])
    by = factors(ranges, weights, 1)
    # The step between levels, which all channels share, makes noise of by x weights in each.
    noise = by * weights
    rms = np.sqrt(np.mean(noise[:2] ** 2))
    assert noise[:2] == pytest.approx(rms)
    assert (0.2 * rms < noise[2:]).all()
    assert (noise[2:] < 0.3 * rms).all()
    # So other images may reach 200 times as far as those seen before levels end.
    assert by[2] / ranges[2] > 200 * by[0] / ranges[0]


def test_factors_are_bounded() -> None:
    by = factors(np.array([0.0, 1e-9, 1.0, 1.0]), np.array([1.0, 1.0, 0.0, 1.0]), 1)
    assert by[2] == 1
    assert by.min() >= 1 / 64
    assert by.max() <= 64


IDLE = (
    inputs(x=(8, 3, 8, 8))
    + """
layer { name: "a" type: "QuantizedConvolution" bottom: "x" top: "a"
  convolution_param { num_output: 4 kernel_size: 1 }
  quantization_param { weight { bits: 8 fit: EMPIRICAL granularity: CHANNEL } } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "q" type: "QuantizedActivation" bottom: "a" top: "q"
  quantization_param { activation { bits: 8 signed: false } } }
layer { name: "b" type: "QuantizedConvolution" bottom: "q" top: "b"
  convolution_param { num_output: 4 group: 4 kernel_size: 3 }
  quantization_param { weight { bits: 8 fit: EMPIRICAL granularity: CHANNEL } } }
"""
)


def test_an_idle_channel_does_not_spoil_what_equalisation_gains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Channels of different size, and one that tells colours, which grey images hardly have."""
    rng = np.random.default_rng(4)
    grey = rng.uniform(0, 1, (4, 8, 1, 8, 8)) + rng.uniform(0, 0.05, (4, 8, 3, 8, 8))
    batches = [{"x": one.astype(np.float32)} for one in grey]
    others = {"x": rng.uniform(0, 1, (8, 3, 8, 8)).astype(np.float32)}
    largest = float((grey[:, :, 0] - grey[:, :, 1]).max())

    def calibrated(**options: Any) -> float:
        """The error on images in colours."""
        net = caffe.Net.from_proto(IDLE, caffe.TEST)
        weights, bias = (blob.data for blob in net.params["a"])
        weights[...] = np.array([1, 0.1, 0.03, 0.2])[:, None, None, None]
        weights[3, 1:, 0, 0] = -0.2, 0
        bias[...] = [0, 0, 0, 0.001 - 0.2 * largest]
        readers = net.params["b"][0].data
        readers[...] = np.random.default_rng(5).normal(0, 1, readers.shape)
        readers *= np.array([1, 10, 30, 2])[:, None, None, None]
        del weights, bias, readers
        calibrate_net(net, batches, CalibrationOptions(**options))
        exact = float_twin(net).forward(**others)["b"].copy()
        return float(np.linalg.norm(net.forward(**others)["b"] - exact) / np.linalg.norm(exact))

    plain, equalised = calibrated(), calibrated(equalize=True)
    assert equalised < 0.5 * plain
    monkeypatch.setattr("ul2q.calibration.equalization._FLOOR", 0.0)
    assert equalised < 0.8 * calibrated(equalize=True)
