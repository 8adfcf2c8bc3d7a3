"""Each layer type, lowered and run in NumPy, against Caffe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.deploy.layer_cases import ALL, CASES, Case
from tests.deploy.trained import all_blobs, assert_near, fill, inputs_of
from ul2q.deploy import lower
from ul2q.deploy.layers import LAYERS
from ul2q.nets.layer_types import float_type

if TYPE_CHECKING:
    from numpy.typing import NDArray


def built(case: Case) -> tuple[Any, dict[str, NDArray[Any]]]:
    net = fill(caffe.Net.from_proto(case.text, caffe.TEST))
    values = inputs_of(net)
    for name, array in values.items():
        if "Embed" in case.name:
            values[name] = np.random.default_rng(2).integers(7, size=array.shape).astype(np.float32)
        elif name == "cont":
            values[name] = (array > -0.5).astype(np.float32)
            values[name][0] = 0 if "h" not in values else 1
        elif case.positive:
            values[name] = np.abs(array) + np.float32(0.1)
        elif "ArgMax" in case.name:
            values[name] = np.round(array)  # with many ties
    return net, values


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_gives_what_caffe_gives(case: Case) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    graph = lower(net)
    assert set(graph.outputs) == set(want)
    assert_near(graph.run(values), want, 1e-5)
    # What is not folded gives the same, in every blob that is left.
    plain = all_blobs(lower(net, fold=False))
    assert_near(plain.run(values), want, 1e-5)
    assert {name: array.shape for name, array in plain.run(values).items()} == {
        name: plain.shapes[name] for name in plain.outputs
    }


def test_the_table_has_every_layer_type() -> None:
    tested = {
        float_type(layer.type)
        for case in [*ALL, *CASES]
        for layer in caffe.Net.from_proto(case.text, caffe.TEST).layers
    }
    assert set(LAYERS) - tested == {"Silence", "Activation"}
