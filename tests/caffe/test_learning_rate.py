"""The learning rates that BVLC has not, against NumPy: the policy "cosine", and warming up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.processes import run_caffe
from tests.small_nets import assert_same, parameters, solver_message

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BASE, LAST = 0.25, 12
ITERATIONS = np.arange(LAST)

POLICIES: dict[str, tuple[dict[str, Any], NDArray[Any]]] = {
    "cosine": ({}, (1 + np.cos(np.pi * ITERATIONS / LAST)) / 2),
    "fixed": ({}, np.ones(LAST)),
    "step": ({"gamma": 0.5, "stepsize": 5}, 0.5 ** (ITERATIONS // 5)),
    "exp": ({"gamma": 0.5}, 0.5**ITERATIONS),
    "inv": ({"gamma": 0.5, "power": 0.75}, (1 + 0.5 * ITERATIONS) ** -0.75),
    "multistep": (
        {"gamma": 0.5, "stepvalue": [3, 7]},
        0.5 ** np.searchsorted([3, 7], ITERATIONS, side="right"),
    ),
    "poly": ({"power": 2}, (1 - ITERATIONS / LAST) ** 2),
    "sigmoid": ({"gamma": 0.5, "stepsize": 6}, 1 / (1 + np.exp(-0.5 * (ITERATIONS - 6)))),
}


def rates(solver: Any, count: int = LAST) -> list[float]:
    """The rates of the next iterations, each of them done."""
    found = []
    for _ in range(count):
        found.append(solver.lr)
        solver.step(1)
    return found


def make(folder: Path, **fields: Any) -> Any:
    caffe.set_mode_cpu()
    return caffe.get_solver(solver_message(folder, base_lr=BASE, max_iter=LAST, **fields))


@pytest.mark.parametrize("warmup", [0, 1, 4, LAST + 5])
@pytest.mark.parametrize("policy", POLICIES)
def test_rates_are_those_of_numpy(tmp_path: Path, policy: str, warmup: int) -> None:
    fields, factors = POLICIES[policy]
    warm_up = np.minimum(1, (ITERATIONS + 1) / max(warmup, 1))
    solver = make(tmp_path, lr_policy=policy, warmup_iter=warmup, **fields)
    assert rates(solver) == pytest.approx(BASE * factors * warm_up, rel=1e-6)


def test_a_cosine_ends_at_zero_and_stays_there(tmp_path: Path) -> None:
    solver = make(tmp_path, lr_policy="cosine")
    solver.step(LAST)
    assert solver.lr == 0
    before = parameters(solver.net)
    assert rates(solver, 3) == [0, 0, 0]
    assert_same(parameters(solver.net), before)


def test_updates_are_made_at_the_rate(tmp_path: Path) -> None:
    """The first update, without momentum, is the rate times the gradient at the start."""
    updates = []
    for warmup in (0, 8):
        solver = make(tmp_path, lr_policy="cosine", warmup_iter=warmup)
        before = parameters(solver.net)
        solver.step(1)
        updates.append([b - a for b, a in zip(before, parameters(solver.net), strict=True)])
    for whole, part in zip(*updates, strict=True):
        assert np.abs(whole).max() > 0
        np.testing.assert_allclose(part, whole / 8, rtol=1e-3)


def test_a_solver_state_goes_on_at_the_same_rate(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"lr_policy": "cosine", "warmup_iter": 5}
    whole = rates(make(tmp_path, **fields))
    for stop in range(LAST):
        solver = make(tmp_path, **fields)
        solver.step(stop)
        solver.snapshot()
        other = make(tmp_path, **fields)
        other.restore(str(tmp_path / f"snapshot_iter_{stop}.solverstate"))
        assert rates(other, LAST - stop) == whole[stop:]


def test_the_tool_caffe_knows_them(tmp_path: Path) -> None:
    param = solver_message(
        tmp_path, base_lr=BASE, max_iter=LAST, lr_policy="cosine", warmup_iter=4, display=1
    )
    param.solver_mode = caffe_pb2.SolverParameter.CPU
    (tmp_path / "solver.prototxt").write_text(str(param), encoding="utf-8")
    done = run_caffe("train", "-solver", "solver.prototxt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [float(rate) for rate in re.findall(r"Iteration \d+, lr = (\S+)", done.stderr)]
    factors = POLICIES["cosine"][1] * np.minimum(1, (ITERATIONS + 1) / 4)
    assert told == pytest.approx(BASE * factors, rel=1e-5)
