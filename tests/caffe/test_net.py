"""Nets: passes, inputs, rules, and nets from memory."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.small_nets import LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.small_nets import NetMaker


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
    assert float(net.blobs["loss"].data) == pytest.approx(4)  # The pass ended before it.
    net.blobs["y"].diff[...] = 1
    net.backward(start="ip", end="ip")
    np.testing.assert_allclose(net.params["ip"][1].diff, [4, 4])


def test_forward_all_takes_more_than_a_batch(make_net: NetMaker) -> None:
    # The output needs a batch axis, which a loss does not have.
    net = make_net(LINEAR.replace("EuclideanLoss", "Eltwise"))
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
    assert len(message.layer) == 4  # The message is as it was.


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
