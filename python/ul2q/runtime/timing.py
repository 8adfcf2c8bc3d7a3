"""How long a model takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.runtime.model import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.runtime.model import Model


@dataclass(frozen=True)
class Timing:
    """Times of one call after the other.

    Attributes:
        batch: items a call.
        calls: how many were timed.
        median: of a call, in seconds, as are the others.
        p90: nine of ten calls took less.
        p99: 99 of 100 calls took less.
    """

    batch: int
    calls: int
    median: float
    p90: float
    p99: float

    @property
    def throughput(self) -> float:
        """Items a second, by the median."""
        return self.batch / self.median


def time_model(model: Model, batch: int, *, threads: int = 0, seconds: float = 2.0) -> Timing:
    """Call a model with random inputs for a while, after some calls that are not timed.

    Args:
        model: what `ul2q.compile` made.
        batch: items a call.
        threads: how many run it; 0 for as many as OpenMP has.
        seconds: how long it is timed; at least five calls are.

    Raises:
        ModelError: `batch` is less than 1.
    """
    if batch < 1:
        raise ModelError(f"batch {batch}; must be 1 or more")
    inputs = _random_inputs(model, batch)
    for _ in range(3):
        model(inputs, threads=threads)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        model(inputs, threads=threads)
        times.append(time.perf_counter() - begin)
    median, p90, p99 = np.percentile(times, (50, 90, 99))
    return Timing(batch, len(times), float(median), float(p90), float(p99))


def time_steps(
    model: Model, batch: int, *, threads: int = 0, seconds: float = 1.0
) -> tuple[tuple[str, float], ...]:
    """What each step does, and its median time of as many calls, in seconds.

    Args:
        model: what `ul2q.compile` made.
        batch: items a call, 1 or more.
        threads: how many run it; 0 for as many as OpenMP has.
        seconds: how long it is timed; at least five calls are.
    """
    inputs = _random_inputs(model, batch)
    times: list[tuple[float, ...]] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        times.append(model.time_steps(inputs, threads=threads))
    medians = np.median(times, axis=0)
    return tuple(zip(model.steps, map(float, medians), strict=True))


def _random_inputs(model: Model, batch: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 256, (batch, *shape), np.uint8)
        if model.dtypes[name] == np.uint8
        else rng.normal(size=(batch, *shape)).astype(np.float32)
        for name, shape in model.inputs.items()
    }
