"""Weights of nets in files, in messages and in the constructor."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.small_nets import INPUT, LINEAR, NOISE, assert_same, parameters

if TYPE_CHECKING:
    from tests.small_nets import NetMaker, SolverMaker

SAVED = {".caffemodel": "save", ".caffemodel.h5": "save_hdf5"}


@pytest.mark.parametrize("suffix", SAVED)
def test_weights_go_through_files(suffix: str, make_net: NetMaker, tmp_path: Path) -> None:
    source, target = make_net(), make_net()
    path = tmp_path / f"weights{suffix}"
    for as_type in (Path, str, os.fsencode):  # Each names a file in its own way.
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


@pytest.mark.parametrize(
    "names",
    [
        ("conv1/7x7_s2", "conv1/bn"),
        ("conv1", "conv1/bn"),
        ("conv1/bn", "conv1"),
        ("conv1", "conv1/0"),
        ("conv1/0", "conv1"),
        ("/conv1", "conv1"),
        ("a//b", "a/b"),
        ("a/", "a"),
        (".", ""),
        ("a/b", "a%2Fb"),
        ("%", "%25"),
        ("ä/ö", "0"),
    ],
    ids=" and ".join,
)
def test_layers_of_any_name_go_through_hdf5(names: tuple[str, str], tmp_path: Path) -> None:
    text = INPUT + "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "y{index}" '
        f"inner_product_param {{ num_output: {index + 1} "
        'weight_filler { type: "xavier" } } }\n'
        for index, name in enumerate(names)
    )
    source, target = (caffe.Net.from_proto(text, caffe.TEST) for _ in range(2))
    source.save_hdf5(tmp_path / "w.caffemodel.h5")
    target.copy_from(tmp_path / "w.caffemodel.h5")
    assert_same(parameters(target), parameters(source))
    assert sorted(caffe._caffe._Hdf5Weights(tmp_path / "w.caffemodel.h5").shapes) == sorted(names)


def test_a_snapshot_in_hdf5_has_layers_with_slashes(
    make_solver: SolverMaker, tmp_path: Path
) -> None:
    net = NOISE.replace('"ip"', '"/fire1/squeeze"')
    solver, other = (make_solver(net, snapshot_format="HDF5") for _ in range(2))
    solver.step(3)
    solver.snapshot()
    other.restore(f"{tmp_path}/snapshot_iter_3.solverstate.h5")
    assert_same(parameters(other.net), parameters(solver.net))


TWINS = (
    'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "RULE" '
    "inner_product_param { num_output: 2 bias_term: false "
    'weight_filler { type: "xavier" } } MORE }\n'
)
# A layer for each phase; a layer without parameters before the one that has some, and one behind;
# two layers that share all that they have.
ONE_NAME = {
    "phases": INPUT
    + TWINS.replace("RULE", "y").replace("MORE", "include { phase: TRAIN }")
    + TWINS.replace("RULE", "y").replace("MORE", "include { phase: TEST }"),
    "no parameters": INPUT
    + 'layer { name: "ip" type: "ReLU" bottom: "x" top: "relu" }\n'
    + TWINS.replace("RULE", "y").replace("MORE", "")
    + 'layer { name: "ip" type: "TanH" bottom: "x" top: "tanh" }\n',
    "shared": INPUT
    + TWINS.replace("RULE", "y").replace("MORE", 'param { name: "w" }')
    + TWINS.replace("RULE", "z").replace("MORE", 'param { name: "w" }'),
}


@pytest.mark.parametrize("suffix", SAVED)
@pytest.mark.parametrize("text", ONE_NAME.values(), ids=ONE_NAME)
def test_layers_of_one_name_that_no_file_confuses(text: str, suffix: str, tmp_path: Path) -> None:
    source = caffe.Net.from_proto(text, caffe.TRAIN)
    path = tmp_path / f"w{suffix}"
    getattr(source, SAVED[suffix])(path)
    for load in ("copy_from", "share_with"):
        target = caffe.Net.from_proto(text, caffe.TEST)
        assert not np.array_equal(target.params["ip"][0].data, source.params["ip"][0].data)
        getattr(target, load)(path if load == "copy_from" else source)
        assert_same(parameters(target), parameters(source))


def test_several_files_have_commas_between_them(tmp_path: Path) -> None:
    text = INPUT + "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}" '
        'inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }\n'
        for name in ("a", "b")
    )
    first, second, both = (text.replace('"a"', '"c"'), text.replace('"b"', '"d"'), text)
    nets = [caffe.Net.from_proto(one, caffe.TEST) for one in (first, second)]
    nets[0].save(tmp_path / "first.caffemodel")
    nets[1].save_hdf5(tmp_path / "second.caffemodel.h5")
    files = f"{tmp_path}/first.caffemodel , {tmp_path}/second.caffemodel.h5"
    net = caffe.Net.from_proto(both, caffe.TEST, weights=files)
    np.testing.assert_array_equal(net.params["b"][0].data, nets[0].params["b"][0].data)
    np.testing.assert_array_equal(net.params["a"][0].data, nets[1].params["a"][0].data)
    # A file whose name has a comma is one.
    nets[0].save(tmp_path / "first,second")
    net.copy_from(tmp_path / "first,second")


TWO_LAYERS = INPUT + "".join(
    f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}" '
    "inner_product_param { num_output: 2 } }\n"
    for name in ("a", "b")
)


@pytest.mark.parametrize("suffix", SAVED)
def test_weights_that_do_not_fit_change_nothing(suffix: str, tmp_path: Path) -> None:
    larger = caffe.Net.from_proto(
        TWO_LAYERS.replace('top: "b" inner_product_param { num_output: 2', 'top: "b" '
                           "inner_product_param { num_output: 3"), caffe.TEST
    )  # fmt: skip
    net = caffe.Net.from_proto(TWO_LAYERS, caffe.TEST)
    for blobs in larger.params.values():
        for blob in blobs:
            blob.data[...] = 7
    path = tmp_path / f"weights{suffix}"
    getattr(larger, SAVED[suffix])(path)
    with pytest.raises(caffe.CaffeError, match=r"Layer 'b' \(InnerProduct\): .*shape mismatch"):
        net.copy_from(path)
    with pytest.raises(caffe.CaffeError, match="shape mismatch"):
        net.share_with(larger)
    assert not any(array.any() for array in parameters(net))


def test_weights_with_too_few_values_change_nothing(tmp_path: Path) -> None:
    net = caffe.Net.from_proto(TWO_LAYERS, caffe.TEST)
    for blobs in net.params.values():
        blobs[0].data[...] = 7
    net.save(tmp_path / "w")
    message = caffe_pb2.NetParameter.FromString((tmp_path / "w").read_bytes())
    net = caffe.Net.from_proto(TWO_LAYERS, caffe.TEST)
    del message.layer[-1].blobs[0].data[-1]
    with pytest.raises(
        caffe.CaffeError, match=r"Layer 'b' .*: a blob of shape 2 x 3 has 5 values; it is damaged"
    ):
        net.copy_from(message)
    assert not any(array.any() for array in parameters(net))


def test_a_blob_that_claims_gigabytes_takes_none(tmp_path: Path) -> None:
    net = caffe.Net.from_proto(TWO_LAYERS, caffe.TEST)
    net.save(tmp_path / "w")
    message = caffe_pb2.NetParameter.FromString((tmp_path / "w").read_bytes())
    message.layer[-1].blobs[0].shape.dim[:] = [1 << 15, 1 << 15]
    before = caffe_memory()
    with pytest.raises(caffe.CaffeError, match="a blob of shape 32768 x 32768 has 6 values"):
        net.copy_from(message)
    assert caffe_memory() - before < 1 << 28


def caffe_memory() -> int:
    """The most memory, in bytes, that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("same", [False, True])
def test_weights_of_two_layers_of_one_name_are_refused(same: bool, tmp_path: Path) -> None:
    net = caffe.Net.from_proto(TWO_LAYERS, caffe.TEST)
    net.save(tmp_path / "w")
    message = caffe_pb2.NetParameter.FromString((tmp_path / "w").read_bytes())
    twins = [layer for layer in message.layer if layer.type == "InnerProduct"]
    for layer in twins:
        layer.name = "a"
    twins[1].blobs[0].data[0] += 0 if same else 1
    (tmp_path / "w").write_bytes(message.SerializeToString())
    if same:  # as two layers that share their weights are saved
        net.copy_from(tmp_path / "w")
        return
    words = (
        r"/w.*two layers named 'a', the InnerProduct that makes 'a' and the InnerProduct that "
        r"makes 'b'"
    )
    with pytest.raises(caffe.CaffeError, match=words):
        net.copy_from(tmp_path / "w")


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
        # BVLC's constructor took weights in this place before 2015.
        other = caffe.Net(str(text), str(weights), caffe.TEST)
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
