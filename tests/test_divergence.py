"""When a loss is called divergent, and when not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.test_resume import Notes
from ul2q.training import train
from ul2q.training.divergence import DivergenceWatch

if TYPE_CHECKING:
    from tests.conftest import Workspace


def alarms(losses: Any, beginning: float | None = None) -> list[int]:
    watch = DivergenceWatch(beginning)
    return [i for i, loss in enumerate(losses) if watch(float(loss))]


def noise(n: int, scale: float) -> Any:
    return np.random.default_rng(1).exponential(scale, n)


def test_a_loss_that_falls_raises_no_alarm() -> None:
    """From that of chance to a small one with bad batches, as nets that learn have it."""
    t = np.arange(5000)
    loss = 2.3 * np.exp(-t / 300) + noise(5000, 0.05)
    loss[::97] += 5
    assert alarms(loss) == []


def test_a_loss_that_stays_raises_no_alarm() -> None:
    assert alarms(2.3 + noise(5000, 0.5)) == []


def test_a_loss_that_grows_does() -> None:
    (at,) = alarms(2.3 * np.exp(np.arange(400) / 100))
    assert 100 < at < 250


def test_so_does_one_that_comes_back() -> None:
    t = np.arange(1000)
    loss = np.where(t < 500, 2.3 * np.exp(-t / 100), 2.4)
    (at,) = alarms(loss)
    assert 550 < at < 900


def test_one_burst_does_not() -> None:
    loss = np.full(1000, 2.3)
    loss[500:503] = 60
    assert alarms(loss) == []


def test_the_beginning_may_be_known() -> None:
    assert alarms(np.full(300, 3.0), beginning=1.0) == [98]
    assert alarms(np.full(300, 3.0), beginning=math.nan) == []
    assert alarms(np.full(300, -3.0)) == []


def test_training_warns(workspace: Workspace) -> None:
    """Least squares: an update by 2.02 / |x|² overshoots, and the error grows by 2 % each time."""
    workspace.write(
        "least_squares.prototxt",
        """name: "least squares"
        layer { name: "x" type: "DummyData" top: "x" top: "y"
          dummy_data_param { shape { dim: 10 dim: 4 } shape { dim: 10 dim: 1 }
            data_filler { value: 1 } data_filler { value: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
          inner_product_param { num_output: 1 } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" }""",
    )
    solver = workspace.solver(
        net='"least_squares.prototxt"',
        test_iter=None,
        test_interval=None,
        momentum=0,
        lr_policy='"fixed"',
        base_lr=2.02 / 5,
        max_iter=200,
    )
    notes = Notes()
    train(solver, progress=notes)
    (warning,) = notes.warnings
    for word in ("iteration 1", "looks divergent", "beginning", "base_lr", "clip_gradients"):
        assert word in warning
    notes.warnings.clear()
    train(solver, settings=["base_lr=0.4"], progress=notes)  # 2 / |x|²: it just does not grow
    train(solver, settings=["base_lr=0.2"], progress=notes)
    assert notes.warnings == []


def test_training_that_learns_does_not(workspace: Workspace) -> None:
    notes = Notes()
    train(workspace.solver(max_iter=400, stepsize=1000), progress=notes)
    assert notes.warnings == []


@pytest.mark.parametrize("display", [1, 0])
def test_a_resumed_run_is_held_against_its_beginning(workspace: Workspace, display: int) -> None:
    """Its loss is small; twice as much is noise, and not told to diverge."""
    solver = workspace.solver(max_iter=300, display=display, base_lr=0.5, stepsize=1000)
    train(solver, run=Path("run"))
    notes = Notes()
    train(solver, run=Path("run"), resume=True, settings=["max_iter=600"], progress=notes)
    assert notes.warnings == []
