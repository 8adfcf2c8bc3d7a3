"""Paths as a caller may give them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

StrPath: TypeAlias = "str | os.PathLike[str]"
"""What a public function takes for a path; it makes a `pathlib.Path` of it."""


def as_paths(given: StrPath | Iterable[StrPath]) -> list[Path]:
    """The paths of an argument that takes one or several."""
    if isinstance(given, (str, os.PathLike)):
        return [Path(given)]
    return [Path(path) for path in given]
