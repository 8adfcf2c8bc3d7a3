"""Weights that are written to through NumPy views count in the next pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q import quantize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 40 } } }
layer { name: "ip" type: "QuantizedInnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 6 bias_term: false
                              weight_filler { type: "gaussian" std: 1 } }
        quantization_param { weight { bits: 3 } } }
"""


@pytest.fixture
def net() -> Any:
    made = caffe.Net.from_proto(
        text_format.Parse(NET, caffe_pb2.NetParameter()),
        caffe.TEST,
    )
    made.blobs["x"].data[...] = np.random.default_rng(1).standard_normal((2, 40))
    return made


def assert_current(net: Any, master: Array) -> None:
    """Three passes, the later of which may take what the first has kept."""
    expected = net.blobs["x"].data @ quantize(master.copy(), 3).values.T
    for _ in range(3):
        np.testing.assert_allclose(net.forward()["y"], expected, rtol=1e-5, atol=1e-5)


def test_a_view_that_is_kept(net: Any) -> None:
    """The layer is never told of a write: any pass may follow one."""
    weights = net.params["ip"][0].data
    for step in range(4):
        weights[step] *= -2
        assert_current(net, weights)


VIEWS: dict[str, Callable[[Array], Array]] = {
    "slice": lambda view: view[1:3],
    "reshaped": lambda view: view.reshape(-1),
    "transposed": lambda view: view.T,
    "memoryview": lambda view: np.frombuffer(view.data, np.float32),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_a_view(net: Any, name: str) -> None:
    net.forward()
    view = VIEWS[name](net.params["ip"][0].data)
    for _ in range(3):
        view[...] = view * -1.5 + 0.1
        assert_current(net, net.params["ip"][0].data)


def test_views_that_are_gone(net: Any) -> None:
    master = np.zeros((6, 40), np.float32)
    rng = np.random.default_rng(2)
    for _ in range(3):
        master[...] = rng.standard_normal(master.shape)
        net.params["ip"][0].data[...] = master
        assert_current(net, master)
        master[0] += 1
        view = net.params["ip"][0].data
        view[...] = master
        del view
        assert_current(net, master)
