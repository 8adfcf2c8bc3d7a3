"""The package's nets, quantised in many ways, lowered and run in NumPy, against Caffe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.deploy.trained import BUNDLED, all_blobs, assert_near, bundled, inputs_of
from ul2q.deploy import lower
from ul2q.deploy.ops import Affine, QuantizeActivation

FORMS = [
    {"weight_bits": bits, "granularity": granularity, "shift": shift}
    for bits in (1, 2, 3, 4, 8)
    for granularity in ("tensor", "channel")
    for shift in ("mean", "zero")
]


def named(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


@pytest.mark.parametrize("options", FORMS, ids=named)
@pytest.mark.parametrize("name", BUNDLED[:3])
def test_all_tensors_are_caffes(name: str, options: dict[str, Any]) -> None:
    check(bundled(name, **options))


@pytest.mark.parametrize("options", FORMS[::7], ids=named)
def test_resnet_too(options: dict[str, Any]) -> None:
    check(bundled("resnet18", **options))


@pytest.mark.parametrize("name", BUNDLED[:3])
@pytest.mark.parametrize("method", ["ul2q", "ternary", "binary", "clip", "fixed_point"])
def test_every_method(name: str, method: str) -> None:
    check(bundled(name, method=method, weight_bits=None if "ary" in method else 3))


def check(net: Any) -> None:
    values = inputs_of(net)
    net.forward(**values)
    graph = lower(net)
    got = all_blobs(graph).run(values)
    want = {name: blob.data for name, blob in net.blobs.items() if name in got}
    # Layers in place leave one version of a blob; folding leaves out those before an Affine.
    assert len(want) >= len({name for name in got if "/" not in name})
    assert_near(got, want, 1e-5)
    if "BatchNorm" in [layer.type for layer in net.layers]:
        folded = [node for node in graph.nodes if isinstance(node.op, Affine)]
        assert not folded


@pytest.mark.parametrize("name", BUNDLED[:3])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("method", ["ul2q", "clip", "fixed_point"])
def test_quantised_activations_take_the_same_levels(name: str, bits: int, method: str) -> None:
    """A value between two levels, to a rounding, may take the other one; hardly any does.

    Each layer goes on from Caffe's levels: one that differs would move many behind it.
    """
    net = bundled(name, weight_bits=2, activation_bits=bits, activation_method=method, last_bits=8)
    inputs = inputs_of(net)
    net.forward(**inputs)
    values = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    compared = 0
    for node in lower(net).nodes:
        found = node.op.run(*(values[name] for name in node.inputs))
        values.update(zip(node.outputs, found, strict=True))
        blob, op = node.outputs[0], node.op
        if not isinstance(op, QuantizeActivation) or blob not in net.blobs:
            continue
        want = net.blobs[blob].data
        codes, expected = (np.rint((a - op.shift) / op.scale + op.offset) for a in (found[0], want))
        assert np.abs(codes - expected).max() <= 1
        assert np.mean(codes != expected) < 1e-3
        assert expected.min() >= op.lowest
        assert expected.max() <= op.highest
        values[blob] = want.astype(np.float64)
        compared += 1
    assert compared
