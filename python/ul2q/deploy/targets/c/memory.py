"""Where arrays lie that do not live at the same time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """An array.

    Attributes:
        size: how many elements it has.
        first: the step that writes it.
        last: the last step that reads it.
    """

    size: int
    first: int
    last: int


def plan(arrays: dict[str, Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets of the arrays, and where the last of them ends.

    The largest first, each at the lowest place that is free for its lifetime.
    """
    offsets: dict[str, int] = {}
    end = 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].size):
        offset = 0
        for other in sorted(offsets, key=offsets.__getitem__):
            placed = arrays[other]
            meets = array.first <= placed.last and placed.first <= array.last
            if meets and offsets[other] < offset + array.size:
                offset = max(offset, offsets[other] + placed.size)
        offsets[name] = offset
        end = max(end, offset + array.size)
    return offsets, end
