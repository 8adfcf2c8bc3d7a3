"""The nets that benchmarks/architectures.py times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

COUNT = """
import json
import caffe
from published_nets import NETS, architecture
counts = {}
for name in NETS:
    net = caffe.Net.from_proto(architecture(name, 1), caffe.TEST)
    types = dict(zip(net._layer_names, (layer.type for layer in net.layers)))
    counts[name] = sum(
        blob.count for layer, blobs in net.params.items() if types[layer] != "BatchNorm"
        for blob in blobs)
print(json.dumps(counts))
"""

# What is learnt, as published: of torchvision's nets, Keras' MobileNet v1, BVLC's AlexNet and
# GoogLeNet, and MTCNN's.
PUBLISHED = {
    "SqueezeNet 1.1": 1_235_496,
    "MobileNet v1": 4_231_976,
    "MobileNet v2": 3_504_872,
    "GoogLeNet": 6_998_552,
    "ResNet-50": 25_557_032,
    "DenseNet-121": 7_978_856,
    "AlexNet": 60_965_224,
    "MTCNN det1": 6_632,
}


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, int] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("net", PUBLISHED)
def test_a_net_has_as_many_weights_as_the_published_one(net: str, counts: dict[str, int]) -> None:
    assert counts[net] == PUBLISHED[net]
