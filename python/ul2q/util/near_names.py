"""Near names for a word that is not known, for messages."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 3  # names that are offered


def near_names(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing if no known name is near."""
    return offered(nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are near, the nearest first; upper and lower case are one."""
    by_lower: dict[str, str] = {}
    for one in known:
        by_lower.setdefault(one.lower(), one)
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=_MOST, cutoff=0.6)
    return [by_lower[one] for one in near]


def offered(names: Iterable[str]) -> str:
    """`; did you mean …?` with these names, or nothing if there are none."""
    listed = " or ".join(map(repr, names))
    return f"; did you mean {listed}?" if listed else ""
