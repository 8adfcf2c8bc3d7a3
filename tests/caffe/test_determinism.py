"""Training gives the same bits from run to run, and the same to rounding on other threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# Some iterations on made-up data; writes all parameters.
TRAIN = """
import sys
import caffe
import numpy as np
from caffe.proto import caffe_pb2
from caffe_worker import read_net
net = read_net(sys.argv[1], bits=0)
for shape in (layer.input_param.shape[0] for layer in net.layer if layer.type == "Input"):
    shape.dim[0] = 24
solver = caffe.get_solver(caffe_pb2.SolverParameter(
    net_param=net, base_lr=0.01, lr_policy="fixed", momentum=0.9, random_seed=3))
rng = np.random.default_rng(1)
solver.net.blobs["data"].data[...] = rng.standard_normal(solver.net.blobs["data"].shape)
solver.net.blobs["label"].data[...] = rng.integers(0, 10, 24)
solver.step(int(sys.argv[3]))
np.savez(sys.argv[2], *[blob.data for blobs in solver.net.params.values() for blob in blobs])
"""


def train(
    net: str, path: Path, *, iterations: int, threads: int = 2, **environment: str
) -> list[np.ndarray]:
    subprocess.run(
        [sys.executable, "-c", TRAIN, net, path, str(iterations)],
        env={
            **os.environ,
            "PYTHONPATH": str(BENCHMARKS),
            "OMP_NUM_THREADS": str(threads),
            **environment,
        },
        check=True,
        timeout=120,
    )
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def assert_close(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        scale = np.abs(a).max() + 1e-3
        np.testing.assert_allclose(b / scale, a / scale, atol=1e-4)


@pytest.mark.parametrize("net", ["lenet", "cifarnet", "vgg7_64"])
def test_runs_are_the_same(net: str, tmp_path: Path) -> None:
    first, again = (train(net, tmp_path / f"{i}.npz", iterations=3) for i in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("net", ["lenet", "cifarnet", "vgg7_64"])
def test_other_threads_and_engines_train_alike(net: str, tmp_path: Path) -> None:
    # One iteration: from then on, a deep net makes more and more of each rounding.
    ours = train(net, tmp_path / "ours.npz", iterations=1)
    assert_close(ours, train(net, tmp_path / "one.npz", iterations=1, threads=1))
    assert_close(ours, train(net, tmp_path / "bvlc.npz", iterations=1, UL2Q_ENGINE="CAFFE"))
