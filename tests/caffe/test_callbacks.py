"""Callbacks of nets and solvers, and signals that interrupt them."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.small_nets import parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.small_nets import NetMaker, SolverMaker


def test_callbacks_of_a_solver_run_in_order(make_solver: SolverMaker) -> None:
    solver = make_solver()
    calls: list[tuple[str, int]] = []
    solver.add_callback(
        lambda: calls.append(("start", solver.iter)), lambda: calls.append(("ready", solver.iter))
    )
    solver.step(2)
    assert calls == [("start", 0), ("ready", 0), ("start", 1), ("ready", 1)]


def test_callbacks_of_a_net_get_the_index_of_the_layer(make_net: NetMaker) -> None:
    net = make_net()
    calls: list[tuple[str, int]] = []
    for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net, when)(lambda layer, when=when: calls.append((when, layer)))
    net.forward()
    assert calls[:3] == [("before_forward", 0), ("after_forward", 0), ("before_forward", 1)]
    assert len(calls) == 8
    net.backward(start="loss", end="ip")
    assert calls[8:] == [
        ("before_backward", 3),
        ("after_backward", 3),
        ("before_backward", 2),
        ("after_backward", 2),
    ]


class Stop(Exception):  # noqa: N818
    """What callbacks raise here."""


def test_an_exception_in_a_callback_reaches_the_caller(
    make_net: NetMaker, make_solver: SolverMaker
) -> None:
    switch = {"on": True}

    def raise_stop(*_: int) -> None:
        if switch["on"]:
            raise Stop("from the callback")

    net = make_net()
    net.after_forward(raise_stop)
    solver = make_solver()
    solver.add_callback(lambda: None, raise_stop)
    by_start = make_solver()
    by_start.add_callback(raise_stop, lambda: None)
    for run in (net.forward, lambda: solver.step(3), by_start.solve):
        switch["on"] = True
        with pytest.raises(Stop, match="from the callback") as error:
            run()
        assert "raise_stop" in str(error.traceback[-1])
        switch["on"] = False
        run()
    assert solver.iter == 3


@pytest.mark.parametrize("run", [lambda s: s.step(1000), lambda s: s.solve()])
def test_ctrl_c_in_a_callback_stops_the_training(
    run: Callable[[Any], None], make_solver: SolverMaker
) -> None:
    solver = make_solver(max_iter=1000, snapshot_after_train=False)

    calls = []

    def interrupt() -> None:
        calls.append(solver.iter)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)

    solver.add_callback(lambda: None, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(solver)
    assert calls == [0, 1, 2, 3, 4]
    # Python's handler ran in the callback, before the update.
    assert solver.iter == 4
    solver.step(6)
    assert solver.iter == 10


def interrupt_when(is_time: Callable[[], bool], run: Callable[[], object]) -> None:
    """Call `run`, which a Ctrl-C has to end once `is_time` is true."""

    def interrupt() -> None:
        while not is_time():
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run()
    thread.join()


@pytest.mark.parametrize("run", [lambda s: s.step(1_000_000), lambda s: s.solve()])
def test_ctrl_c_while_caffe_computes(run: Callable[[Any], None], make_solver: SolverMaker) -> None:
    solver = make_solver(max_iter=1_000_000, snapshot_after_train=False)
    # The thread could not interrupt if `step` kept Python's lock.
    interrupt_when(lambda: solver.iter >= 100, lambda: run(solver))
    stopped = solver.iter
    assert 100 <= stopped < 1_000_000
    assert np.isfinite(parameters(solver.net)[0]).all()
    solver.step(3)
    assert solver.iter == stopped + 3


@pytest.mark.parametrize("run", [lambda s: s.step(5), lambda s: s.solve()])
def test_ctrl_c_while_a_test_net_runs(run: Callable[[Any], None], make_solver: SolverMaker) -> None:
    # The first test would take hours.
    solver = make_solver(test_iter=[1_000_000_000], test_interval=1_000, max_iter=5)
    tested = solver.test_nets[0].blobs["loss"]
    interrupt_when(lambda: bool(tested.data), lambda: run(solver))
    assert solver.iter == 0


def test_handlers_of_other_signals_run_and_training_goes_on(make_solver: SolverMaker) -> None:
    solver = make_solver()
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        solver.add_callback(lambda: signal.raise_signal(signal.SIGUSR1), lambda: None)
        solver.step(3)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1] * 3
    assert solver.iter == 3
