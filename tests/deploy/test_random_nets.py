"""Nets by chance, lowered and run in NumPy and onnxruntime, against Caffe."""

from __future__ import annotations

import tempfile
from pathlib import Path

import caffe
import pytest
from hypothesis import given, settings

from tests.deploy.random_nets import nets
from tests.deploy.trained import assert_near, fill, inputs_of
from ul2q.deploy import lower
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

pytest.importorskip("onnxruntime", reason="pip install 'ul2q[onnx]'")

# Targets that take each of these nets; `make test-runtimes` runs more nets in more runtimes.
SWEPT = ("onnx",)


@settings(max_examples=100)
@given(nets())
def test_gives_what_caffe_gives(text: str) -> None:
    try:
        net = fill(caffe.Net.from_proto(text, caffe.TEST))
    except caffe.CaffeError:
        return  # no output is left of the image
    values = inputs_of(net)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert_near(lower(net).run(values), want, 2e-5)
    for target in map(TARGETS.__getitem__, SWEPT):
        graph = lower(net, fold=target.FOLDS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"net{target.SUFFIX}"
            for file, content in target.write(graph, path, TargetOptions()).files.items():
                file.write_bytes(content)
            assert_near(target.run(graph, path, values), want, 2e-5)
