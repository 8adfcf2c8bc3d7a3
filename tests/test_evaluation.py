"""Evaluation against NumPy on the raw pixels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from ul2q.errors import UserError
from ul2q.evaluation import evaluate
from ul2q.training import train

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.conftest import Workspace

NET, WEIGHTS = Path("net.prototxt"), Path("mini.caffemodel")


@pytest.fixture
def weights(workspace: Workspace) -> tuple[NDArray[Any], NDArray[Any]]:
    """Write random weights for the net; the 4 × 64 matrix and the 4 biases."""
    rng = np.random.default_rng(1)
    matrix, bias = rng.normal(0, 1, (4, 64)), rng.normal(0, 0.1, 4)
    net = caffe.Net(str(workspace.folder / NET), caffe.TEST)
    net.params["ip"][0].data[...] = matrix
    net.params["ip"][1].data[...] = bias
    net.save(str(WEIGHTS))
    return matrix, bias


def expected(
    workspace: Workspace, weights: tuple[NDArray[Any], NDArray[Any]], images: list[int]
) -> dict[str, float]:
    """Accuracy and cross-entropy over the test images with these indices."""
    pixels = workspace.test_images[images].reshape(len(images), -1) / 256
    labels = workspace.test_labels[images]
    scores = pixels @ weights[0].T + weights[1]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return {
        "accuracy": float(np.mean(scores.argmax(axis=1) == labels)),
        "loss": float(-np.log(shares[np.arange(len(images)), labels]).mean()),
    }


@pytest.mark.parametrize(
    ("iterations", "batch", "images"),
    [
        (None, 5, list(range(20))),
        (None, 20, list(range(20))),
        (1, 5, list(range(5))),
        (3, 5, list(range(15))),
        (5, 5, [*range(20), *range(5)]),
        (None, 8, [*range(20), *range(4)]),
        (None, 32, [*range(20), *range(12)]),
    ],
)
@pytest.mark.parametrize("data", [None, Path("moved")])
def test_means_over_the_batches(
    *,
    workspace: Workspace,
    weights: tuple[NDArray[Any], NDArray[Any]],
    caplog: pytest.LogCaptureFixture,
    iterations: int | None,
    batch: int,
    images: list[int],
    data: Path | None,
) -> None:
    workspace.net(("batch_size: 5", f"batch_size: {batch}"))
    if data is not None:
        (workspace.folder / "data").rename(data)
    with caplog.at_level(logging.WARNING):
        outputs = evaluate(NET, WEIGHTS, iterations=iterations, data=data)
    assert outputs == pytest.approx(expected(workspace, weights, images), rel=1e-4)
    twice = len(images) - 20
    rounded = iterations is None and twice
    assert (f"first {twice} entries twice" in caplog.text) == bool(rounded)


def test_vector_outputs_have_one_name_a_number(
    workspace: Workspace, weights: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    workspace.net(('top: "accuracy"', 'top: "accuracy" top: "hits"'), ("size: 5", "size: 20"))
    outputs = evaluate(NET, WEIGHTS)
    for label in range(4):
        images = np.flatnonzero(workspace.test_labels == label)
        share = expected(workspace, weights, list(images))["accuracy"]
        assert outputs[f"hits[{label}]"] == pytest.approx(share)


def test_float_weights_in_a_net_with_quantised_activations(
    workspace: Workspace,
    weights: tuple[NDArray[Any], NDArray[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At 16 bits, fitted to each batch, they hardly differ from the float ones."""
    layer = (
        'layer { name: "ip_q" type: "QuantizedActivation" bottom: "ip" top: "ip" '
        'quantization_param { activation { bits: 16 } } } layer { name: "drop"'
    )
    workspace.net(('layer { name: "drop"', layer))
    with caplog.at_level(logging.WARNING, logger="ul2q"):
        outputs = evaluate(NET, WEIGHTS)
    assert outputs == pytest.approx(expected(workspace, weights, list(range(20))), rel=1e-2)
    (warning,) = (r.getMessage() for r in caplog.records if r.name.startswith("ul2q"))
    assert "mini.caffemodel has no averages for the activations of 'ip_q'" in warning
    # Trained ones have averages.
    trained = train(Path("solver.prototxt")).weights
    assert trained is not None
    caplog.clear()
    evaluate(NET, trained)
    assert caplog.text == ""
    # Weights of another net are refused as before, activations or not.
    workspace.net(('layer { name: "drop"', layer), ('name: "ip" type', 'name: "fc" type'))
    with pytest.raises(UserError, match=r"no weights for layer 'fc';"):
        evaluate(NET, WEIGHTS)


def test_the_layers_of_hdf5_are_compared_too(
    workspace: Workspace, weights: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    net = caffe.Net(str(NET), caffe.TEST, weights=str(WEIGHTS))
    net.save_hdf5("mini.caffemodel.h5")
    assert evaluate(NET, Path("mini.caffemodel.h5")) == pytest.approx(
        expected(workspace, weights, list(range(20))), rel=1e-4
    )
    other = workspace.net(('"ip" type', '"fc" type'), name="other.prototxt")
    message = r"mini\.caffemodel\.h5 has no weights for layer 'fc'; it holds 'ip'"
    with pytest.raises(UserError, match=message):
        evaluate(other, Path("mini.caffemodel.h5"))
    WEIGHTS.rename("binary.caffemodel.h5")
    with pytest.raises(UserError, match=r"binary\.caffemodel\.h5 is damaged or no .caffemodel\.h5"):
        evaluate(NET, Path("binary.caffemodel.h5"))
    solver = workspace.solver(net='"other.prototxt"')
    with pytest.raises(UserError, match=message):
        train(solver, weights=[Path("mini.caffemodel.h5")])


BAD_CALLS: list[tuple[dict[str, Any], tuple[str, str] | None, type[Exception], list[str]]] = [
    ({"net": Path("gone")}, None, FileNotFoundError, ["gone"]),
    ({"weights": Path("gone")}, None, FileNotFoundError, ["gone"]),
    ({"weights": NET}, None, UserError, ["net.prototxt", "is a prototxt", ".caffemodel"]),
    ({"weights": Path("x.solverstate")}, None, UserError, ["x.solverstate", ".caffemodel"]),
    ({"weights": Path("nan.caffemodel")}, None, UserError, ["nan.caffemodel", "'ip'", "NaN"]),
    ({"iterations": 0}, None, UserError, ["at least 1", "0"]),
    ({"data": Path("gone")}, None, FileNotFoundError, ["gone/test_lmdb", "ul2q data"]),
    ({}, ("data/test_lmdb", "gone"), FileNotFoundError, ["'data'", "gone", "ul2q data"]),
    ({}, ('"ip" type', '"fc" type'), UserError, ["'fc'", "it holds 'ip'", "mini.caffemodel"]),
    (
        {},
        (
            'layer { name: "drop"',
            'layer { name: "more" type: "Bias" bottom: "ip" top: "ip" }\nlayer { name: "drop"',
        ),
        UserError,
        ["no weights for layer 'more';"],
    ),
    (
        {},
        ("num_output: 4", "num_output: 5"),
        UserError,
        ["mini.caffemodel", "net.prototxt", "'ip': blob 0 is 5×64, the file's 4×64"],
    ),
    ({}, ("batch_size: 5", "batch_size: 0"), UserError, ["'data'", "batch_size", "at least 1"]),
    ({}, ("phase: TEST", "phase: TRAIN"), UserError, ["--iterations"]),
    ({}, ('name: "mini"', 'input: "x"'), UserError, ["net.prototxt", "data layer"]),
    ({}, ('"mini"', '"mini" layr {}'), UserError, ["net.prototxt:1:", "'layr'", "'layer'"]),
]


@pytest.mark.parametrize(
    ("call", "replacement", "error", "words"), BAD_CALLS, ids=lambda value: str(value)[:40]
)
@pytest.mark.usefixtures("weights")
def test_bad_calls_are_explained(
    workspace: Workspace,
    call: dict[str, Any],
    replacement: tuple[str, str] | None,
    error: type[Exception],
    words: list[str],
) -> None:
    Path("x.solverstate").write_bytes(b"")
    diverged = caffe.Net(str(NET), caffe.TEST)
    diverged.params["ip"][1].data[2] = np.nan
    diverged.save("nan.caffemodel")
    if replacement:
        workspace.net(replacement)
    with pytest.raises(error) as caught:
        evaluate(**({"net": NET, "weights": WEIGHTS} | call))
    for word in words:
        assert word in str(caught.value)
