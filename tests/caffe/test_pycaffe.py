"""`import caffe`: BVLC's pycaffe over the pybind11 module."""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.processes import run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# y = W x + b for three inputs and two outputs, a batch of 4; the loss is the squared distance to t.
LINEAR = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 0.5 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""

# The same with inputs that fillers draw anew in each pass.
NOISE = LINEAR.replace(
    'type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } }',
    'type: "DummyData" top: "x" dummy_data_param { shape { dim: 4 dim: 3 } '
    'data_filler { type: "gaussian" std: 1 } }',
).replace(
    'type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } }',
    'type: "DummyData" top: "t" dummy_data_param { shape { dim: 4 dim: 2 } '
    'data_filler { type: "uniform" min: -1 max: 1 } }',
)

SOLVERS = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


class NetMaker(Protocol):
    def __call__(self, text: str = ..., phase: int = ...) -> Any: ...


class SolverMaker(Protocol):
    def __call__(self, net: str = ..., **fields: object) -> Any: ...


@pytest.fixture
def make_net(tmp_path: Path) -> NetMaker:
    numbers = itertools.count()

    def make(text: str = LINEAR, phase: int = caffe.TRAIN) -> Any:
        path = tmp_path / f"net{next(numbers)}.prototxt"
        path.write_text(text, encoding="utf-8")
        return caffe.Net(path, phase)

    return make


@pytest.fixture
def make_solver(tmp_path: Path) -> SolverMaker:
    """A solver from a message; what is not given is as in `solver_message`."""

    def make(net: str = NOISE, **fields: object) -> Any:
        return caffe.get_solver(solver_message(tmp_path, net, **fields))

    return make


def solver_message(folder: Path, net: str = NOISE, **fields: object) -> caffe_pb2.SolverParameter:
    path = folder / "train.prototxt"
    path.write_text(net, encoding="utf-8")
    defaults: dict[str, object] = {
        "net": str(path),
        "base_lr": 0.05,
        "lr_policy": "fixed",
        "max_iter": 10,
        "snapshot_prefix": str(folder / "snapshot"),
        "random_seed": 11,
    }
    return caffe_pb2.SolverParameter(**{**defaults, **fields})


def parameters(net: Any) -> list[Any]:
    return [blob.data.copy() for blobs in net.params.values() for blob in blobs]


def assert_same(got: list[Any], want: list[Any]) -> None:
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


# Blobs


def test_blobs_are_views_that_can_be_written(make_net: NetMaker) -> None:
    net = make_net()
    for part in ("data", "diff"):
        for blob in (net.blobs["x"], net.params["ip"][0]):
            view = getattr(blob, part)
            assert view.dtype == np.float32
            assert view.flags.writeable
            assert view.flags.c_contiguous
            assert np.shares_memory(view, getattr(blob, part))
            view[...] = np.arange(view.size).reshape(view.shape)
            np.testing.assert_array_equal(getattr(blob, part), view)
    assert not np.shares_memory(net.blobs["x"].data, net.blobs["x"].diff)
    # What is written is what Caffe computes with.
    w, b = (blob.data for blob in net.params["ip"])
    net.forward()
    np.testing.assert_allclose(net.blobs["y"].data, net.blobs["x"].data @ w.T + b, rtol=1e-6)


def test_views_and_blobs_outlive_the_net(make_net: NetMaker) -> None:
    net = make_net()
    x, blob, layer = net.blobs["x"].data, net.params["ip"][0], net.layers[2]
    x[...] = 3
    want = blob.data.copy()
    del net
    gc.collect()
    others = [make_net() for _ in range(20)]  # would take freed memory
    for other in others:
        other.blobs["x"].data[...] = 7
    assert (x == 3).all()
    np.testing.assert_array_equal(blob.data, want)
    np.testing.assert_array_equal(layer.blobs[0].data, want)
    assert layer.type == "InnerProduct"


def test_a_view_from_before_a_reshape_keeps_its_memory(make_net: NetMaker) -> None:
    net = make_net()
    blob = net.blobs["x"]
    before = blob.data
    before[...] = 5
    blob.reshape(1000, 3)  # grows: new memory
    blob.data[...] = 6
    assert before.shape == (4, 3)
    assert (before == 5).all()
    large = blob.data
    blob.reshape(2, 3)  # shrinks: the same memory
    assert blob.data.shape == (2, 3)
    assert np.shares_memory(blob.data, large)


def test_shapes_of_blobs(make_net: NetMaker) -> None:
    blob = make_net().blobs["x"]
    for shape in [(2, 3, 4, 5), (7,), (), (3, 0, 2)]:
        blob.reshape(*shape)
        assert tuple(blob.shape) == blob.data.shape == blob.diff.shape == shape
        assert blob.count == int(np.prod(shape))
    blob.reshape(2, 3, 4, 5)
    assert (blob.num, blob.channels, blob.height, blob.width) == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((-1, 2), caffe.CaffeError),
        ((1 << 20, 1 << 20), caffe.CaffeError),
        ((1 << 40,), TypeError),
        (("a",), TypeError),
        ((2.5,), TypeError),
        (((2, 3),), TypeError),
    ],
)
def test_a_refused_shape_leaves_the_blob_as_it_is(
    shape: tuple[Any, ...], error: type[Exception], make_net: NetMaker
) -> None:
    blob = make_net().blobs["x"]
    blob.data[...] = 2
    with pytest.raises(error):
        blob.reshape(*shape)
    assert blob.data.shape == (4, 3)
    assert (blob.data == 2).all()


# Nets


def test_forward_with_inputs_by_name_and_blobs_to_return(make_net: NetMaker) -> None:
    net = make_net()
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    w, b = (blob.data.astype(float) for blob in net.params["ip"])
    out = net.forward(x=x, t=t, blobs=["y"])
    assert set(out) == {"loss", "y"}
    np.testing.assert_allclose(out["y"], x @ w.T + b, rtol=1e-5, atol=1e-6)
    assert float(out["loss"]) == pytest.approx(np.sum((x @ w.T + b - t) ** 2) / 8, rel=1e-5)
    assert net.inputs == ["x", "t"]
    assert net.outputs == ["loss"]
    assert list(net.layer_dict) == ["x", "t", "ip", "loss"]
    assert net.top_names["ip"] == ["y"]
    assert net.bottom_names["loss"] == ["y", "t"]
    assert net.blob_loss_weights["loss"] == 1


def test_backward_gives_the_gradients(make_net: NetMaker) -> None:
    net = make_net("force_backward: true" + LINEAR)
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    net.forward(x=x, t=t)
    out = net.backward(diffs=["y"])
    w, b = (blob.data.astype(float) for blob in net.params["ip"])
    y_diff = (x @ w.T + b - t) / 4
    np.testing.assert_allclose(out["y"], y_diff, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(out["x"], y_diff @ w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.params["ip"][0].diff, y_diff.T @ x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.params["ip"][1].diff, y_diff.sum(0), rtol=1e-4, atol=1e-5)
    net.clear_param_diffs()
    assert not any(blob.diff.any() for blob in net.params["ip"])


def test_passes_through_a_part_of_the_net(make_net: NetMaker) -> None:
    net = make_net()
    net.forward(x=np.ones((4, 3)), t=np.zeros((4, 2)))
    net.blobs["y"].data[...] = 2
    assert set(net.forward(start="loss")) == {"loss"}
    assert float(net.blobs["loss"].data) == pytest.approx(2 * 2 * 2 * 4 / 8)
    assert set(net.forward(end="ip")) == {"y"}
    assert float(net.blobs["loss"].data) == pytest.approx(4)  # not computed again
    net.blobs["y"].diff[...] = 1
    net.backward(start="ip", end="ip")
    np.testing.assert_allclose(net.params["ip"][1].diff, [4, 4])


def test_forward_all_takes_more_than_a_batch(make_net: NetMaker) -> None:
    net = make_net(LINEAR.replace("EuclideanLoss", "Eltwise"))  # an output with a batch axis
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    w, b = (blob.data.astype(float) for blob in net.params["ip"])
    out = net.forward_all(x=x, t=t, blobs=["y"])
    np.testing.assert_allclose(out["y"], x @ w.T + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["loss"], x @ w.T + b + t, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net: net.forward(start="nothing"), ValueError, "nothing"),
        (lambda net: net.forward(nothing=np.ones(3)), Exception, "do not match net inputs"),
        (lambda net: net.forward(x=np.ones((3, 3)), t=np.ones((4, 2))), Exception, "batch sized"),
        (lambda net: net._forward(0, 99), caffe.CaffeError, "layers_.size()"),
        (lambda net: net._forward(-1, 0), caffe.CaffeError, "start >= 0"),
        (lambda net: net._bottom_ids(99), caffe.CaffeError, "Invalid layer id"),
        (
            lambda net: net.set_input_arrays(
                np.ones((4, 1, 1, 3), np.float32), np.ones(4, np.float32)
            ),
            RuntimeError,
            "first layer is a MemoryDataLayer",
        ),
        (lambda net: net.before_forward("no function"), TypeError, "run: "),
        (lambda net: net.share_with(None), TypeError, "other: "),
    ],
)
def test_wrong_calls_raise(
    call: Callable[[Any], object], error: type[Exception], words: str, make_net: NetMaker
) -> None:
    net = make_net()
    with pytest.raises(error, match=re.escape(words)):
        call(net)
    assert net.forward()["loss"].shape == ()


def test_an_input_that_no_longer_fits_is_refused(make_net: NetMaker) -> None:
    net = make_net()
    net.blobs["x"].reshape(4, 5)
    with pytest.raises(caffe.CaffeError, match="Input size incompatible"):
        net.reshape()
    net.blobs["x"].reshape(8, 3)
    net.blobs["t"].reshape(8, 2)
    net.reshape()
    assert net.blobs["y"].data.shape == (8, 2)


SAVED = {".caffemodel": "save", ".caffemodel.h5": "save_hdf5"}


@pytest.mark.parametrize("suffix", SAVED)
def test_weights_go_through_files(suffix: str, make_net: NetMaker, tmp_path: Path) -> None:
    source, target = make_net(), make_net()
    path = tmp_path / f"weights{suffix}"
    for as_type in (Path, str, os.fsencode):  # each a way to name a file
        for blob in source.params["ip"]:
            blob.data[...] = np.random.default_rng(4).normal(size=blob.data.shape)
        getattr(source, SAVED[suffix])(as_type(path))
        assert path.stat().st_size
        for load in [target.copy_from] + [target.load_hdf5] * (suffix == ".caffemodel.h5"):
            for blob in target.params["ip"]:
                blob.data[...] = 0
            load(as_type(path))
            assert_same(parameters(target), parameters(source))
        path.unlink()


def test_a_caffemodel_is_the_message_of_the_net(make_net: NetMaker, tmp_path: Path) -> None:
    net = make_net()
    net.save(tmp_path / "w.caffemodel")
    message = caffe_pb2.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    (layer,) = (layer for layer in message.layer if layer.name == "ip")
    np.testing.assert_array_equal(
        np.float32(layer.blobs[0].data).reshape(2, 3), net.params["ip"][0].data
    )
    assert list(layer.blobs[0].shape.dim) == [2, 3]
    assert not any(blob.diff for blob in layer.blobs)


def test_weights_load_by_layer_name(make_net: NetMaker, tmp_path: Path) -> None:
    make_net(LINEAR.replace('"ip"', '"other"')).save(tmp_path / "w.caffemodel")
    net = make_net()
    before = parameters(net)
    net.copy_from(tmp_path / "w.caffemodel")
    assert_same(parameters(net), before)


def test_weights_in_the_constructor(make_net: NetMaker, tmp_path: Path) -> None:
    net = make_net()
    weights = tmp_path / "w.caffemodel"
    net.save(weights)
    text = tmp_path / "net0.prototxt"
    hdf5 = tmp_path / "w.caffemodel.h5"
    net.save_hdf5(hdf5)
    message = caffe_pb2.NetParameter.FromString(weights.read_bytes())
    for source in (weights, str(weights), hdf5, message):
        assert_same(parameters(caffe.Net(text, caffe.TEST, weights=source)), parameters(net))
    with pytest.warns(DeprecationWarning, match="weights=weights"):
        other = caffe.Net(str(text), str(weights), caffe.TEST)  # the form of before 2015
    assert_same(parameters(other), parameters(net))


def test_weights_from_a_message(make_net: NetMaker) -> None:
    source, target = make_net(), make_net()
    message = caffe_pb2.NetParameter()
    layer = message.layer.add(name="ip", type="InnerProduct")
    for blob in source.params["ip"]:
        layer.blobs.add(data=blob.data.ravel().tolist()).shape.dim.extend(blob.shape)
    target.copy_from(message)
    assert_same(parameters(target), parameters(source))
    layer.blobs[0].shape.dim[0] = 1
    del layer.blobs[0].data[3:]
    with pytest.raises(caffe.CaffeError, match="ip"):
        target.copy_from(message)
    with pytest.raises(TypeError, match=r"NetParameter, not a caffe\.SolverParameter"):
        target.copy_from(caffe_pb2.SolverParameter())


def test_nets_from_memory(make_net: NetMaker, tmp_path: Path) -> None:
    from google.protobuf import text_format

    message = text_format.Parse('name: "n"' + LINEAR, caffe_pb2.NetParameter())
    saved = make_net()
    saved.save(tmp_path / "w.caffemodel")
    x, t = np.ones((4, 3)), np.zeros((4, 2))
    for form in (message, str(message)):
        for phase in (caffe.TRAIN, caffe.TEST):
            net = caffe.Net.from_proto(form, phase, weights=tmp_path / "w.caffemodel")
            assert (net.name, net.phase) == ("n", phase)
            assert net.forward(x=x, t=t)["loss"] == saved.forward(x=x, t=t)["loss"]
    ruled = LINEAR.replace('name: "loss"', 'name: "loss" include { stage: "s" min_level: 2 }')
    assert caffe.Net.from_proto(ruled, caffe.TEST, level=2, stages=["s"]).outputs == ["loss"]
    assert "loss" not in caffe.Net.from_proto(ruled, caffe.TEST, level=2).blobs
    assert len(message.layer) == 4  # as it was


def test_nets_from_memory_that_make_no_sense() -> None:
    with pytest.raises(caffe.CaffeError, match=r"from_proto: 2:\d+: .*nam"):
        caffe.Net.from_proto("layer {\n nam: 'x' }", caffe.TEST)
    for wrong in (3, None, Path("x.prototxt"), caffe_pb2.SolverParameter()):
        with pytest.raises(TypeError, match="from_proto takes"):
            caffe.Net.from_proto(wrong, caffe.TEST)
    with pytest.raises(ValueError, match=r"must be caffe\.TRAIN"):
        caffe.Net.from_proto(LINEAR, 2)
    with pytest.raises(TypeError, match="stages must be a list"):
        caffe.Net.from_proto(LINEAR, caffe.TEST, stages="deploy")


def test_levels_and_stages_choose_layers(make_net: NetMaker, tmp_path: Path) -> None:
    text = LINEAR + 'layer { name: "r" type: "ReLU" bottom: "y" top: "r" include { RULE } }'
    cases: list[tuple[str, dict[str, Any], bool]] = [
        ('stage: "deploy"', {}, False),
        ('stage: "deploy"', {"stages": ["deploy"]}, True),
        ("min_level: 2", {"level": 1}, False),
        ("min_level: 2", {"level": 2}, True),
    ]
    for rule, options, there in cases:
        path = tmp_path / "rules.prototxt"
        path.write_text(text.replace("RULE", rule), encoding="utf-8")
        net = caffe.Net(path, caffe.TRAIN, **options)
        assert ("r" in net.blobs) is there
    assert "r" not in make_net().blobs


def test_share_with_uses_the_other_nets_memory(make_net: NetMaker) -> None:
    source, target = make_net(), make_net()
    target.share_with(source)
    source.params["ip"][0].data[...] = 9
    assert (target.params["ip"][0].data == 9).all()
    view = target.params["ip"][0].data
    del source
    gc.collect()
    target.forward()
    assert (view == 9).all()


# Files that are missing or broken


@pytest.mark.parametrize(
    "use",
    [
        lambda path, _: caffe.Net(path, caffe.TEST),
        lambda path, solver: caffe.Net(solver.text, caffe.TEST, weights=path),
        lambda path, _: caffe.get_solver(path),
        lambda path, _: caffe.SGDSolver(path),
        lambda path, solver: solver.net.copy_from(path),
        lambda path, solver: solver.net.load_hdf5(path),
        lambda path, solver: solver.restore(path),
        lambda path, solver: solver.solve(path),
    ],
    ids=["Net", "weights", "get_solver", "SGDSolver", "copy_from", "load_hdf5", "restore", "solve"],
)
def test_files_that_cannot_be_read_are_named(
    use: Callable[[object, Any], object], make_solver: SolverMaker, tmp_path: Path
) -> None:
    solver = make_solver()
    solver.text = tmp_path / "train.prototxt"
    missing = tmp_path / "nöthing.here"
    for path, error in [(missing, FileNotFoundError), (tmp_path, IsADirectoryError)]:
        for name in (path, str(path)):
            with pytest.raises(error, match=re.escape(str(path))):
                use(name, solver)
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        use(3, solver)
    solver.step(1)


def test_files_that_cannot_be_written_are_named(make_net: NetMaker, tmp_path: Path) -> None:
    net = make_net()
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none" / "w"))):
        net.save(tmp_path / "none" / "w")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        net.save(tmp_path)
    with pytest.raises(caffe.CaffeError, match=re.escape(str(tmp_path / "none" / "w"))):
        net.save_hdf5(tmp_path / "none" / "w")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer {\n  nam: 'x'\n}", [":2:", 'no field named "nam"', "name"]),
        (LINEAR.replace("num_output: 2", "num_output: two"), [":5:", "(in layer 'ip')", "two"]),
        (LINEAR.replace("num_output: 2\n", "num_output: 2 }\n"), [":6:"]),
        ('name: "x"\nlayer {', [":2:"]),
        ("layer\n\n\n: 3", [":4:"]),
        ("\x00\x01", [":1:"]),
    ],
)
def test_a_prototxt_that_does_not_parse_is_named_with_line_and_column(
    text: str, words: list[str], make_net: NetMaker
) -> None:
    with pytest.raises(caffe.CaffeError, match=r"net0\.prototxt:\d+:\d+: ") as error:
        make_net(text)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LINEAR.replace('"InnerProduct"', '"Nothing"'), "Unknown layer type: Nothing"),
        (LINEAR.replace('bottom: "x"', 'bottom: "z"'), "Unknown bottom blob 'z'"),
        (LINEAR.replace("dim: 4 dim: 2", "dim: 4 dim: 5"), "Inputs must have the same dimension"),
        (LINEAR.replace('"gaussian"', '"nothing"'), "Unknown filler name: nothing"),
    ],
)
def test_a_net_that_makes_no_sense_is_refused(text: str, words: str, make_net: NetMaker) -> None:
    with pytest.raises(caffe.CaffeError, match=words):
        make_net(text)
    make_net()


def test_caffe_errors_are_runtime_errors() -> None:
    assert issubclass(caffe.CaffeError, RuntimeError)
    assert caffe.CaffeError.__module__ == "caffe"


# Modes and seeds


def test_there_is_no_gpu() -> None:
    try:
        caffe.set_mode_gpu()
    except caffe.CaffeError as error:
        assert re.search("built without CUDA|CUDA finds none", str(error))
    else:
        pytest.skip("there is one")
    with pytest.raises(caffe.CaffeError, match=r"CPU-only|CUDA finds none"):
        caffe.set_device(0)
    caffe.set_mode_cpu()


def test_the_seed_makes_runs_repeatable(make_net: NetMaker) -> None:
    runs = []
    for seed in (5, 5, 6):
        caffe.set_random_seed(seed)
        net = make_net(NOISE)
        net.forward()
        runs.append([*parameters(net), net.blobs["x"].data.copy()])
    assert_same(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[2][0])


# Solvers


def test_get_solver_takes_paths_and_messages(tmp_path: Path) -> None:
    message = solver_message(tmp_path)
    path = tmp_path / "solver.prototxt"
    path.write_text(str(message), encoding="utf-8")
    results = []
    for form in (path, str(path), os.fsencode(path), message):
        solver = caffe.get_solver(form)
        assert isinstance(solver, caffe.SGDSolver)
        solver.step(3)
        results.append(parameters(solver.net))
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"net": "nothing.prototxt"}, "nothing.prototxt"),
        ({"type": "Nothing"}, "Unknown solver type: Nothing. (known types: AdaDelta, AdaGrad"),
        ({"test_iter": [1]}, "test_interval() > 0"),
        ({"lr_policy": "nothing"}, "Unknown learning rate policy: nothing"),
        ({"test_iter": [1], "test_net": ["a", "b"]}, "test_iter must be specified for each test"),
    ],
)
def test_a_solver_that_makes_no_sense_is_refused(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    message = solver_message(tmp_path)
    message.MergeFrom(caffe_pb2.SolverParameter(**fields))
    with pytest.raises(caffe.CaffeError, match=re.escape(words)):
        caffe.get_solver(message).step(1)


def test_get_solver_refuses_other_things() -> None:
    with pytest.raises(TypeError, match=r"SolverParameter, not a caffe\.NetParameter"):
        caffe.get_solver(caffe_pb2.NetParameter(name="x"))
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        caffe.get_solver(None)
    with pytest.raises(caffe.CaffeError, match="must specify a train net"):
        caffe.get_solver(caffe_pb2.SolverParameter())


def sgd(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["v"] = 0.9 * state.get("v", 0) + 0.05 * gradient
    return w - state["v"]


def nesterov(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    before = state.get("v", 0)
    state["v"] = 0.9 * before + 0.05 * gradient
    return w - (1.9 * state["v"] - 0.9 * before)


def ada_grad(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = state.get("h", 0) + gradient**2
    return w - 0.05 * gradient / (np.sqrt(state["h"]) + 1e-8)


def rms_prop(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = 0.98 * state.get("h", 0) + 0.02 * gradient**2
    return w - 0.05 * gradient / (np.sqrt(state["h"]) + 1e-8)


def ada_delta(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = 0.9 * state.get("h", 0) + 0.1 * gradient**2
    update = gradient * np.sqrt((state.get("u", 0) + 1e-8) / (state["h"] + 1e-8))
    state["u"] = 0.9 * state.get("u", 0) + 0.1 * update**2
    return w - 0.05 * update


def adam(w: Any, gradient: Any, state: dict[str, Any], t: int) -> Any:
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    rate = 0.05 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - rate * state["m"] / (np.sqrt(state["v"]) + 1e-8)


@pytest.mark.parametrize(
    ("kind", "update", "fields"),
    [
        ("SGD", sgd, {"momentum": 0.9}),
        ("Nesterov", nesterov, {"momentum": 0.9}),
        ("AdaGrad", ada_grad, {"delta": 1e-8}),
        ("RMSProp", rms_prop, {"rms_decay": 0.98, "delta": 1e-8}),
        ("AdaDelta", ada_delta, {"momentum": 0.9, "delta": 1e-8}),
        ("Adam", adam, {"momentum": 0.9, "momentum2": 0.999, "delta": 1e-8}),
    ],
)
def test_the_six_solvers_update_as_their_papers_say(
    kind: str, update: Callable[..., Any], fields: dict[str, object], tmp_path: Path
) -> None:
    message = solver_message(tmp_path, LINEAR, type=kind, **fields)
    path = tmp_path / "solver.prototxt"
    path.write_text(str(message), encoding="utf-8")
    of_kind = getattr(caffe, f"{kind}Solver")
    for solver in (caffe.get_solver(message), of_kind(path), of_kind(message)):
        assert type(solver) is getattr(caffe, f"{kind}Solver")
        rng = np.random.default_rng(6)
        x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
        solver.net.blobs["x"].data[...], solver.net.blobs["t"].data[...] = x, t
        w, b = (blob.data.astype(float) for blob in solver.net.params["ip"])
        states: list[dict[str, Any]] = [{}, {}]
        for iteration in range(1, 6):
            y_diff = (x @ w.T + b - t) / 4
            w = update(w, y_diff.T @ x, states[0], iteration)
            b = update(b, y_diff.sum(0), states[1], iteration)
            solver.step(1)
            np.testing.assert_allclose(solver.net.params["ip"][0].data, w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(solver.net.params["ip"][1].data, b, rtol=1e-4, atol=1e-5)


def test_steps_add_up_and_solve_goes_to_max_iter(make_solver: SolverMaker) -> None:
    results = []
    for run in (
        lambda s: s.solve(),
        lambda s: s.step(10),
        lambda s: [s.step(n) for n in (1, 0, 4, 5)],
        lambda s: [s.step(7), s.solve()],
    ):
        solver = make_solver(snapshot_after_train=False)
        run(solver)
        assert solver.iter == 10
        results.append(parameters(solver.net))
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("kind", SOLVERS)
def test_a_resumed_training_ends_with_the_same_weights(
    kind: str, snapshot_format: str, make_solver: SolverMaker, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {
        "type": kind,
        "momentum": 0.0 if kind in ("AdaGrad", "RMSProp") else 0.9,
        "lr_policy": "multistep",
        "gamma": 0.5,
        "stepvalue": [3, 7],
        "snapshot_format": caffe_pb2.SolverParameter.SnapshotFormat.Value(snapshot_format),
        "snapshot_after_train": False,
    }

    def feed(solver: Any) -> Any:
        rng = np.random.default_rng(8)
        for blob in ("x", "t"):
            solver.net.blobs[blob].data[...] = rng.normal(size=solver.net.blobs[blob].data.shape)
        return solver

    straight = feed(make_solver(LINEAR, **fields))
    straight.step(5)
    straight.snapshot()
    straight.step(5)
    suffix = ".h5" if snapshot_format == "HDF5" else ""
    state = tmp_path / f"snapshot_iter_5.solverstate{suffix}"
    assert (tmp_path / f"snapshot_iter_5.caffemodel{suffix}").stat().st_size
    for resume in (
        lambda s: (s.restore(state), s.step(5)),
        lambda s: s.solve(state),
        lambda s: s.solve(str(state)),
    ):
        solver = feed(make_solver(LINEAR, **fields))
        solver.step(1)  # restore replaces everything
        resume(solver)
        assert solver.iter == 10
        assert_same(parameters(solver.net), parameters(straight.net))


@pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize(("of", "to"), [("Nesterov", "SGD"), ("SGD", "AdaGrad"), ("Adam", "SGD")])
def test_the_state_of_another_type_of_solver_is_refused(
    of: str, to: str, snapshot_format: str, make_solver: SolverMaker, tmp_path: Path
) -> None:
    value = caffe_pb2.SolverParameter.SnapshotFormat.Value(snapshot_format)
    solver = make_solver(type=of, snapshot_format=value)
    solver.step(2)
    solver.snapshot()
    (state,) = tmp_path.glob("*.solverstate*")
    other = make_solver(type=to)
    other.step(1)
    before = parameters(other.net)
    for run in (other.restore, other.solve):
        with pytest.raises(caffe.CaffeError, match=re.escape(state.name)):
            run(state)
    assert other.iter == 1
    assert_same(parameters(other.net), before)
    other.step(1)


def test_a_state_of_bvlcs_has_no_type(make_solver: SolverMaker, tmp_path: Path) -> None:
    solver = make_solver()
    solver.step(2)
    solver.snapshot()
    path = tmp_path / "snapshot_iter_2.solverstate"
    state = caffe_pb2.SolverState.FromString(path.read_bytes())
    assert state.solver_type == "SGD"
    state.ClearField("solver_type")
    path.write_bytes(state.SerializeToString())
    other = make_solver()
    other.restore(path)
    assert other.iter == 2
    assert_same(parameters(other.net), parameters(solver.net))
    Path(state.learned_net).unlink()
    with pytest.raises((caffe.CaffeError, FileNotFoundError), match=re.escape(state.learned_net)):
        other.restore(path)


def test_what_a_solver_tells(make_solver: SolverMaker) -> None:
    solver = make_solver(
        base_lr=0.5, lr_policy="step", stepsize=2, gamma=0.1, average_loss=2, max_iter=6
    )
    rates, losses = [], []
    for _ in range(4):
        rates.append(solver.lr)
        assert solver.lr == rates[-1]
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
        assert solver.loss == pytest.approx(losses[-1])
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05])
    assert solver.iter == 4
    assert (solver.param.max_iter, solver.param.base_lr) == (6, pytest.approx(0.5))
    solver.param.base_lr = 1.0
    assert solver.lr == pytest.approx(0.01)


def test_looking_at_a_multistep_rate_does_not_change_the_training(make_solver: SolverMaker) -> None:
    fields: dict[str, Any] = {"lr_policy": "multistep", "gamma": 0.1, "stepvalue": [2, 4]}
    looked, plain = make_solver(**fields), make_solver(**fields)
    rates = []
    for _ in range(6):
        rates.append(looked.lr)
        assert looked.lr == rates[-1]
        looked.step(1)
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    caffe.set_random_seed(11)
    plain = make_solver(**fields)
    plain.step(6)
    assert_same(parameters(looked.net), parameters(plain.net))


def test_test_nets_follow_the_training(make_net: NetMaker, make_solver: SolverMaker) -> None:
    solver = make_solver(test_iter=[2], test_interval=1000)
    (tested,) = solver.test_nets
    solver.step(3)
    # They share the weights once a test has run.
    assert_same(parameters(tested), parameters(solver.net))
    other = make_net(NOISE, caffe.TEST)
    solver.share_weights(other)
    solver.step(1)
    assert_same(parameters(other), parameters(solver.net))
    assert solver.net is solver.net
    solver.test_nets.clear()  # a list of the caller's
    assert len(solver.test_nets) == 1


def test_nets_of_a_solver_outlive_it(make_solver: SolverMaker) -> None:
    solver = make_solver(test_iter=[1], test_interval=1000)
    net, test_net = solver.net, solver.test_nets[0]
    want = parameters(net)
    del solver
    gc.collect()
    net.forward()
    test_net.forward()
    assert_same(parameters(net), want)


def test_manual_updates(make_solver: SolverMaker) -> None:
    solver = make_solver(LINEAR, base_lr=0.25)
    blob = solver.net.params["ip"][0]
    before = blob.data.copy()
    blob.diff[...] = 2
    solver.apply_update()
    np.testing.assert_allclose(blob.data, before - 0.5, rtol=1e-6)


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_parameter_of_another_size_is_not_updated(kind: str, make_solver: SolverMaker) -> None:
    solver = make_solver(type=kind)
    solver.net.params["ip"][0].reshape(200, 300)
    for run in (solver.apply_update, lambda: solver.step(1)):
        with pytest.raises(caffe.CaffeError, match=r"reshaped to 200 300 .* from 2 3 "):
            run()
    solver.net.params["ip"][0].reshape(2, 3)
    solver.step(1)


# Callbacks and interrupts


def test_callbacks_of_a_solver_run_in_order(make_solver: SolverMaker) -> None:
    solver = make_solver()
    calls: list[tuple[str, int]] = []
    solver.add_callback(
        lambda: calls.append(("start", solver.iter)), lambda: calls.append(("ready", solver.iter))
    )
    solver.step(2)
    assert calls == [("start", 0), ("ready", 0), ("start", 1), ("ready", 1)]


def test_callbacks_of_a_net_get_the_index_of_the_layer(make_net: NetMaker) -> None:
    net = make_net()
    calls: list[tuple[str, int]] = []
    for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net, when)(lambda layer, when=when: calls.append((when, layer)))
    net.forward()
    assert calls[:3] == [("before_forward", 0), ("after_forward", 0), ("before_forward", 1)]
    assert len(calls) == 8
    net.backward(start="loss", end="ip")
    assert calls[8:] == [
        ("before_backward", 3),
        ("after_backward", 3),
        ("before_backward", 2),
        ("after_backward", 2),
    ]


class Stop(Exception):  # noqa: N818
    """Raised in callbacks."""


def test_an_exception_in_a_callback_reaches_the_caller(
    make_net: NetMaker, make_solver: SolverMaker
) -> None:
    switch = {"on": True}

    def raise_stop(*_: int) -> None:
        if switch["on"]:
            raise Stop("from the callback")

    net = make_net()
    net.after_forward(raise_stop)
    solver = make_solver()
    solver.add_callback(lambda: None, raise_stop)
    by_start = make_solver()
    by_start.add_callback(raise_stop, lambda: None)
    for run in (net.forward, lambda: solver.step(3), by_start.solve):
        switch["on"] = True
        with pytest.raises(Stop, match="from the callback") as error:
            run()
        assert "raise_stop" in str(error.traceback[-1])
        switch["on"] = False
        run()
    assert solver.iter == 3


@pytest.mark.parametrize("run", [lambda s: s.step(1000), lambda s: s.solve()])
def test_ctrl_c_in_a_callback_stops_the_training(
    run: Callable[[Any], None], make_solver: SolverMaker
) -> None:
    solver = make_solver(max_iter=1000, snapshot_after_train=False)

    calls = []

    def interrupt() -> None:
        calls.append(solver.iter)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)

    solver.add_callback(lambda: None, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(solver)
    assert calls == [0, 1, 2, 3, 4]
    assert solver.iter == 4  # Python's handler ran in the callback, before the update
    solver.step(6)
    assert solver.iter == 10


def interrupt_when(is_time: Callable[[], bool], run: Callable[[], object]) -> None:
    """Let a Ctrl-C end `run` once `is_time`."""

    def interrupt() -> None:
        while not is_time():
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run()
    thread.join()


@pytest.mark.parametrize("run", [lambda s: s.step(1_000_000), lambda s: s.solve()])
def test_ctrl_c_while_caffe_computes(run: Callable[[Any], None], make_solver: SolverMaker) -> None:
    solver = make_solver(max_iter=1_000_000, snapshot_after_train=False)
    # Would never be interrupted if step kept Python's lock.
    interrupt_when(lambda: solver.iter >= 100, lambda: run(solver))
    stopped = solver.iter
    assert 100 <= stopped < 1_000_000
    assert np.isfinite(parameters(solver.net)[0]).all()
    solver.step(3)
    assert solver.iter == stopped + 3


@pytest.mark.parametrize("run", [lambda s: s.step(5), lambda s: s.solve()])
def test_ctrl_c_while_a_test_net_runs(run: Callable[[Any], None], make_solver: SolverMaker) -> None:
    # The first test would take hours.
    solver = make_solver(test_iter=[1_000_000_000], test_interval=1_000, max_iter=5)
    tested = solver.test_nets[0].blobs["loss"]
    interrupt_when(lambda: bool(tested.data), lambda: run(solver))
    assert solver.iter == 0


def test_handlers_of_other_signals_run_and_training_goes_on(make_solver: SolverMaker) -> None:
    solver = make_solver()
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        solver.add_callback(lambda: signal.raise_signal(signal.SIGUSR1), lambda: None)
        solver.step(3)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1] * 3
    assert solver.iter == 3


# Threads


def test_two_nets_in_two_threads(make_net: NetMaker) -> None:
    rng = np.random.default_rng(9)
    nets = [make_net(), make_net()]

    def run(net: Any) -> None:
        thread_rng = np.random.default_rng(id(net))
        w, b = (blob.data.astype(float) for blob in net.params["ip"])
        for _ in range(200):
            x, t = thread_rng.normal(size=(4, 3)), np.zeros((4, 2))
            y = net.forward(x=x, t=t, blobs=["y"])["y"]
            np.testing.assert_allclose(y, x @ w.T + b, rtol=1e-4, atol=1e-5)

    for net in nets:
        net.params["ip"][0].data[...] = rng.normal(size=(2, 3))
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(run, nets))


# Data


MEMORY = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 } }
layer { name: "copy" type: "Power" bottom: "data" top: "copy" }
layer { name: "copy_label" type: "Power" bottom: "label" top: "copy_label" }
"""


def test_memory_data_serves_the_arrays_in_turn(make_net: NetMaker) -> None:
    net = make_net(MEMORY)
    data = np.arange(36, dtype=np.float32).reshape(6, 1, 2, 3)
    labels = np.arange(6, dtype=np.float32)
    net.set_input_arrays(data, labels)
    for first in (0, 2, 4, 0):
        out = net.forward()
        np.testing.assert_array_equal(out["copy"], data[first : first + 2])
        np.testing.assert_array_equal(out["copy_label"].ravel(), labels[first : first + 2])


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (np.zeros((2, 1, 2, 4)), np.zeros(2), "data array must be of shape N x 1 x 2 x 3"),
        (np.zeros((2, 6)), np.zeros(2), "data array must be of shape"),
        (np.zeros((2, 1, 2, 3)), np.zeros((2, 3, 1, 1)), "labels array must be of shape"),
        (np.zeros((2, 1, 2, 3)), np.zeros(4), "the same first dimension"),
        (np.zeros((3, 1, 2, 3)), np.zeros(3), "multiple of the batch size, 2"),
        (np.zeros((0, 1, 2, 3)), np.zeros(0), "multiple of the batch size, 2"),
    ],
)
def test_memory_data_refuses_arrays_of_other_shapes(
    data: Any, labels: Any, words: str, make_net: NetMaker
) -> None:
    net = make_net(MEMORY)
    with pytest.raises(ValueError, match=words):
        net.set_input_arrays(data.astype(np.float32), labels.astype(np.float32))
    with pytest.raises(TypeError):  # Caffe would read other bytes
        net.set_input_arrays(np.zeros((2, 1, 2, 3)), np.zeros(2))
    with pytest.raises(caffe.CaffeError, match="needs to be initialized"):
        net.forward()


def test_memory_data_keeps_its_arrays(make_solver: SolverMaker) -> None:
    solver = make_solver(
        MEMORY.replace("channels: 1 height: 2 width: 3", "channels: 1 height: 100 width: 100"),
        base_lr=0,
    )
    shape = (2, 1, 100, 100)
    solver.net.set_input_arrays(np.full(shape, 3, np.float32), np.zeros(2, np.float32))
    gc.collect()
    others = [np.full(shape, 7, np.float32) for _ in range(50)]  # would take freed memory
    solver.net.forward()
    assert (solver.net.blobs["copy"].data == 3).all()
    assert len(others) == 50


def test_memory_data_lets_go_of_arrays_it_no_longer_needs(make_net: NetMaker) -> None:
    net = make_net(MEMORY)
    first = np.zeros((2, 1, 2, 3), np.float32)
    alive = weakref.ref(first)
    net.set_input_arrays(first, np.zeros(2, np.float32))
    del first
    gc.collect()
    assert alive() is not None
    net.set_input_arrays(np.zeros((2, 1, 2, 3), np.float32), np.zeros(2, np.float32))
    gc.collect()
    assert alive() is None


DATA = """
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "SOURCE" batch_size: 2 backend: LMDB } }
"""


def write_records(path: Path, records: list[bytes]) -> None:
    with lmdb.open(str(path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for i, record in enumerate(records):
            transaction.put(b"%04d" % i, record)


def record(value: int, *, size: int = 6) -> bytes:
    datum = caffe_pb2.Datum(channels=1, height=2, width=3, data=bytes([value]) * size, label=value)
    return bytes(datum.SerializeToString())


def test_records_of_an_lmdb_in_turn(make_net: NetMaker, tmp_path: Path) -> None:
    write_records(tmp_path / "lmdb", [record(i) for i in range(4)])
    net = make_net(DATA.replace("SOURCE", str(tmp_path / "lmdb")))
    for first in (0, 2, 0):
        out = net.forward()
        np.testing.assert_array_equal(out["label"], [first, first + 1])
        np.testing.assert_array_equal(out["data"][:, 0, 0, 0], [first, first + 1])


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff\xff\xff\xff", b"no datum at all", record(3, size=5), record(3)[:-5]]
)
@pytest.mark.parametrize("at", [1, 3])
def test_a_damaged_record_is_an_error_of_the_forward_pass(
    damaged: bytes, at: int, make_net: NetMaker, tmp_path: Path
) -> None:
    records = [record(i) for i in range(4)]
    records[at] = damaged
    write_records(tmp_path / "lmdb", records)
    net = make_net(DATA.replace("SOURCE", str(tmp_path / "lmdb")))

    def three_passes() -> None:
        for _ in range(3):
            net.forward()

    for _ in range(2):
        with pytest.raises(caffe.CaffeError):
            three_passes()
    make_net().forward()


def test_a_missing_lmdb_is_an_error(make_net: NetMaker, tmp_path: Path) -> None:
    with pytest.raises(caffe.CaffeError, match="No such file or directory"):
        make_net(DATA.replace("SOURCE", str(tmp_path / "nothing")))


# The process


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="reads Linux's /proc; AddressSanitizer holds freed memory back",
)
def test_dropped_nets_give_their_memory_back(make_net: NetMaker, make_solver: SolverMaker) -> None:
    # About 1 MB of blobs a net.
    text = LINEAR.replace("dim: 4", "dim: 20000")

    def use() -> None:
        net = make_net(text)
        net.forward()
        net.blobs["x"].diff[...] = 1
        views = [blob.data for blob in net.blobs.values()]
        solver = make_solver()
        solver.step(1)
        del views

    for _ in range(20):
        use()
    gc.collect()
    before = resident_bytes()
    for _ in range(300):
        use()
    gc.collect()
    assert resident_bytes() - before < 20e6


def test_import_is_light_and_quiet() -> None:
    code = "import sys, json, caffe; print(json.dumps(sorted(sys.modules)))"
    result = run_python(code)
    assert (result.returncode, result.stderr) == (0, "")
    loaded = {name.partition(".")[0] for name in json.loads(result.stdout)}
    assert "caffe" in loaded
    assert not loaded & {"skimage", "scipy", "matplotlib", "PIL", "pydot", "pandas", "lmdb"}


def test_caffe_logs_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "solver.prototxt"
    path.write_text(str(solver_message(tmp_path, display=1)), encoding="utf-8")
    train = f"import caffe\nsolver = caffe.get_solver({str(path)!r})\nsolver.solve()\n"
    asked = train.replace("solver =", "caffe.init_log()\nsolver =")
    warnings = train.replace("solver =", "caffe.init_log(1)\nsolver =")
    quiet = run_python(train)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert run_python(warnings).stderr == ""
    for loud in (run_python(asked), run_python(train, GLOG_minloglevel="0")):
        assert loud.returncode == 0
        assert "Iteration 3" in loud.stderr
        assert "loss = " in loud.stderr


def bound_callables(scope: Any, path: str) -> Iterator[tuple[str, str | None]]:
    """Path and docstring of each class, function, method and property that C++ defines."""
    for name, value in vars(scope).items():
        if isinstance(value, type) and value.__module__ == "caffe._caffe":
            yield f"{path}.{name}", value.__doc__
            yield from bound_callables(value, f"{path}.{name}")
        bound = value.__func__ if isinstance(value, staticmethod) else value
        bound = getattr(bound, "fget", bound)
        if name.startswith("__") and name != "__init__":
            continue
        if type(bound).__name__ in ("builtin_function_or_method", "instancemethod"):
            yield f"{path}.{name}", value.__doc__ if isinstance(value, property) else bound.__doc__


def test_all_of_the_module_says_what_it_does() -> None:
    docs = dict(bound_callables(caffe._caffe, "_caffe"))
    assert {"_caffe.Net.__init__", "_caffe.Net.save", "_caffe.Blob.data", "_caffe.log"} <= set(docs)
    signature = re.compile(r"^(\d+\. )?\w+\(.*\)( -> .*)?$|^Overloaded function\.$|^\s*$")
    for path, doc in docs.items():
        if path.endswith("_pybind11_conduit_v1_"):
            continue
        words = [line for line in (doc or "").splitlines() if not signature.match(line)]
        assert words, path
        assert not re.search(r"\barg\d", doc or ""), path


def test_the_process_ends_with_nets_alive(tmp_path: Path) -> None:
    write_records(tmp_path / "lmdb", [record(i) for i in range(4)])
    (tmp_path / "keep_layer.py").write_text(
        "import caffe\n"
        "class Keep(caffe.Layer):\n"
        "    def setup(self, bottom, top): self.kept = bottom, top\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): self.view = bottom[0].data\n"
        "    def __del__(self): print('gone')\n",
        encoding="utf-8",
    )
    layer = (
        'layer { name: "k" type: "Python" bottom: "data" top: "k" '
        'python_param { module: "keep_layer" layer: "Keep" } }'
    )
    text = DATA.replace("SOURCE", str(tmp_path / "lmdb"))
    code = f"""
import caffe, sys
sys.path.insert(0, {str(tmp_path)!r})
nets = [caffe.Net.from_proto({text!r} + tail, caffe.TRAIN) for tail in ("", {layer!r})]
nets[0].after_forward(lambda _: nets)
for net in nets:
    net.forward()
sys.modules["keep_layer"].nets = nets
nets[1].layers[1].net = nets[1]
"""
    result = run_python(code)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_uncaught_caffe_error_is_a_python_traceback() -> None:
    result = run_python("import caffe; caffe.set_mode_gpu()")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert "caffe.CaffeError: Cannot use the GPU" in result.stderr


def test_timer() -> None:
    timer = caffe.Timer()
    timer.start()
    sum(range(10_000))
    timer.stop()
    assert 0 <= timer.ms < 10_000
