"""A trial: training that is cut short by the environment, to see that everything is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

MAX_ITER = "UL2Q_MAX_ITER"
"""The variable: the most iterations of a training, and the most batches of each test."""


def cut_short(param: caffe_pb2.SolverParameter) -> None:
    """Give a solver no more iterations and batches a test than UL2Q_MAX_ITER says, if it is set.

    Raises:
        PrototxtError: the variable is no number of iterations.
    """
    most = _most_iterations()
    if most is None:
        return
    param.max_iter = min(param.max_iter, most)
    batches = [min(count, most) for count in param.test_iter]
    param.ClearField("test_iter")
    param.test_iter.extend(batches)


def trial_note() -> str | None:
    """What to tell of a training that is cut short; None if it is not.

    Raises:
        PrototxtError: as of `cut_short`.
    """
    most = _most_iterations()
    if most is None:
        return None
    return f"a trial by {MAX_ITER}: at most {most} iterations, and {most} batches a test"


def _most_iterations() -> int | None:
    text = os.environ.get(MAX_ITER, "")
    if text and not (text.isdecimal() and int(text)):
        raise PrototxtError(f"{MAX_ITER} in the environment is {text!r}: must be 1 or more")
    return int(text) if text else None
