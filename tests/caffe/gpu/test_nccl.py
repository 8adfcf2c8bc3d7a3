"""Training on several GPUs: what needs no GPU. test_gpu.py has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.processes import run_python

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SOLVER = """
base_lr: 0.1 max_iter: 5 lr_policy: "fixed" snapshot_after_train: false
net_param {
  layer { name: "x" type: "DummyData" top: "x" top: "t"
    dummy_data_param { shape { dim: 8 dim: 3 } shape { dim: 8 dim: 2 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
    inner_product_param { num_output: 2 } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" } }
"""

with_nccl = pytest.mark.skipif(not caffe.has_nccl(), reason="built without NCCL")
without_nccl = pytest.mark.skipif(caffe.has_nccl(), reason="built with NCCL")


def make_solver() -> Any:
    return caffe.get_solver(text_format.Parse(SOLVER, caffe_pb2.SolverParameter()))


def run_train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_python("-W", "error", "-m", "caffe.scripts.train", *arguments)


@without_nccl
def test_without_nccl_a_caffe_error_says_so() -> None:
    for use in (caffe.NCCL.new_uid, lambda: caffe.NCCL(make_solver(), b"uid")):
        with pytest.raises(caffe.CaffeError, match="built without"):
            use()


@without_nccl
def test_without_nccl_the_train_script_says_so(tmp_path: Path) -> None:
    run = run_train(f"--solver={tmp_path / 'solver.prototxt'}")
    assert run.returncode == 1
    assert run.stderr.startswith("Training on several GPUs needs a Caffe that was built with NCCL")


@with_nccl
def test_identities_differ() -> None:
    first, second = caffe.NCCL.new_uid(), caffe.NCCL.new_uid()
    assert len(first) == len(second) == 128
    assert first != second


@with_nccl
def test_an_identity_is_new_uids() -> None:
    for uid in (b"", b"uid", bytes(129)):
        with pytest.raises(ValueError, match=rf"uid is of {len(uid)} bytes; .*new_uid"):
            caffe.NCCL(make_solver(), uid)


@with_nccl
def test_it_is_refused_in_cpu_mode() -> None:
    solver = make_solver()
    with pytest.raises(caffe.CaffeError, match=r"NCCL in CPU mode: call set_mode_gpu"):
        caffe.NCCL(solver, caffe.NCCL.new_uid())
    solver.step(1)


@with_nccl
@pytest.mark.parametrize("gpus", [[99], [98, 99]])
def test_the_train_script_ends_when_a_process_fails(gpus: list[int], tmp_path: Path) -> None:
    run = run_train("--solver", tmp_path / "none.prototxt", "--gpus", *gpus)
    assert run.returncode == 1
    assert "CaffeError" in run.stderr  # the process's own words
    assert run.stderr.splitlines()[-1] in [
        f"Training has ended: the process of GPU {gpu} failed" for gpu in gpus
    ]
