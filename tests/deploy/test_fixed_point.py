"""Nets in fixed-point arithmetic, in NumPy, against Caffe and against fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import caffe
import numpy as np
import pytest
from hypothesis import given, settings

from tests.deploy.integer_nets import calibrated, differing, nets, on_grid
from tests.deploy.trained import bundled, inputs_of
from tests.small_nets import inputs
from ul2q.deploy import DeployError, lower
from ul2q.deploy.fixed_point import Pixels, fixed_point
from ul2q.deploy.fixed_point.coding import Grid
from ul2q.deploy.fixed_point.ending import Formula, ending
from ul2q.deploy.fixed_point.hoist import hoisted
from ul2q.deploy.fixed_point.powers import PowerTable
from ul2q.deploy.ops import QuantizeActivation

FORMS = [
    {"weight_bits": 2},
    {"weight_bits": 3, "granularity": "channel", "shift": "zero"},
    {"weight_bits": 8, "shift": "zero"},
    {"method": "ternary", "weight_bits": None},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("name", ["lenet", "cifarnet", "vgg7_64"])
def test_codes_are_those_of_the_float_net(name: str, options: dict[str, Any]) -> None:
    """But where a value lies within a rounding of a border."""
    net = bundled(name, activation_bits=8, last_bits=8, **options)
    different, farthest, count = differing(net, on_grid(net))
    assert farthest < 1e-3
    assert count > 5000
    assert different <= max(1, 1e-4 * count)


@settings(max_examples=60)
@given(nets())
def test_nets_by_chance(text: str) -> None:
    try:
        net, values = calibrated(text)
    except caffe.CaffeError:
        return  # no output is left of the image
    _, farthest, count = differing(net, values)
    assert farthest < 1e-3
    assert count


def test_rounding_is_that_of_fractions() -> None:
    """Half away from zero, by factors of powers of two, which are exact."""
    sums = np.arange(-40, 41)
    op = QuantizeActivation(0.5, 0.0, 0.0, -7, 8, 4)
    formula = Formula(
        np.array([[0.0625]]), np.array([[0.0]]), np.array([-9.0]), np.array([9.0]), (40.0,)
    )
    made, coding = ending(formula, grid=Grid.of_quantize(op))
    for total, found in zip(sums, made.run([sums]), strict=True):
        exact = Fraction(int(total), 16) / Fraction(1, 2)
        size = abs(exact) + Fraction(1, 2)
        wanted = size.numerator // size.denominator * (1 if exact >= 0 else -1)
        assert found == min(max(wanted, -7), 8)
    assert (coding.step, coding.type) == (0.5, "i8")


def test_constants_are_not_rounded_to_units_of_the_sum() -> None:
    """One unit of a sum is 100 levels here, and the constant a third of a level."""
    op = QuantizeActivation(1.0, 0.0, 0.0, 0, 255, 8)
    formula = Formula(
        np.array([[100.0]]), np.array([[0.5 + 1e-6]]), np.array([-500.0]), np.array([500.0]), (5.0,)
    )
    made, _ = ending(formula, grid=Grid.of_quantize(op))
    np.testing.assert_array_equal(made.run([np.array([0, 1, 2])]), [1, 101, 201])


@pytest.mark.parametrize(("beta", "smallest"), [(0.75, 1.0), (0.5, 2.0), (1.0, 0.1)])
def test_powers_are_those_of_floats(beta: float, smallest: float) -> None:
    point = 45
    x = np.exp(np.random.default_rng(0).uniform(np.log(smallest), np.log(1e4), 10000))
    integers = np.rint(x * 2.0**point).astype(np.int64)
    found = PowerTable.of(beta, point, smallest).run(integers) / 2.0**30
    np.testing.assert_allclose(found, (x / smallest) ** -beta, rtol=0, atol=3e-8)


def test_rounding_moves_before_pooling_and_gives_the_same() -> None:
    net = bundled("lenet", weight_bits=2, activation_bits=4)
    graph = lower(net)
    moved = hoisted(graph)
    kinds = [type(node.op).__name__ for node in moved.nodes]
    assert kinds[:4] == ["Convolution", "Relu", "QuantizeActivation", "Pooling"]
    values = inputs_of(net)
    np.testing.assert_array_equal(moved.run(values)["prob"], graph.run(values)["prob"])


X = inputs(x=(1, 4, 6, 6))
CONV = (
    'layer { name: "c" type: "QuantizedConvolution" bottom: "x" top: "c" convolution_param '
    "{ num_output: 4 kernel_size: 3 } quantization_param { weight { bits: 2 } } }"
)


def layer(kind: str, fields: str = "", bottom: str = "c") -> str:
    return f'layer {{ name: "q" type: "{kind}" bottom: "{bottom}" top: "y" {fields} }}'


REFUSED = [
    (layer("Convolution", "convolution_param { num_output: 2 kernel_size: 1 }"), "float weights"),
    (layer("QuantizedConvolution", "convolution_param { num_output: 2 kernel_size: 1 } "
           "quantization_param { weight { bits: 2 } }"), "reads float activations; `ul2q quantize"),
    (layer("QuantizedInnerProduct", "inner_product_param { num_output: 2 } "
           "quantization_param { weight { bits: 9 } }"), "weights of 9 bits; 8 at most"),
    (layer("QuantizedDeconvolution", "convolution_param { num_output: 2 kernel_size: 1 } "
           "quantization_param { weight { bits: 2 } }"), "Deconvolution is not computed in int"),
    (layer("LRN", "lrn_param { beta: 1.5 }"), "beta 1.5, k 1; alpha must be 0 or more"),
    (layer("TanH"), "Tanh is not computed in integers"),
    (layer("MVN"), "Mvn is not computed in integers"),
    (layer("Softmax") + 'layer { name: "r" type: "ReLU" bottom: "y" top: "z" }', "softmax can be"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_refused_by_layer_and_reason(text: str, why: str) -> None:
    net = caffe.Net.from_proto(X + CONV + text, caffe.TEST)
    for blob in (blob for blobs in net.params.values() for blob in blobs):
        blob.data[...] = np.random.default_rng(0).normal(size=blob.data.shape)
    with pytest.raises(DeployError, match=rf"layer 'q' .*{why}"):
        fixed_point(lower(net))


def test_pixels() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(2, 3, 4, 5))
    mean = rng.uniform(0, 255, size=(3, 4, 5)).astype(np.float32)
    made = Pixels(0.25, mean).fitting("x", (3, 4, 5))
    np.testing.assert_array_equal(made.pixels(made.values(pixels)), pixels)
    assert made.factor == 128
    assert Pixels(1, np.array([104, 117, 123])).fitting("x", (3, 4, 5)).factor == 1
    for wrong, why in (
        (Pixels(0.0), "scale 0"),
        (Pixels(1.0, np.zeros(2) + 1), "the mean is 2×1×1; input 'x' takes 3×1×1 or 3×4×5"),
        (Pixels(1.0, np.full(3, 300.0)), "between 0 and 255"),
    ):
        with pytest.raises(DeployError, match=why):
            wrong.fitting("x", (3, 4, 5))
