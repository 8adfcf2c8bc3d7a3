"""What the tests of the bindings have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import pytest

from tests.small_nets import NOISE, SolverMaker, solver_message

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def make_solver(tmp_path: Path) -> SolverMaker:
    """Make a solver from a message; what is not given is as in `solver_message`."""

    def make(net: str = NOISE, **fields: object) -> Any:
        return caffe.get_solver(solver_message(tmp_path, net, **fields))

    return make
