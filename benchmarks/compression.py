"""What coded gradients cost: bytes an iteration, and the accuracy of LeNet on Fashion-MNIST.

    benchmarks/compression.py [--ranks 2] [--iterations 1200] [--seeds 3]

Each of the ranks has a batch of 100 / ranks. Needs mpi4py, an MPI and data/fashion-mnist.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import caffe
from caffe.proto import caffe_pb2

import ul2q
from ul2q.distributed.codecs import Bfloat16, Codec, Codes
from ul2q.distributed.scale import traffic
from ul2q.nets.data_layers import LMDB_OF_PHASE
from ul2q.nets.prototxt import read_net
from ul2q.runs.log import read_log

KINDS: dict[str, tuple[list[str], Codec | None]] = {
    "float32": ([], None),
    "bf16": (["--compress", "bf16"], Bfloat16()),
    **{
        f"ul2q, {bits} bits": (["--compress", "ul2q", "--bits", str(bits)], Codes(bits))
        for bits in (8, 4, 2)
    },
}


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data/fashion-mnist"))
    arguments = parser.parse_args()
    print("| gradients | bytes sent by a rank, an iteration | test accuracy |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        net = _net(Path(folder), arguments.data, 100 // arguments.ranks)
        found = traffic(caffe.Net(str(net), caffe.TRAIN))
        for name, (options, codec) in KINDS.items():
            accuracies = [
                _accuracy(Path(folder), net, arguments, options, seed)
                for seed in range(1, arguments.seeds + 1)
            ]
            mean = 100 * statistics.mean(accuracies)
            spread = 100 * statistics.stdev(accuracies) if len(accuracies) > 1 else 0
            sent = found.bytes_sent(arguments.ranks, codec)
            print(f"| {name} | {sent:,.0f} | {mean:.2f} ± {spread:.2f} % |", flush=True)


def _net(folder: Path, data: Path, batch: int) -> Path:
    net = read_net(Path(ul2q.prototxt_path("lenet/train_test_2bit.prototxt")))
    for layer in net.layer:
        if layer.type == "Data":
            phase = layer.include[0].phase
            layer.data_param.source = str(data / LMDB_OF_PHASE[phase])
            if phase == caffe_pb2.TRAIN:
                layer.data_param.batch_size = batch
    path = folder / "net.prototxt"
    path.write_text(str(net), encoding="utf-8")
    return path


def _accuracy(
    folder: Path, net: Path, arguments: argparse.Namespace, options: list[str], seed: int
) -> float:
    run = folder / f"run-{'-'.join(options)}-{seed}"
    command = ["mpiexec", "-n", str(arguments.ranks), sys.executable, "-m", "ul2q", "train"]
    command += ["lenet/solver_2bit.prototxt", "--run", str(run)]
    for setting in (
        *(f"net={net}", f"max_iter={arguments.iterations}", f"random_seed={seed}", "snapshot=0"),
        *("test_initialization=false", f"test_interval={arguments.iterations}"),
    ):
        command += ["--set", setting]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=os.environ, check=False
    )
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    log = read_log(run / "log.csv", strict=False)
    assert log is not None
    return float(log.last_test()[1][0]["accuracy"])


if __name__ == "__main__":
    main()
