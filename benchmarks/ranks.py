"""Times ranks, and says by a model what more of them would do.

    benchmarks/ranks.py efficiency [--rounds 5]   2 ranks × 1 thread against 1 process × 2 threads
    benchmarks/ranks.py scale                     a table of 1 to 256 ranks

Contestants of `efficiency` take turns; PyTorch's are among them where `make bench-environment` has
installed it. Both need mpiexec on the path, or in the folder of this Python.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from ul2q.distributed.codecs import Codes
from ul2q.distributed.scale import Network, Traffic, iteration_seconds

HERE = Path(__file__).parent
TORCH = HERE.parent / "build" / "bench" / "bin" / "python"
SECONDS = "8"  # of each turn
RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
# A message between two machines by MPI: Ethernet with TCP, and InfiniBand, in round numbers.
SLOW = Network(30e-6, 1.0e9)
NETWORKS = {"10 Gb/s": SLOW, "100 Gb/s": Network(2e-6, 11e9)}
CORES = (1, 16)  # of a rank, which with 16 is taken to compute 16 times as fast
NETS = (("vgg7_64", 50), ("resnet18", 50), ("vgg16", 4))


def worker(ranks: int, threads: int, *arguments: object) -> dict[str, Any]:
    """What a worker of ours has printed; without mpiexec for one rank."""
    command = [sys.executable, str(HERE / "rank_worker.py"), *map(str, arguments)]
    if ranks > 1:
        beside = Path(sys.executable).with_name("mpiexec")
        mpiexec = str(beside) if beside.exists() else "mpiexec"
        command = [mpiexec, "-n", str(ranks), *command]
    return _result(command, threads)


def ddp(ranks: int, threads: int, *arguments: object) -> dict[str, Any]:
    """What a worker of PyTorch's has printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [str(TORCH), str(HERE / "ddp_worker.py"), *map(str, arguments)]
    others = [
        subprocess.Popen(command, env=os.environ | shared | _threads(threads) | {"RANK": str(rank)})
        for rank in range(1, ranks)
    ]
    result = _result(command, threads, **shared, RANK="0")
    for other in others:
        other.wait()
    return result


def _result(command: list[str], threads: int, **environment: str) -> dict[str, Any]:
    ended = subprocess.run(
        command,
        env=os.environ | _threads(threads) | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def _threads(threads: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(threads)}


def efficiency(rounds: int) -> None:
    """Print the medians of both ways, at 100 images an iteration together, and their ratio."""
    contestants = {"ul2q": worker, "PyTorch, DDP over gloo": ddp}
    print("| VGG7-64, 100 images | 1 process × 2 threads | 2 ranks × 1 thread | efficiency |")
    print("|---|---|---|---|")
    for name, run in contestants.items():
        if run is ddp and not TORCH.exists():
            print(f"| {name} | not installed: make bench-environment | | |")
            continue
        first = ["iterations"] if run is worker else []
        alone, together = [], []
        for _ in range(rounds):
            alone.append(run(1, 2, *first, "vgg7_64", 100, SECONDS)["iteration"])
            together.append(run(2, 1, *first, "vgg7_64", 50, SECONDS)["iteration"])
        ratios = [a / b for a, b in zip(alone, together, strict=True)]
        low, high = min(ratios), max(ratios)
        print(
            f"| {name} | {1e3 * statistics.median(alone):.0f} ms | "
            f"{1e3 * statistics.median(together):.0f} ms | "
            f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}) |",
            flush=True,
        )


def scale() -> None:
    """Print the tables: the share of n times one rank's images a second that n ranks do.

    What a rank computes is measured by the processor's time, so that it counts no others'. The
    lower share is where nothing is sent while backward computes, the upper where all can be.
    """
    ways = {
        f"{cores} core{'s' * (cores > 1)}, {name}{', 8 bits' * (codec is not None)}": (
            cores,
            network,
            codec,
        )
        for cores in CORES
        for name, network in NETWORKS.items()
        for codec in (None, Codes(8))
        if codec is None or network is SLOW
    }
    for net, batch in NETS:
        found = worker(1, 1, "iterations", net, batch, 0)
        averaged = Traffic(tuple(found["large"]), found["small"])
        megabytes = 4e-6 * averaged.elements
        print(
            f"\n{net}: {batch} images a rank, {1e3 * found['computed']:,.0f} ms an iteration on a "
            f"core, {megabytes:.1f} MB of gradients\n"
        )
        print("| ranks | " + " | ".join(ways) + " |")
        print("|---" * (1 + len(ways)) + "|")
        for ranks in RANKS:
            cells = [
                _shares(found, averaged, ranks, cores, network, codec)
                for cores, network, codec in ways.values()
            ]
            print(f"| {ranks} | " + " | ".join(cells) + " |", flush=True)


def _shares(
    found: dict[str, Any],
    averaged: Traffic,
    ranks: int,
    cores: int,
    network: Network,
    codec: Codes | None,
) -> str:
    compute = found["computed"] / cores
    backward = compute * (1 - found["forward"])
    low, high = (
        compute / iteration_seconds(compute, averaged, ranks, network, hidden=hidden, codec=codec)
        for hidden in (0.0, backward)
    )
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("efficiency", "scale"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.what == "efficiency":
        efficiency(arguments.rounds)
    else:
        scale()


if __name__ == "__main__":
    main()
