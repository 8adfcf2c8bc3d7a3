"""Adaptive rounding: against the best of all codes, and in layers against their outputs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs
from ul2q.calibration.inputs import groups_of, reads_in_rows, rows
from ul2q.calibration.lockstep import Lockstep
from ul2q.calibration.rounding import output_error, round_to_output
from ul2q.calibration.weights import round_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def correlated(size: int, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (500, 2)) @ rng.normal(0, 1, (2, size)) + rng.normal(0, 0.3, (500, size))
    return np.asarray(x.T @ x / 500)


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_near_the_best_of_all_codes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moments = correlated(5, seed)
    w = rng.normal(0, 1, (1, 5))
    step, shift, codes = 0.8, 0.1, np.arange(-2, 3)
    levels = shift + step * codes
    nearest = levels[np.abs(w[..., np.newaxis] - levels).argmin(axis=-1)]
    ends = np.full((1, 1), levels[0]), np.full((1, 1), levels[-1])
    found = round_to_output(w, nearest, moments, np.full((1, 1), step), *ends)
    assert set(np.round(found.ravel(), 9)) <= set(np.round(levels, 9))
    every = np.array(list(itertools.product(levels, repeat=5)))
    best = output_error(w, every, moments).min()
    error, before = (output_error(w, one, moments)[0] for one in (found, nearest))
    assert error <= before
    assert error <= 2.5 * best  # a local minimum: nearest is up to 20 times the best here


def test_on_average_it_is_a_fraction_of_the_nearest() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, (200, 30))
    step = np.full((200, 1), 0.5)
    nearest = np.round(w / 0.5) * 0.5
    moments = correlated(30, 3)
    ends = np.full((200, 1), -9.0), np.full((200, 1), 9.0)
    found = round_to_output(w, nearest, moments, step, *ends)
    before, after = (output_error(w, one, moments).sum() for one in (nearest, found))
    assert after < 0.25 * before
    # Inputs that have nothing to do with each other leave nothing to gain.
    alone = round_to_output(w, nearest, np.diag(rng.uniform(0.5, 2, 30)), step, *ends)
    assert np.array_equal(alone, nearest)


LAYERS = {
    "convolution": "Convolution; num_output: 6 kernel_size: 3",
    "strides, pads": "Convolution; num_output: 6 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 "
    "pad_h: 1 pad_w: 2",
    "groups": "Convolution; num_output: 6 kernel_size: 3 group: 2 pad: 1",
    "depthwise": "Convolution; num_output: 8 kernel_size: 3 group: 4",
    "dilated": "Convolution; num_output: 6 kernel_size: 3 dilation: 2",
    "inner product": "InnerProduct; num_output: 6",
    "inner product along axis 2": "InnerProduct; num_output: 6 axis: 2",
}


def build(kind: str, quantization: str = "") -> Any:
    name, options = kind.split("; ")
    field = "inner_product_param" if name == "InnerProduct" else "convolution_param"
    caffe.set_random_seed(4)
    prefix = "Quantized" if quantization else ""
    return caffe.Net.from_proto(
        inputs(x=(5, 4, 9, 9)) + f'layer {{ name: "w" type: "{prefix}{name}" bottom: "x" top: "w" '
        f'{field} {{ {options} weight_filler {{ type: "gaussian" std: 1 }} '
        f'bias_filler {{ type: "gaussian" std: 1 }} }} {quantization} }}',
        caffe.TEST,
    )


def images(seed: int) -> NDArray[Any]:
    """Smooth ones, whose neighbours go together."""
    x = np.random.default_rng(seed).normal(0, 1, (5, 4, 9, 9))
    for axis in (2, 3):
        x = x + np.roll(x, 1, axis) + np.roll(x, 2, axis)
    return np.asarray(x + x.mean(1, keepdims=True) + 0.5, np.float32)


@pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS)
def test_rows_times_weights_are_the_outputs(kind: str) -> None:
    net = build(kind)
    x = images(0)
    y = net.forward(x=x)["w"].copy()
    weights, bias = (blob.data.copy() for blob in net.params["w"])
    param = net.layer_dict["w"].param
    assert reads_in_rows(param)
    found = rows(param, x, weights.shape[2:])
    group = groups_of(param)
    per_group = weights.reshape(group, len(weights) // group, -1)
    made = np.einsum("gpk,gnk->gnp", found, per_group).reshape(len(weights), -1)
    channels = np.moveaxis(y, 1 if "Conv" in kind else -1, 0).reshape(len(weights), -1)
    np.testing.assert_allclose(made + bias.reshape(-1, 1), channels, rtol=1e-4, atol=1e-4)
    fewer = rows(param, x, weights.shape[2:], most=20)
    if "Conv" in kind:
        assert 5 <= fewer.shape[1] <= 45


WIDTHS = [
    "bits: 2 granularity: CHANNEL fit: EMPIRICAL",
    "bits: 4 granularity: CHANNEL fit: EMPIRICAL",
    "bits: 4 fit: EMPIRICAL",
    "bits: 4 fit: EMPIRICAL shift: ZERO granularity: CHANNEL",
    "bits: 4 fit: EMPIRICAL method: CLIP granularity: CHANNEL",
    "bits: 8 granularity: CHANNEL fit: EMPIRICAL",
    "bits: 4",  # whose fit moves with the weights
]


@pytest.mark.parametrize("weight", WIDTHS)
@pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS)
def test_the_layers_output_is_closer(kind: str, weight: str) -> None:
    net = build(kind, f"quantization_param {{ weight {{ {weight} }} }}")
    twin = build(kind)
    x = images(1)
    exact = twin.forward(x=x)["w"].copy()

    def error() -> float:
        return float(np.sum((net.forward(x=x)["w"] - exact) ** 2))

    before = error()
    index = list(net._layer_names).index("w")
    words = round_layer(Lockstep(net, [{"x": x[:3]}, {"x": x[3:]}]), index, centred=False)
    after = error()
    assert words.startswith("rounded, error ")
    assert after <= before * (1 + 1e-5)
    # What it says is what has become of the output's error.
    assert float(words.split()[-1]) == pytest.approx((after / before) ** 0.5, abs=0.006)
    # Of nine weights the fit mostly finds levels of its own, and the masters stay.
    if "EMPIRICAL" in weight and "bits: 4" in weight and "group" not in kind and "Conv" in kind:
        assert after < 0.85 * before


def test_what_is_rounded_to_the_nearest_is_told() -> None:
    for kind, weight in (
        ("InnerProduct; num_output: 3 transpose: true", "bits: 4"),
        ("Convolution; num_output: 3 kernel_size: 1", "method: BINARY"),
    ):
        net = build(kind, f"quantization_param {{ weight {{ {weight} }} }}")
        before = net.params["w"][0].data.copy()
        words = round_layer(Lockstep(net, [{"x": images(0)}]), 1, centred=True)
        assert words == "rounded to the nearest"
        assert np.array_equal(net.params["w"][0].data, before)


def test_few_images_do_not_move_the_weights_of_a_large_layer() -> None:
    """An inner product of 324 weights a row that sees 5 images, held against others."""
    net = build(
        "InnerProduct; num_output: 6",
        "quantization_param { weight { bits: 4 fit: EMPIRICAL granularity: CHANNEL } }",
    )
    twin = build("InnerProduct; num_output: 6")
    x = images(9)
    exact = twin.forward(x=x)["w"].copy()
    before = float(np.sum((net.forward(x=x)["w"] - exact) ** 2))
    round_layer(Lockstep(net, [{"x": images(1)}]), 1, centred=False)
    assert float(np.sum((net.forward(x=x)["w"] - exact) ** 2)) <= 1.3 * before
