"""Blobs as NumPy arrays: views, shapes and lifetimes."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs, one_layer_net

if TYPE_CHECKING:
    from tests.small_nets import NetMaker


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
    # Memory that was freed would be theirs.
    others = [make_net() for _ in range(20)]
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
    blob.reshape(1000, 3)  # It grows, so it gets new memory.
    blob.data[...] = 6
    assert before.shape == (4, 3)
    assert (before == 5).all()
    large = blob.data
    blob.reshape(2, 3)  # It shrinks, so it keeps its memory.
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


def test_an_empty_blob_has_empty_values(make_net: NetMaker) -> None:
    net = make_net(inputs(x=(0, 3)))
    assert net.blobs["x"].data.shape == (0, 3)
    assert net.blobs["x"].diff.shape == (0, 3)
    assert net.blobs["x"].data.dtype == np.float32


class Early(caffe.Layer):
    """Asks for the values of its top before it has a shape."""

    def setup(self, bottom: Any, top: Any) -> None:
        assert bottom[0].data.shape == (2, 3)
        getattr(top[0], self.param_str)

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None: ...

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None: ...


def test_a_blob_without_a_shape_is_named(make_net: NetMaker) -> None:
    words = r"Layer 'q' \(Python\): the blob has no shape yet: its layer's reshape gives it one"
    for part in ("data", "diff"):
        fields = f"python_param {{ module: '{__name__}' layer: 'Early' param_str: '{part}' }}"
        with pytest.raises(caffe.CaffeError, match=words):
            make_net(one_layer_net("Python", fields, (2, 3)))


def test_a_layer_says_that_its_bottom_is_empty(make_net: NetMaker) -> None:
    net = make_net(one_layer_net("ReLU", "", (0, 3)))
    with pytest.raises(caffe.CaffeError, match=r"Layer 'q' \(ReLU\): .* is empty, of shape 0 3"):
        net.forward()


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
