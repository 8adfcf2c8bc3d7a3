"""What a model takes, what it refuses, and several threads that call it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import caffe
import numpy as np
import pytest

import ul2q
from tests.deploy.trained import bundled, fill, inputs_of
from ul2q.deploy import lower
from ul2q.runtime import Model, ModelError

TWO_INPUTS = """
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
"""


@pytest.fixture(scope="module")
def model() -> Model:
    return ul2q.compile(bundled("lenet", weight_bits=2, activation_bits=8))


def input_of(shape: tuple[int, ...], **kwargs: Any) -> Any:
    return np.zeros(shape, **kwargs)


def test_tells_inputs_outputs_and_steps(model: Model) -> None:
    assert model.inputs == {"data": (1, 28, 28)}
    assert model.outputs == {"prob": (10,)}
    assert "Model 'lenet': data 1×28×28 -> prob 10" in repr(model)
    assert any("convolution of codes" in step for step in model.steps)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (input_of((3, 28, 28)), "input 'data' has shape 3×28×28; it must be items×1×28×28"),
        (input_of(()), "has shape a number"),
        (input_of((1, 1, 28, 28), dtype=complex), "is of dtype complex128; it must be float32"),
        (np.array(["a"]), "is of dtype <U1"),
        ({"dat": input_of((1, 1, 28, 28))}, "input 'data' is missing; the net reads 'data'"),
        (
            {"data": input_of((1, 1, 28, 28)), "label": 0},
            "there is no input 'label'; the net reads 'data'",
        ),
        (np.full((2, 1, 28, 28), np.nan), "input 'data' holds NaN or infinity"),
        (np.full((1, 1, 28, 28), -np.inf), "input 'data' holds NaN or infinity"),
    ],
)
def test_refuses_by_name(model: Model, x: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model(x)


def test_takes_what_converts(model: Model) -> None:
    x = np.random.default_rng(1).integers(0, 255, (2, 1, 28, 28))
    (want,) = model(x.astype(np.float32)).values()
    for dtype in (np.uint8, np.int64, np.float64):
        (got,) = model(x.astype(dtype)).values()
        np.testing.assert_array_equal(got, want)


def test_several_inputs_by_name() -> None:
    model = ul2q.compile(caffe.Net.from_proto(TWO_INPUTS, caffe.TEST))
    got = model({"a": [[1, 2]], "b": [[3, 4]]})
    np.testing.assert_array_equal(got["sum"], [[4, 6]])
    with pytest.raises(ModelError, match="several inputs, 'a', 'b': give them by name"):
        model([[1, 2]])
    with pytest.raises(ModelError, match="as many items each; they have: 'a' 1, 'b' 2"):
        model({"a": [[1, 2]], "b": [[3, 4], [5, 6]]})


def test_several_threads_at_once() -> None:
    net = bundled("cifarnet", weight_bits=2, activation_bits=4)
    model = ul2q.compile(net)
    rng = np.random.default_rng(2)
    inputs = [rng.normal(size=(n % 4 + 1, 3, 32, 32)).astype(np.float32) for n in range(12)]
    want = [model(x)["prob"] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: model(x, threads=1)["prob"], inputs * 3))
    for array, expected in zip(got, want * 3, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_of_a_graph_is_that_of_its_net() -> None:
    net = bundled("lenet", weight_bits=2, activation_bits=4)
    values = inputs_of(net)
    want = ul2q.compile(net)(values)
    for name, array in ul2q.compile(lower(net))(values).items():
        np.testing.assert_array_equal(array, want[name])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            'layer { name: "mvn" type: "MVN" bottom: "x" top: "y" }',
            r"layer 'mvn' \(MVN\): operation Mvn is not for this runtime",
        ),
        (
            'layer { name: "cut" type: "Slice" bottom: "x" top: "y" top: "z" '
            "slice_param { axis: 1 } }",
            r"layer 'cut' \(Slice\): several outputs is not for this runtime",
        ),
    ],
)
def test_refuses_layers_by_name(layer: str, message: str) -> None:
    given = """layer { name: "x" type: "Input" top: "x"
      input_param { shape { dim: 1 dim: 2 dim: 3 dim: 3 } } }"""
    net = fill(caffe.Net.from_proto(given + layer, caffe.TEST))
    with pytest.raises(ModelError, match=message):
        ul2q.compile(net)
