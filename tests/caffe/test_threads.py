"""Nets and solvers in several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.small_nets import LINEAR, assert_same, solver_message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_nets import NetMaker, SolverMaker


def test_two_nets_in_two_threads(make_net: NetMaker) -> None:
    rng = np.random.default_rng(9)
    nets = [make_net(), make_net()]

    def run(net: Any) -> None:
        thread_rng = np.random.default_rng(id(net))
        w, b = (blob.data.astype(float) for blob in net.params["ip"])
        for _ in range(200):
            x, t = thread_rng.normal(size=(4, 3)), np.zeros((4, 2))
            y = net.forward(x=x, t=t, blobs=["y"])["y"]
            np.testing.assert_allclose(y, x @ w.T + b, rtol=1e-4, atol=1e-5)

    for net in nets:
        net.params["ip"][0].data[...] = rng.normal(size=(2, 3))
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(run, nets))


def test_settings_of_one_thread_hold_in_the_others(make_solver: SolverMaker) -> None:
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((caffe.solver_count(), caffe.solver_rank()))

    try:
        caffe.set_solver_count(3)
        caffe.set_solver_rank(2)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen == [(3, 2)]
        # Solvers other than the root's refuse to solve, in whatever thread.
        solver = make_solver(snapshot_after_train=False)
        with ThreadPoolExecutor(1) as pool, pytest.raises(caffe.CaffeError, match="root_solver"):
            pool.submit(solver.solve).result()
    finally:
        caffe.set_solver_count(1)
        caffe.set_solver_rank(0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(solver.solve).result()
    assert solver.iter == 10
    with pytest.raises(ValueError, match="must be at least 1"):
        caffe.set_solver_count(0)
    with pytest.raises(ValueError, match="must be at least 0"):
        caffe.set_solver_rank(-1)


def test_solvers_in_threads_give_the_results_of_one(tmp_path: Path) -> None:
    messages = [solver_message(tmp_path, LINEAR, random_seed=seed) for seed in range(8)]

    def train(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        solver = caffe.get_solver(messages[seed])
        solver.net.blobs["x"].data[...] = rng.normal(size=(4, 3))
        solver.net.blobs["t"].data[...] = rng.normal(size=(4, 2))
        solver.step(200)
        return solver.net.params["ip"][0].data.copy()

    want = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(train, range(8)))
    assert_same(got, want)
    assert not np.array_equal(want[0], want[1])
