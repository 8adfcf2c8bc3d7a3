"""λ and its loss against other ways to compute them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from tests import reference
from ul2q.simulation.lambda_table import PAPER, best_step, expected_loss, lambda_table

# Optima to seven digits, and their losses, from a computation that is not part of this project.
PUBLISHED = (
    (1.5957691, 0.363380),
    (0.9956867, 0.118846),
    (0.5860195, 0.037440),
    (0.3352006, 0.011543),
    (0.1881388, 0.003495),
    (0.1040630, 0.001040),
    (0.0568677, 0.000304),
    (0.0307624, 0.0000877),
)


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("step", [0.2, 0.9956867, 1.9])
def test_the_loss_is_the_integral(step: float, bits: int) -> None:
    def squared_error(x: float) -> float:
        code = np.clip(np.floor(x / step) + 1, 1 - 2 ** (bits - 1), 2 ** (bits - 1))
        return float((x - step * (code - 0.5)) ** 2 * stats.norm.pdf(x))

    # Between the bounds, where the error is smooth.
    bounds = [-12.0, *(step * j for j in range(1 - 2 ** (bits - 1), 2 ** (bits - 1))), 12.0]
    integral = sum(integrate.quad(squared_error, low, high)[0] for low, high in pairwise(bounds))
    assert expected_loss(step, bits) == pytest.approx(integral, abs=1e-9)


@pytest.mark.parametrize("bits", range(1, 17))
def test_the_best_step(bits: int) -> None:
    assert best_step(bits) == pytest.approx(reference.optimal_step(bits), rel=1e-8)


@pytest.mark.parametrize("bits", range(1, 9))
def test_no_step_near_the_best_has_a_smaller_loss(bits: int) -> None:
    best = best_step(bits)
    around = [expected_loss(best * factor, bits) for factor in (0.5, 0.999, 1.001, 1.5)]
    assert min(around) > expected_loss(best, bits)


def test_the_table() -> None:
    table = lambda_table()
    assert [row.bits for row in table] == list(range(1, 9))
    assert tuple((row.paper, row.paper_loss) for row in table) == PAPER
    assert tuple(row.paper for row in table) == reference.PAPER_STEPS
    for row, (step, loss) in zip(table, PUBLISHED, strict=True):
        assert row.found == pytest.approx(step, abs=1e-7)
        assert row.library == pytest.approx(row.found, abs=1e-9)
        assert row.loss == pytest.approx(loss, abs=6e-7)
        assert row.loss_of_paper == pytest.approx(reference.normal_loss(row.paper, row.bits))
        assert row.loss < row.loss_of_paper < row.loss * 1.005
        # The paper's own figure is right to 9 in the last place that it prints.
        assert row.paper_loss == pytest.approx(row.loss_of_paper, abs=9e-4)
