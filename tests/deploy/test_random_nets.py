"""Nets by chance, lowered and run in NumPy, against Caffe."""

from __future__ import annotations

import caffe
from hypothesis import given, settings

from tests.deploy.random_nets import nets
from tests.deploy.trained import assert_near, fill, inputs_of
from ul2q.deploy import lower


@settings(max_examples=200)
@given(nets())
def test_gives_what_caffe_gives(text: str) -> None:
    try:
        net = fill(caffe.Net.from_proto(text, caffe.TEST))
    except caffe.CaffeError:
        return  # no output is left of the image
    values = inputs_of(net)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert_near(lower(net).run(values), want, 2e-5)
