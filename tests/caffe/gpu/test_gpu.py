"""What a GPU computes from Python; skipped where there is none. cpp/tests/gpu has more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.processes import run_caffe
from ul2q.data import FASHION_MNIST_SOURCE, import_fashion_mnist
from ul2q.data.lmdb_writer import write_lmdb
from ul2q.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def _gpu() -> Iterator[None]:
    try:
        caffe.set_mode_gpu()
    except caffe.CaffeError as error:
        pytest.skip(str(error).partition(" [")[0])
    yield
    caffe.set_mode_cpu()


@pytest.fixture
def _two_gpus(_gpu: None) -> Iterator[None]:
    try:
        caffe.set_device(1)
    except caffe.CaffeError:
        pytest.skip("one GPU")
    yield
    caffe.set_device(0)


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


NCCL = pytest.mark.skipif(not caffe.has_nccl(), reason="built without NCCL")
SOLVER = """
base_lr: 0.1 momentum: 0.9 max_iter: 5 lr_policy: "fixed" random_seed: 3
net_param {
  layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
    shape { dim: 8 dim: 3 } shape { dim: 8 dim: 2 } data_filler { type: "gaussian" } } }
  layer { name: "ip" type: "QuantizedInnerProduct" bottom: "x" top: "y"
    inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } }
    quantization_param { weight { bits: 4 } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" } }
"""


@pytest.mark.usefixtures("_gpu")
@NCCL
@pytest.mark.parametrize("layer_wise", [False, True])
def test_one_solver_joined_by_nccl_trains_as_it_does_alone(layer_wise: bool) -> None:
    param = text_format.Parse(SOLVER, caffe_pb2.SolverParameter(layer_wise_reduce=layer_wise))
    alone, joined = caffe.get_solver(param), caffe.get_solver(param)
    joined.net.params["ip"][0].data[...] = alone.net.params["ip"][0].data
    nccl = caffe.NCCL(joined, caffe.NCCL.new_uid())
    nccl.bcast()
    joined.add_callback(nccl)
    if layer_wise:
        joined.net.after_backward(nccl)
    del nccl
    nets = []
    for solver in (alone, joined):
        caffe.set_random_seed(5)
        solver.step(5)
        nets.append(solver.net)
    del solver, alone, joined  # the parameters stay where they are
    for net in nets:
        net.forward()
    for blob, joined_blob in zip(nets[0].params["ip"], nets[1].params["ip"], strict=True):
        np.testing.assert_allclose(joined_blob.data, blob.data, rtol=1e-6)
        assert np.abs(blob.data).max() > 0


READING_SOLVER = """
base_lr: 0.1 momentum: 0.9 max_iter: 6 lr_policy: "fixed" random_seed: 3 snapshot_prefix: "%(gpus)s"
layer_wise_reduce: %(layer_wise)s
net_param {
  layer { name: "data" type: "Data" top: "data" top: "label" transform_param { scale: 0.004 }
    data_param { source: "lmdb" backend: LMDB batch_size: %(batch)d } }
  layer { name: "ip" type: "QuantizedInnerProduct" bottom: "data" top: "y"
    inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } }
    quantization_param { weight { bits: 4 } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" } }
"""


@pytest.mark.usefixtures("_two_gpus")
@NCCL
@pytest.mark.parametrize("layer_wise", [False, True])
def test_two_gpus_train_as_one_that_has_both_batches(layer_wise: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    write_lmdb(tmp_path / "lmdb", ((x, int(x.sum()) % 3) for x in images), total=len(images))
    weights = []
    for gpus, batch in (("0", 16), ("0,1", 8)):
        options = {"gpus": gpus, "batch": batch, "layer_wise": str(layer_wise).lower()}
        (tmp_path / "solver.prototxt").write_text(READING_SOLVER % options)
        run = run_caffe("train", "-solver", "solver.prototxt", "-gpu", gpus, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        net = caffe_pb2.NetParameter()
        net.ParseFromString((tmp_path / f"{gpus}_iter_6.caffemodel").read_bytes())
        (layer,) = (layer for layer in net.layer if layer.name == "ip")
        weights.append([np.array(blob.data) for blob in layer.blobs])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)
        assert np.abs(one).max() > 0
