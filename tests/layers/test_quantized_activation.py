"""The layer QuantizedActivation through pycaffe, and its page in docs/."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest

from tests.processes import run_python
from tests.small_nets import one_layer_net
from ul2q import (
    NetQuantization,
    gather_activation_averages,
    prototxt_path,
    quantize,
    quantize_net,
)

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "layers.md").read_text(encoding="utf-8")

# The options in a prototxt, and ul2q.quantize's.
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("bits: 8", {"bits": 8}),
    ("bits: 4 signed: false", {"bits": 4, "signed": False}),
    ("bits: 3 shift: ZERO fit: EMPIRICAL", {"bits": 3, "shift": "zero", "fit": "empirical"}),
    ("method: TERNARY", {"method": "ternary"}),
    ("method: CLIP bits: 5", {"method": "clip", "bits": 5}),
    ("method: FIXED_POINT bits: 6", {"method": "fixed_point", "bits": 6}),
]


def make_net(options: str, phase: int) -> caffe.Net:
    fields = f"quantization_param {{ activation {{ {options} }} }}"
    return caffe.Net.from_proto(one_layer_net("QuantizedActivation", fields, (4, 50)), phase)


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_the_first_batch_is_quantised_as_the_array(text: str, options: dict[str, Any]) -> None:
    x = np.abs(np.random.default_rng(1).standard_normal((4, 50))).astype(np.float32)
    want = quantize(x, **options)
    for phase in (caffe.TRAIN, caffe.TEST):
        net = make_net(text, phase)
        net.blobs["x"].data[...] = x
        np.testing.assert_array_equal(net.forward()["y"], want.values)
        averages, weight = (blob.data for blob in net.params["q"])
        gathered = phase == caffe.TRAIN
        assert averages[:2].tolist() == ([want.scale, want.shift] if gathered else [0, 0])
        assert weight[0] == pytest.approx(0.05 if gathered else 0)


def test_the_log_tells_of_averages_that_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    net = make_net("bits: 8", caffe.TEST)
    with caplog.at_level(logging.WARNING, "caffe"):
        net.forward()
        net.forward()
    (record,) = caplog.records
    assert "Layer 'q' (QuantizedActivation): no training pass has set" in record.getMessage()


def test_the_documented_net_runs_as_documented(tmp_path: Path) -> None:
    _, after = DOCS.split("## QuantizedActivation\n")
    section = after.split("\n## ")[0]
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    (tmp_path / "net.prototxt").write_text(blocks["prototxt"], encoding="utf-8")
    run = run_python("-W", "error", "-c", blocks["python"], cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    options = NetQuantization(weight_bits=2, activation_bits=8)
    lenet = quantize_net(prototxt_path("lenet/deploy_float.prototxt"), options)
    calibrated = caffe.Net.from_proto(
        lenet.text, caffe.TEST, weights=tmp_path / "calibrated.caffemodel"
    )
    kept = [
        calibrated.params[layer.param.name]
        for layer in calibrated.layers
        if layer.type == "QuantizedActivation"
    ]
    assert len(kept) == 3
    for _, gathered in kept:
        assert gathered.data[0] == pytest.approx(1 - 0.95**10, rel=1e-4)

    net = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    random = np.random.default_rng(1)
    batches = ({"data": random.random((8, 1, 28, 28))} for _ in range(10))
    gather_activation_averages(net, batches)
    averages, weight = (blob.data for blob in net.params["relu1_q"])
    assert weight[0] == pytest.approx(1 - 0.95**10, rel=1e-4)
    net.blobs["data"].data[...] = np.random.default_rng(2).random((8, 1, 28, 28))
    values = net.forward()["conv1"]
    codes = values / averages[0]
    assert averages[0] > 0
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    assert 50 < np.unique(values).size <= 256
