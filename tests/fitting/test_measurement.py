"""Fit and granularity by what they do to trained weights: errors against NumPy, and the choice."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

import ul2q
from ul2q.fitting import Candidate, FittingError, measure
from ul2q.fitting.candidates import choose
from ul2q.nets.prototxt_text import Document
from ul2q.nets.quantization import NetQuantization

if TYPE_CHECKING:
    from numpy.typing import NDArray

NET = """
name: "two"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [5, 12] } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a"
        inner_product_param { num_output: 20 } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b"
        inner_product_param { num_output: 3 } }
"""
FOUR_BITS = NetQuantization(weight_bits=4)
ALL = ("fit", "granularity", "activation_method", "activation_fit")
OPTIONS = [
    (fit, granularity)
    for granularity in ("tensor", "channel")
    for fit in ("exact", "paper", "empirical")
]


def relative(exact: NDArray[Any], found: NDArray[Any]) -> float:
    return float(np.linalg.norm(found.astype(float) - exact) / np.linalg.norm(exact))


class Trained:
    """NET with heavy-tailed weights, as trained ones have, of rows that differ in size."""

    def __init__(self, path: Path) -> None:
        rng = np.random.default_rng(4)
        net = caffe.Net.from_proto(NET, caffe.TEST)
        self.weights = {}
        for name, blobs in net.params.items():
            shape = blobs[0].data.shape
            rows = np.exp(rng.normal(0, 1.5, (shape[0], 1)))
            blobs[0].data[...] = rng.standard_t(3, shape) * rows
            blobs[1].data[...] = rng.standard_normal(shape[0])
            self.weights[name] = [blob.data.copy() for blob in blobs]
        net.save(str(path))
        self.batches = [{"x": rng.standard_normal((5, 12)).astype(np.float32)} for _ in range(4)]

    def quantised(self, name: str, fit: str, granularity: str, bits: int = 4) -> NDArray[Any]:
        return ul2q.quantize(
            self.weights[name][0], bits, "ul2q", fit, granularity=granularity
        ).values

    def layer(self, name: str, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(x.astype(float) @ w.T.astype(float) + self.weights[name][1])

    def run(self, x: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return self.layer("b", np.maximum(self.layer("a", x, a), 0), b)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.chdir(tmp_path)
    return Trained(Path("two.caffemodel"))


def test_errors_are_those_of_numpy(trained: Trained) -> None:
    measured = measure(Document(NET), "two.caffemodel", FOUR_BITS, batches=trained.batches[2:])
    assert [(one.fit, one.granularity) for one in measured.candidates] == OPTIONS
    x = np.concatenate([batch["x"] for batch in trained.batches[2:]])
    a, b = (trained.weights[name][0] for name in "ab")
    hidden = np.maximum(trained.layer("a", x, a), 0)
    for one in measured.candidates:
        qa, qb = (trained.quantised(name, one.fit, one.granularity) for name in "ab")
        assert one.weight_errors == pytest.approx(
            {"a": relative(a, qa), "b": relative(b, qb)}, rel=1e-5
        )
        assert one.output_errors == pytest.approx(
            {
                "a": relative(trained.layer("a", x, a), trained.layer("a", x, qa)),
                "b": relative(trained.layer("b", hidden, b), trained.layer("b", hidden, qb)),
            },
            rel=1e-3,
        )
        assert one.net_error == pytest.approx(
            relative(trained.run(x, a, b), trained.run(x, qa, qb)), rel=1e-3
        )
    assert (measured.chosen, measured.net) == (FOUR_BITS, None)
    assert measured.better is not None
    assert measured.better.name == "empirical channel"


def test_what_is_free_is_chosen(trained: Trained) -> None:
    free = measure(
        Document(NET), "two.caffemodel", FOUR_BITS, free=ALL, batches=trained.batches
    ).chosen
    assert (free.fit, free.granularity) == ("empirical", "channel")
    by_weights = measure(Document(NET), "two.caffemodel", FOUR_BITS, free=ALL).chosen
    assert (by_weights.fit, by_weights.granularity) == ("empirical", "channel")
    fit = measure(Document(NET), "two.caffemodel", FOUR_BITS, free=["fit"]).chosen
    assert (fit.fit, fit.granularity) == ("empirical", "tensor")
    channels = measure(Document(NET), "two.caffemodel", FOUR_BITS, free=["granularity"]).chosen
    assert (channels.fit, channels.granularity) == ("exact", "channel")


def test_activations_get_averages_of_the_calibration(trained: Trained) -> None:
    options = NetQuantization(weight_bits=4, activation_bits=8)
    measured = measure(
        Document(NET),
        "two.caffemodel",
        options,
        free=ALL,
        batches=trained.batches[2:],
        calibration=trained.batches[:2],
    )
    errors = measured.activation_errors
    assert set(errors) == set(itertools.product(("ul2q", "clip"), ("exact", "empirical")))
    chosen = (measured.chosen.activation_method or "", measured.chosen.activation_fit)
    assert errors[chosen] == min(errors.values())
    assert measured.net is not None
    assert measured.net_error == errors[chosen]
    # The same net by hand, calibrated and run.
    text = ul2q.quantize_net(Document(NET), measured.chosen).text
    net = caffe.Net.from_proto(text, caffe.TEST, weights="two.caffemodel")
    ul2q.gather_activation_averages(net, trained.batches[:2])
    assert np.array_equal(net.params["a_q"][0].data, measured.net.params["a_q"][0].data)
    x = np.concatenate([batch["x"] for batch in trained.batches[2:]])
    found = np.concatenate([net.forward(**batch)["b"].copy() for batch in trained.batches[2:]])
    a, b = (trained.weights[name][0] for name in "ab")
    assert measured.net_error == pytest.approx(relative(trained.run(x, a, b), found), rel=1e-3)
    without = measure(Document(NET), "two.caffemodel", options, free=ALL)
    assert (without.chosen.activation_fit, without.net) == ("empirical", None)


def test_a_fixed_method_is_kept(trained: Trained) -> None:
    del trained
    options = NetQuantization(method="ternary")
    measured = measure(Document(NET), "two.caffemodel", options, free=ALL)
    assert [one.name for one in measured.candidates] == [
        "exact tensor",
        "empirical tensor",
        "exact channel",
        "empirical channel",
    ]
    assert measured.chosen.method == "ternary"


def test_old_nets_and_hdf5(trained: Trained) -> None:
    net = text_format.Parse(NET, caffe_pb2.NetParameter())
    old = caffe_pb2.NetParameter(input=["x"], input_shape=[caffe_pb2.BlobShape(dim=[5, 12])])
    kinds = {"InnerProduct": "INNER_PRODUCT", "ReLU": "RELU"}
    for layer in net.layer[1:]:
        added = old.layers.add(
            name=layer.name,
            type=caffe_pb2.V1LayerParameter.LayerType.Value(kinds[layer.type]),
            bottom=layer.bottom,
            top=layer.top,
        )
        added.inner_product_param.CopyFrom(layer.inner_product_param)
    built = caffe.Net.from_proto(NET, caffe.TEST, weights="two.caffemodel")
    built.save_hdf5("two.caffemodel.h5")
    text = text_format.MessageToString(old)
    measured = [
        measure(Document(one), weights, FOUR_BITS, batches=trained.batches)
        for one, weights in ((NET, "two.caffemodel"), (text, "two.caffemodel.h5"))
    ]
    assert measured[0].candidates == measured[1].candidates


def test_batches_that_do_not_fit(trained: Trained) -> None:
    x = trained.batches[0]["x"]
    with pytest.raises(FittingError, match="takes 'x', and a batch has 'y'"):
        measure(Document(NET), "two.caffemodel", FOUR_BITS, batches=[{"y": x}])
    sizes = [{"x": x}, {"x": x[:2]}]  # of any number
    assert measure(Document(NET), "two.caffemodel", FOUR_BITS, batches=sizes).candidates


CHOICES: list[tuple[list[float], tuple[str, ...], str]] = [
    ([3, 2, 1, 0.9, 0.8, 0.5], ALL, "empirical channel"),
    ([3, 2, 0.55, 0.9, 0.8, 0.5], ALL, "empirical tensor"),  # not worth so many scales
    ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], ALL, "exact tensor"),
    ([3, 2, 1, 0.9, 0.8, 0.5], ("granularity",), "exact channel"),
    ([3, 2, 1, 0.9, 0.8, 0.5], (), "exact tensor"),
]


@pytest.mark.parametrize(("errors", "free", "expected"), CHOICES)
def test_the_simplest_of_those_that_are_about_as_good(
    errors: list[float], free: tuple[str, ...], expected: str
) -> None:
    candidates = [
        Candidate(*option, net_error=error) for option, error in zip(OPTIONS, errors, strict=True)
    ]
    assert choose(candidates, FOUR_BITS, free).name == expected
    by_weights = [
        dataclasses.replace(one, net_error=None, weight_errors={"a": one.net_error or 0.0})
        for one in candidates
    ]
    assert choose(by_weights, FOUR_BITS, free).name == expected
