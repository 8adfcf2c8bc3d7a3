"""A live bar on a terminal, and times as people read them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from typing import TextIO


def terminal_bar(stream: TextIO, *, total: int, initial: int = 0, name: str | None = None) -> Any:
    """A tqdm bar that is as wide as the terminal, or 80 columns if the terminal does not know.

    Args:
        stream: the terminal.
        total: how much there is to do.
        initial: how much of it is done.
        name: what stands before the bar.
    """
    known = os.get_terminal_size(stream.fileno()).columns > 0
    width: dict[str, Any] = {"dynamic_ncols": True} if known else {"ncols": 80}
    return tqdm(total=total, initial=initial, desc=name, file=stream, **width)


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours, minutes and seconds, e.g. 3:07 or 1:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
