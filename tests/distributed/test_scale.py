"""The model of iterations with many ranks: its formulas, and what 2 and 4 ranks take here."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.distributed.mpi import every_mpi, needs_mpi, only_all
from ul2q.distributed.codecs import Bfloat16, Codes
from ul2q.distributed.scale import Network, Traffic, iteration_seconds

if TYPE_CHECKING:
    from tests.distributed.mpi import Mpi

WORKER = Path(__file__).parents[2] / "benchmarks" / "rank_worker.py"


def test_an_allreduce_by_the_cheaper_formula() -> None:
    network = Network(latency=1e-5, bandwidth=1e9)
    assert network.allreduce(1e6, 1) == 0
    assert network.allreduce(8, 8) == pytest.approx(3 * (1e-5 + 8e-9))
    assert network.allreduce(1e8, 8) == pytest.approx(6e-5 + 2 * 7 / 8 * 0.1)
    assert network.allreduce(1e8, 5) == pytest.approx(6e-5 + 2 * 4 / 5 * 0.1)


@pytest.mark.parametrize("ranks", [2, 4, 7])
def test_a_fit_finds_the_network(ranks: int) -> None:
    steps, share = math.ceil(math.log2(ranks)), 2 * (ranks - 1) / ranks
    sizes = [1e3, 1e5, 1e7]
    seconds = [2 * steps * 3e-5 + share * size / 2e9 for size in sizes]
    network = Network.fitted(sizes, seconds, ranks)
    assert network.latency == pytest.approx(3e-5)
    assert network.bandwidth == pytest.approx(2e9)


def test_what_an_iteration_takes_and_sends() -> None:
    traffic, network = Traffic((10**6, 10**5), 1000), Network(1e-5, 1e9)
    assert traffic.elements == 1_101_000
    assert traffic.bytes_sent(4) == pytest.approx(1.5 * 4 * 1_101_000)
    assert traffic.bytes_sent(4, Bfloat16()) == pytest.approx(1.5 * (2 * 1_100_000 + 4 * 1000))
    headers = 2 * 3 * 2 * 8  # a scale and a shift with each shard, of two gradients
    wanted = 1.5 * (1_100_000 + 4 * 1000) + headers
    assert traffic.bytes_sent(4, Codes(8)) == pytest.approx(wanted)
    large, small = traffic.seconds(4, network)
    assert large == pytest.approx(network.allreduce(4e6, 4) + network.allreduce(4e5, 4))
    assert small == pytest.approx(network.allreduce(4000, 4))
    assert iteration_seconds(1.0, traffic, 4, network) == pytest.approx(1 + large + small)
    assert iteration_seconds(1.0, traffic, 4, network, hidden=large / 4) == pytest.approx(
        1 + large * 3 / 4 + small
    )
    assert iteration_seconds(1.0, traffic, 4, network, hidden=1.0) == pytest.approx(1 + small)
    assert iteration_seconds(1.0, traffic, 1, network) == 1.0


@needs_mpi
@only_all
@every_mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_model_holds_on_this_machine(mpi: Mpi, ranks: int) -> None:
    """More ranks than cores take turns; and nothing is hidden, as the cores move the data."""

    def measured(count: int, *arguments: object) -> dict[str, Any]:
        ended = mpi.run(count, sys.executable, WORKER, *arguments)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
        return found

    cores = len(os.sched_getaffinity(0))
    if os.getloadavg()[0] > cores / 2:
        pytest.skip("times are to be measured, and the machine is busy")
    alone = measured(1, "iterations", "lenet", 25, 3)
    times = measured(ranks, "allreduce")
    network = Network.fitted(times["lengths"][2:], times["seconds"][2:], ranks)
    turns = max(1.0, ranks / cores)
    traffic = Traffic(tuple(alone["large"]), alone["small"])
    predicted = iteration_seconds(turns * alone["least"], traffic, ranks, network)
    together = measured(ranks, "iterations", "lenet", 25, 3)
    assert together["least"] == pytest.approx(predicted, rel=0.4)
