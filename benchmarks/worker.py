"""What the timed processes have in common: commands on stdin, a number on stdout for each.

"train N": seconds an iteration (forward, backward, update), the mean of N. "test BATCH N": seconds
a forward pass of so many images in phase TEST, the mean of N. "memory": peak resident size, bytes.
"call …" is for what a worker does besides; its answer is 0.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(
    iterate: Callable[[], object],
    test: Callable[[int], object],
    call: Callable[..., object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Answer commands until stdin ends.

    Args:
        iterate: one training iteration.
        test: a forward pass of so many images.
        call: gets the words behind "call".
        clock: seconds, e.g. of the processor, where other programs run.
    """
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "train":
            answer = _seconds(iterate, int(numbers[0]), clock)
        elif command == "test":
            answer = _seconds(partial(test, int(numbers[0])), int(numbers[1]), clock)
        elif command == "call":
            assert call is not None
            call(*numbers)
            answer = 0.0
        else:
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(answer, flush=True)


def _seconds(action: Callable[[], object], repetitions: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(repetitions):
        action()
    return (clock() - began) / repetitions
