"""The package's nets in integers, against Caffe's float computation of the same nets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ul2q
from tests.deploy.trained import bundled, inputs_of
from ul2q.runtime.agreement import AgreementCheck

NETS = ("lenet", "cifarnet", "vgg7_64", "resnet18")


def trained(name: str, bits: int, **options: Any) -> Any:
    batch = 1 if name == "resnet18" else 4
    return bundled(name, batch=batch, weight_bits=2, activation_bits=bits, last_bits=8, **options)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_those_of_the_float_net(name: str, bits: int) -> None:
    """But where a value lies within a rounding of a border; each layer reads Caffe's own codes."""
    net = trained(name, bits)
    values = inputs_of(net)
    (output,) = net.outputs
    check = AgreementCheck(net, output)
    got = check.add(values)
    counts = check.counts
    assert counts.images == counts.same_class == len(net.blobs[output].data)
    assert counts.codes == sum(
        net.blobs[top].data.size
        for layer_name, layer in net.layer_dict.items()
        if layer.type == "QuantizedActivation"
        for top in net.top_names[layer_name]
    )
    assert counts.furthest_alone <= 1
    assert counts.different_alone / counts.codes <= 1e-4
    np.testing.assert_allclose(got[output], net.blobs[output].data, atol=1e-5)


@pytest.mark.parametrize("name", NETS[:3])
@pytest.mark.parametrize(
    "options",
    [
        {"shift": "zero"},
        {"granularity": "channel"},
        {"method": "ternary", "weight_bits": None},
        {"method": "binary", "weight_bits": None},
        {"weight_bits": 3},
        {"weight_bits": 8},
    ],
    ids=str,
)
def test_every_kind_of_weights(name: str, options: dict[str, Any]) -> None:
    net = bundled(name, batch=2, **{"weight_bits": 2, "activation_bits": 4, **options})
    values = inputs_of(net)
    net.forward(**values)
    got = ul2q.compile(net)(values)
    for output, array in got.items():
        np.testing.assert_allclose(array, net.blobs[output].data, atol=0.05)


@pytest.mark.parametrize("name", NETS[:3])
def test_quantised_layers_compute_in_integers(name: str) -> None:
    net = trained(name, 4)
    model = ul2q.compile(net)
    in_integers = [step for step in model.steps if " of codes" in step and "pooling" not in step]
    quantised_layers = [layer for layer in net.layers if layer.type.startswith("Quantized")]
    weights = [layer for layer in quantised_layers if layer.type != "QuantizedActivation"]
    assert len(in_integers) == len(weights) - 1  # the first layer reads pixels


def test_any_batch_gives_the_same() -> None:
    net = trained("lenet", 8)
    model = ul2q.compile(net)
    x = np.random.default_rng(3).normal(size=(37, 1, 28, 28)).astype(np.float32)
    (whole,) = model(x).values()
    for size in (1, 5, 36):
        (part,) = model(x[:size]).values()
        np.testing.assert_array_equal(part, whole[:size])
    (none,) = model(x[:0]).values()
    assert none.shape == (0, 10)


def test_threads_give_the_same() -> None:
    net = trained("cifarnet", 4)
    model = ul2q.compile(net)
    x = np.random.default_rng(3).normal(size=(9, 3, 32, 32)).astype(np.float32)
    (one,) = model(x, threads=1).values()
    for threads in (2, 3):
        (many,) = model(x, threads=threads).values()
        np.testing.assert_array_equal(many, one)
        (alone,) = model(x[:1], threads=threads).values()
        np.testing.assert_array_equal(alone, one[:1])
