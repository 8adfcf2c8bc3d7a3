"""What the timed processes have in common: commands on stdin, a number on stdout for each.

"train N": seconds an iteration (forward, backward, update), the mean of N. "test BATCH N": seconds
a forward pass of so many images in phase TEST, the mean of N. "memory": peak resident size, bytes.
"call …" is for what a worker does besides; its answer is 0.
"""

from __future__ import annotations

import re
import sys
import time
from functools import partial
from pathlib import Path
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
            answer = peak_bytes()
        print(answer, flush=True)


def peak_bytes() -> float:
    """Peak resident size of this process; ru_maxrss would begin with that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return float(kilobytes) * 1024


def _seconds(action: Callable[[], object], repetitions: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(repetitions):
        action()
    return (clock() - began) / repetitions
