"""BVLC's own `caffe` tool, with ul2q's layers in it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from tests.processes import UL2Q, run_caffe, run_process
from ul2q.data.lmdb_writer import write_lmdb

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with the 2-bit LeNet, a solver of few iterations, and random images."""
    lenet = (ROOT / "prototxt/lenet/train_test_2bit.prototxt").read_text(encoding="utf-8")
    (tmp_path / "net.prototxt").write_text(lenet.replace("batch_size: 100", "batch_size: 20"))
    random = np.random.default_rng(7)
    (tmp_path / "data/mnist").mkdir(parents=True)
    for part in ("train", "test"):
        images = random.integers(0, 256, (60, 1, 28, 28), dtype=np.uint8)
        records = ((image, int(random.integers(10))) for image in images)
        write_lmdb(tmp_path / f"data/mnist/{part}_lmdb", records, total=60)
    (tmp_path / "solver.prototxt").write_text(
        f"""
        net: "net.prototxt" test_iter: 3 test_interval: 2 base_lr: 0.01 lr_policy: "step"
        gamma: 0.1 stepsize: 4 momentum: 0.9 weight_decay: 0.0001 display: 1
        max_iter: {ITERATIONS} snapshot_prefix: "lenet" random_seed: 3
        """
    )
    return tmp_path


def test_it_trains_with_the_losses_and_tests_of_ul2q_train(folder: Path) -> None:
    tool = run_caffe("train", "-solver", "solver.prototxt", cwd=folder)
    assert tool.returncode == 0, tool.stderr
    losses = re.findall(r"\] Iteration (\d+).*, loss = (\S+)", tool.stderr)
    accuracies = re.findall(r"Test net output #0: accuracy = (\S+)", tool.stderr)
    assert [int(i) for i, _ in losses] == list(range(ITERATIONS + 1))

    train = run_process(*UL2Q, "train", "solver.prototxt", "--run", "run", cwd=folder)
    assert train.returncode == 0, train.stderr
    with (folder / "run/log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [f"{float(row['train_loss']):.6g}" for row in rows] == [loss for _, loss in losses]
    tests = [f"{float(row['test_accuracy']):.6g}" for row in rows if row["test_accuracy"]]
    assert tests == accuracies
    # And the nets they end with are the same to the bit.
    name = f"lenet_iter_{ITERATIONS}.caffemodel"
    assert (folder / name).read_bytes() == (folder / "run" / name).read_bytes()


def test_it_scores_and_times_a_quantised_net(folder: Path) -> None:
    assert run_caffe("train", "-solver", "solver.prototxt", cwd=folder).returncode == 0
    weights = f"lenet_iter_{ITERATIONS}.caffemodel"
    scored = run_caffe(
        "test", "-model", "net.prototxt", "-weights", weights, "-iterations", "3", cwd=folder
    )
    assert scored.returncode == 0
    assert re.search(r"accuracy = [\d.]+\n", scored.stderr)
    timed = run_caffe("time", "-model", "net.prototxt", "-iterations", "1", cwd=folder)
    assert timed.returncode == 0
    assert "ip2" in timed.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bits: 2 ", "bits: 17 ", ["Layer 'conv1'", "quantization_param.weight.bits is 17"]),
        ("QuantizedConvolution", "Convolution", ["Layer 'conv1'", '"QuantizedConvolution"']),
        ("kernel_size: 5", "kernel_sise: 5", ["net.prototxt:", "kernel_sise", "layer 'conv1'"]),
    ],
)
def test_bad_input_ends_in_a_message_and_status_1(
    folder: Path, old: str, new: str, words: list[str]
) -> None:
    net = folder / "net.prototxt"
    net.write_text(net.read_text().replace(old, new, 1))
    run = run_caffe("train", "-solver", "solver.prototxt", cwd=folder)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("caffe: ")
    assert [word for word in words if word not in last] == []


@pytest.mark.parametrize("commands", [[], ["time", "test"]])
def test_without_one_command_it_shows_its_usage_and_fails(
    commands: list[str], tmp_path: Path
) -> None:
    tool = run_caffe(*commands, cwd=tmp_path)
    assert tool.returncode == 1
    assert "usage: caffe <command> <args>" in tool.stdout
    assert "null" not in tool.stderr
