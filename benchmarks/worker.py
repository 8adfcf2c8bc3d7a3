"""What the timed processes have in common: commands on stdin, a number on stdout for each.

"train N": seconds an iteration (forward, backward, update), the mean of N. "test BATCH N": seconds
a forward pass of so many images in phase TEST, the mean of N. "memory": peak resident size, bytes.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(iterate: Callable[[], object], test: Callable[[int], object]) -> None:
    """Answer commands until stdin ends.

    Args:
        iterate: one training iteration.
        test: a forward pass of so many images.
    """
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "train":
            answer = _seconds(iterate, int(numbers[0]))
        elif command == "test":
            answer = _seconds(partial(test, int(numbers[0])), int(numbers[1]))
        else:
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(answer, flush=True)


def _seconds(action: Callable[[], object], repetitions: int) -> float:
    began = time.perf_counter()
    for _ in range(repetitions):
        action()
    return (time.perf_counter() - began) / repetitions
