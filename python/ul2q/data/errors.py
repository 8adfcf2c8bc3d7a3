"""The error that refuses bad input data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED = 4  # how many names a message lists


class DataError(UserError, ValueError):
    """Input data or an output folder that cannot be used; the message names the file or folder."""


def first_names(names: Sequence[str]) -> str:
    """The names for a message; of many, the first ones and a sign that there are more."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
