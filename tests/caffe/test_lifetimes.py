"""Who keeps whom: nets, solvers, blobs and callbacks."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.caffe.process_memory import growth, measures_memory
from tests.small_nets import LINEAR, one_layer_net, write_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NET = LINEAR.replace("dim: 4", "dim: 8")

PYTHON_NET = one_layer_net(
    "Python", f'python_param {{ module: "{__name__}" layer: "Copy" }}', (8000, 3)
)

MEMORY_DATA = (
    'layer { name: "d" type: "MemoryData" top: "d" top: "l" '
    "memory_data_param { batch_size: 1 channels: 1 height: 2 width: 2 } }"
)


class Copy(caffe.Layer):
    """Keeps what it gets."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.kept = [*bottom, *top]
        self.blobs.add_blob(100)

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data
        self.view = top[0].data


def make_net(text: str = NET, phase: int = caffe.TRAIN) -> Any:
    return caffe.Net.from_proto(text, phase)


def solver_message(**fields: object) -> caffe_pb2.SolverParameter:
    net = caffe_pb2.NetParameter()
    from google.protobuf import text_format

    text_format.Parse(NET, net)
    defaults: dict[str, object] = {
        "net_param": net,
        "base_lr": 0.1,
        "lr_policy": "fixed",
        "max_iter": 10,
        "snapshot_after_train": False,
    }
    return caffe_pb2.SolverParameter(**{**defaults, **fields})


# Memory


def use_python_net() -> None:
    net = make_net(PYTHON_NET)
    net.forward()
    assert net.layers[1].view.shape == (8000, 3)


def use_callbacks() -> None:
    net = make_net(NET.replace("dim: 8", "dim: 8000"))
    net.after_forward(lambda _: net.blobs["x"])  # refers to the net that keeps it
    net.forward()
    solver = caffe.get_solver(solver_message())
    solver.add_callback(lambda: solver.iter, lambda: solver.net.blobs)
    solver.net.before_backward(lambda _: solver)
    solver.step(1)


def use_message() -> None:
    net = make_net(NET.replace("dim: 8", "dim: 8000"))
    net.forward()
    views = [getattr(blob, part) for blob in net.blobs.values() for part in ("data", "diff")]
    assert len(views) == 2 * len(net.blobs)


def use_pyramid() -> None:
    shape = " ".join(f"dim: {extent}" for extent in (4, 8, 16, 16))
    net = make_net(
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {shape} }} }} }}\n'
        'layer { name: "spp" type: "SPP" bottom: "x" top: "y" spp_param { pyramid_height: 4 } }'
    )
    net.forward()


def fail_to_make() -> None:
    with pytest.raises(caffe.CaffeError):
        make_net(PYTHON_NET + NET.replace('bottom: "x"', 'bottom: "z"').replace('"x"', '"w"'))


@measures_memory
@pytest.mark.parametrize(
    "use", [use_python_net, use_callbacks, use_message, use_pyramid, fail_to_make]
)
def test_a_thousand_nets_give_their_memory_back(use: Callable[[], None]) -> None:
    # Each holds 100 kB or more.
    assert growth(use, warm_up=50, calls=1000) < 20e6


# Blobs


def test_a_blob_is_the_same_however_it_is_found() -> None:
    net = make_net()
    blobs = net._blobs
    again = net._blobs
    assert blobs == again
    assert blobs[0] != blobs[1]
    assert blobs[0] != "x"
    assert net.blobs["x"] == blobs[0]
    assert len({*blobs, *again}) == len(blobs)
    assert net.layers[2] == net.layer_dict["ip"]
    assert net.layers[2] != net.layers[1]
    assert net.params["ip"][0] == net.layers[2].blobs[0]
    other = make_net()
    assert other.blobs["x"] != net.blobs["x"]


@pytest.mark.parametrize(
    "part",
    [
        lambda net: net.blobs["x"],
        lambda net: net._blobs[0],
        lambda net: net.params["ip"][0],
        lambda net: net.params["ip"],
        lambda net: net.layers[2],
        lambda net: net.layers[2].blobs[:],
        lambda net: iter(net.layers[2].blobs),
        lambda net: net.blobs["x"].data,
    ],
)
def test_each_part_outlives_its_net(part: Callable[[Any], Any]) -> None:
    net = make_net(NET.replace("dim: 8", "dim: 8000"))
    net.blobs["x"].data[...] = 5
    kept = part(net)
    del net
    gc.collect()
    others = [make_net(NET.replace("dim: 8", "dim: 8000")) for _ in range(10)]
    for other in others:
        other.blobs["x"].data[...] = 7
    if isinstance(kept, caffe._caffe.Layer):
        kept = kept.blobs
    values = kept if isinstance(kept, np.ndarray) else None
    if isinstance(kept, caffe._caffe.Blob):
        values = kept.data
    if values is None:
        values = next(iter(kept)).data
    if values.shape == (8000, 3):
        assert (values == 5).all()
    assert np.isfinite(values).all()


def test_vectors_are_lists() -> None:
    net = make_net()
    for name in ("StringVec", "IntVec", "DtypeVec", "BoolVec", "RawBlobVec", "LayerVec", "NetVec"):
        assert getattr(caffe._caffe, name) is list
    assert net._layer_names == ["x", "t", "ip", "loss"]
    assert net._blob_loss_weights == [0, 0, 0, 1]
    assert net._inputs == [0, 1]
    assert net._bottom_ids(3) == [2, 1]
    assert net.layers[-1].type == net.layers[2:][1].type == "EuclideanLoss"


def test_input_arrays_live_as_long_as_a_blob_of_the_net() -> None:
    net = make_net(MEMORY_DATA.replace("2 width: 2", "200 width: 200"))
    net.set_input_arrays(np.full((1, 1, 200, 200), 3, np.float32), np.zeros(1, np.float32))
    net.forward()
    blob = net.blobs["d"]
    del net
    gc.collect()
    others = [np.full((1, 1, 200, 200), 7, np.float32) for _ in range(50)]  # take freed memory
    assert (blob.data == 3).all()
    assert len(others) == 50


def test_input_arrays_live_as_long_as_they_are_seen() -> None:
    net = make_net(MEMORY_DATA)
    arrays = [np.full((1, 1, 2, 2), value, np.float32) for value in (3, 5, 7)]
    alive = [weakref.ref(array) for array in arrays]
    labels = np.zeros(1, np.float32)
    net.set_input_arrays(arrays[0], labels)
    net.forward()
    blob = net.blobs["d"]
    view = blob.data
    net.set_input_arrays(arrays[1], labels)
    del arrays[:2]
    gc.collect()
    assert alive[0]() is not None
    assert alive[1]() is not None
    assert (blob.data == 3).all()
    net.forward()
    assert (blob.data == 5).all()
    assert (view == 3).all()
    del view
    net.set_input_arrays(arrays.pop(), labels)
    net.forward()
    gc.collect()
    assert [one() is None for one in alive] == [True, True, False]
    assert (blob.data == 7).all()


def records(folder: Path, *values: int) -> str:
    """A net that serves a database of grey images: the n-th is n × n pixels of the n-th value."""
    data = [
        caffe_pb2.Datum(channels=1, height=side, width=side, data=bytes([value]) * side**2)
        for side, value in enumerate(values, start=1)
    ]
    write_records(folder / "db", [datum.SerializeToString() for datum in data])
    return (
        f'layer {{ name: "d" type: "Data" top: "d" top: "l" data_param {{ source: "{folder}/db" '
        "backend: LMDB batch_size: 1 prefetch: 1 } }"
    )


def test_a_view_keeps_its_values_when_a_data_layer_serves(tmp_path: Path) -> None:
    """Of the memory before the first pass, and of a batch that the next one outgrew."""
    net = make_net(records(tmp_path, 3, *(5,) * 40))
    before = net.blobs["d"].data
    before[...] = 9
    net.forward()
    assert (net.blobs["d"].data == 3).all()
    first = net.blobs["d"].data
    for _ in range(40):
        net.forward()
        others = [np.full(8, 1, np.float32) for _ in range(8)]  # take memory that was freed
    assert len(others) == 8
    assert net.blobs["d"].data.size > 1000
    assert (before == 9).all()
    assert (first == 3).all()


def test_a_blob_of_less_memory_than_it_had_grows() -> None:
    net = make_net(MEMORY_DATA)
    blob = net.blobs["d"]
    blob.reshape(1, 1, 30, 30)
    net.set_input_arrays(np.full((1, 1, 2, 2), 3, np.float32), np.zeros(1, np.float32))
    net.forward()
    blob.reshape(1, 1, 10, 10)
    assert blob.data.ctypes.data != 0
    assert not blob.data.any()  # memory of its own


# Callbacks


def test_callbacks_live_as_long_as_their_net() -> None:
    class Function:
        def __call__(self, layer: int) -> None:
            calls.append(layer)

    calls: list[int] = []
    net = make_net()
    net.before_forward(Function())
    gc.collect()
    net.forward()
    assert calls == [0, 1, 2, 3]
    alive = weakref.ref(function := Function())
    net.after_forward(function)
    del function
    gc.collect()
    assert alive() is not None
    del net
    gc.collect()
    assert alive() is None


def test_callbacks_on_the_nets_of_a_solver_stay() -> None:
    solver = caffe.get_solver(solver_message(test_iter=[1], test_interval=2))
    calls: list[str] = []
    solver.net.after_forward(lambda _: calls.append("train"))
    solver.test_nets[0].after_forward(lambda _: calls.append("test"))
    gc.collect()
    solver.step(3)
    assert calls.count("train") == 3 * len(solver.net.layers)
    assert calls.count("test") == 2 * len(solver.net.layers)
    net = solver.net
    del solver
    gc.collect()
    calls.clear()
    net.forward()
    assert calls == ["train"] * len(net.layers)


def test_nets_in_cycles_are_collected() -> None:
    class Token:
        pass

    def make() -> weakref.ref[Token]:
        token = Token()
        net = make_net()
        net.after_backward(lambda _: (net, token))
        solver = caffe.get_solver(solver_message())
        solver.add_callback(lambda: (solver, token), lambda: None)
        solver.net.after_forward(lambda _: (solver, token))
        net.solver = solver
        return weakref.ref(token)

    alive = make()
    gc.collect()
    assert alive() is None
