"""Averages of activations gathered as testing sees them, held against NumPy; nothing else moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

import ul2q
from tests.small_nets import inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

# All that moves, drops or draws in phase TRAIN.
NET = inputs(x=(20, 3)) + (
    """layer { name: "ip" type: "QuantizedInnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 6 weight_filler { type: "gaussian" std: 1 } }
  quantization_param { weight { bits: 4 } } }
layer { name: "bn" type: "BatchNorm" bottom: "ip" top: "bn" BN_FIELDS }
layer { name: "scale" type: "Scale" bottom: "bn" top: "bn"
  scale_param { bias_term: true filler { value: 0.7 } bias_filler { value: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "bn" top: "bn" }
layer { name: "drop" type: "Dropout" bottom: "bn" top: "bn" }
layer { name: "q1" type: "QuantizedActivation" bottom: "bn" top: "q1"
  quantization_param { activation { bits: 4 signed: false moving_average_fraction: 0.5 } } }
layer { name: "power" type: "Power" bottom: "q1" top: "power" power_param { shift: -0.5 } }
layer { name: "q2" type: "QuantizedActivation" bottom: "power" top: "q2"
  quantization_param { activation {
    method: FIXED_POINT bits: 3 rounding: STOCHASTIC moving_average_fraction: 0.5 } } }
"""
)
F = 0.5  # moving_average_fraction
BATCHES = [
    np.random.default_rng(seed).normal(0, 1 + seed, (20, 3)).astype(np.float32) for seed in range(4)
]


def build(phase: int = caffe.TEST, bn_fields: str = "") -> Any:
    caffe.set_random_seed(3)
    net = caffe.Net.from_proto(NET.replace("BN_FIELDS", bn_fields), phase)
    mean, variance, factor = (blob.data for blob in net.params["bn"])
    mean[...], variance[...], factor[...] = np.linspace(-1, 1, 6), np.linspace(0.5, 3, 6), 1
    return net


def batches() -> Iterable[dict[str, NDArray[Any]]]:
    return ({"x": batch} for batch in BATCHES)


def all_blobs(net: Any) -> dict[str, list[bytes]]:
    return {name: [blob.data.tobytes() for blob in blobs] for name, blobs in net.params.items()}


def average(fits: list[float], fraction: float = F) -> float:
    weights = fraction ** np.arange(len(fits))[::-1]
    return float(np.sum(weights * fits) / np.sum(weights))


def test_the_averages_are_those_of_what_testing_sees() -> None:
    net = build()
    (weight,) = (blob.values for blob in net.layer_dict["ip"].quantized_blobs())
    mean, variance, _ = (blob.data.astype(np.float64) for blob in net.params["bn"])
    fits = []
    for x in BATCHES:
        normed = (x @ weight.T - mean) / np.sqrt(variance + 1e-5)
        seen = np.maximum(0.7 * normed + 0.1, 0).astype(np.float32)
        fits.append(ul2q.quantize(seen, 4, signed=False).scale)
    second_fits = []

    def after(layer: int) -> None:
        if net._layer_names[layer] == "power":
            fit = ul2q.quantize(net.blobs["power"].data.copy(), 3, "fixed_point")
            second_fits.append(fit.scale)

    net.after_forward(after)
    first, second = ul2q.gather_activation_averages(net, batches())
    assert (first.layer, second.layer) == ("q1", "q2")
    assert first.scale == pytest.approx(average(fits), rel=1e-5)
    assert second.scale == pytest.approx(average(second_fits), rel=1e-5)
    for row in (first, second):
        assert row.old_scale is None
        averages, share = (blob.data for blob in net.params[row.layer])
        assert averages.tolist() == [row.scale, row.shift, row.threshold]
        assert share[0] == pytest.approx(1 - F ** len(BATCHES), rel=1e-6)


def test_nothing_else_moves_and_no_random_number_is_drawn() -> None:
    net = build()
    noise = caffe.Net.from_proto(
        'layer { name: "n" type: "DummyData" top: "n" '
        'dummy_data_param { shape { dim: 8 } data_filler { type: "gaussian" std: 1 } } }',
        caffe.TEST,
    )

    def draw_after(work: Callable[[], object]) -> list[float]:
        caffe.set_random_seed(11)
        work()
        drawn: list[float] = noise.forward()["n"].tolist()
        return drawn

    undisturbed = draw_after(lambda: None)
    before = all_blobs(net)
    assert draw_after(lambda: ul2q.gather_activation_averages(net, batches())) == undisturbed
    after = all_blobs(net)
    assert {name for name in after if after[name] != before[name]} == {"q1", "q2"}
    assert draw_after(net.forward) == undisturbed  # and testing goes on as ever
    assert all_blobs(net) == after


def test_it_begins_anew_and_tells_what_was() -> None:
    net = build()
    first = ul2q.gather_activation_averages(net, batches())
    second = ul2q.gather_activation_averages(net, batches())
    for once, twice in zip(first, second, strict=True):
        assert (twice.scale, twice.shift) == (once.scale, once.shift)
        assert twice.old_scale == once.scale


def test_batch_norm_that_averages_while_testing_is_put_back() -> None:
    net = build(bn_fields="batch_norm_param { use_global_stats: false }")
    before = all_blobs(net)
    net.forward()
    assert all_blobs(net)["bn"] != before["bn"]  # so it is this that has to be put back
    before = all_blobs(net)
    ul2q.gather_activation_averages(net, batches())
    assert all_blobs(net)["bn"] == before["bn"]


def nan_batch() -> list[dict[str, NDArray[Any]]]:
    return [{"x": BATCHES[0]}, {"x": np.full((20, 3), np.nan)}]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ValueError, "no batches"),
        (0, ValueError, "no batches"),
        ([{"y": BATCHES[0]}], ValueError, "a batch has 'y' of 20 × 3; the net takes 'x' of 20 × 3"),
        ([{"x": BATCHES[0][:3]}], ValueError, "has 'x' of 3 × 3; the net takes 'x' of 20 × 3"),
        (nan_batch(), caffe.CaffeError, "Layer 'q1'"),
    ],
)
def test_what_fails_leaves_the_averages(given: Any, error: type[Exception], words: str) -> None:
    net = build()
    ul2q.gather_activation_averages(net, batches())
    before = all_blobs(net)
    with pytest.raises(error, match=words):
        ul2q.gather_activation_averages(net, given)
    assert all_blobs(net) == before
    net.forward(x=BATCHES[1])
    assert all_blobs(net) == before, "it gathers still"


def test_nets_that_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match=r"phase TRAIN.*build it in caffe\.TEST"):
        ul2q.gather_activation_averages(build(caffe.TRAIN), batches())
    plain = caffe.Net.from_proto(inputs(x=(2, 3)), caffe.TEST)
    with pytest.raises(ValueError, match="no QuantizedActivation layer"):
        ul2q.gather_activation_averages(plain, 1)
    with pytest.raises(TypeError, match="'ip' is a QuantizedInnerProduct; only a QuantizedActiv"):
        build().layer_dict["ip"].gather_averages(True)


def test_a_solvers_test_net_gathers_for_the_net_that_is_trained() -> None:
    solver = caffe_pb2.SolverParameter(base_lr=0.1, lr_policy="fixed", snapshot_prefix="s")
    solver.test_iter.append(1)
    solver.test_interval = 100
    text_format.Parse(NET.replace("BN_FIELDS", ""), solver.net_param)
    run = caffe.get_solver(solver)
    run.share_weights(run.test_nets[0])
    (first, _) = ul2q.gather_activation_averages(run.test_nets[0], batches())
    assert run.net.params["q1"][0].data[0] == np.float32(first.scale)
