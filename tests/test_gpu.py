"""What a GPU computes from Python; skipped where there is none. cpp/tests/cuda has more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from ul2q.data import FASHION_MNIST_SOURCE, import_fashion_mnist
from ul2q.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def _gpu() -> Iterator[None]:
    try:
        caffe.set_mode_gpu()
    except caffe.CaffeError as error:
        pytest.skip(str(error).partition(" [")[0])
    yield
    caffe.set_mode_cpu()


@pytest.mark.usefixtures("_gpu")
def test_forward_and_backward_are_the_cpus() -> None:
    net = caffe.Net(str(ROOT / "prototxt/lenet/deploy_2bit.prototxt"), caffe.TEST)
    rng = np.random.default_rng(3)
    net.blobs["data"].data[...] = rng.normal(size=net.blobs["data"].shape)
    results = []
    for set_mode in (caffe.set_mode_cpu, caffe.set_mode_gpu):
        set_mode()
        top = net.forward()[net.outputs[0]].copy()
        net.blobs[net.outputs[0]].diff[...] = 1
        for blobs in net.params.values():
            for blob in blobs:
                blob.diff[...] = 0
        net.backward()
        diffs = [blob.diff.copy() for blobs in net.params.values() for blob in blobs]
        results.append([top, *diffs])
    for cpu, gpu in zip(*results, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-4 * np.abs(cpu).max())


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize("net", ["float", "2bit"])
def test_lenet_learns_as_much_as_on_the_cpu(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not FASHION_MNIST_SOURCE.is_dir():
        pytest.skip(f"no Fashion-MNIST in {FASHION_MNIST_SOURCE}")
    monkeypatch.chdir(ROOT)
    import_fashion_mnist(tmp_path / "data")
    accuracy = {}
    for mode in ("CPU", "GPU"):
        result = train(
            Path(f"prototxt/lenet/solver_{net}.prototxt"),
            data=tmp_path / "data",
            run=tmp_path / mode,
            settings=[f"solver_mode={mode}"],
        )
        accuracy[mode] = result.test[0]["accuracy"]
    # 0.90 after three epochs; another seed moves it by some thousandths.
    assert accuracy["GPU"] == pytest.approx(accuracy["CPU"], abs=0.008)
    assert accuracy["GPU"] > 0.88
