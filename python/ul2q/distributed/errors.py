"""What keeps ranks from training together."""

from __future__ import annotations

from ul2q.errors import UserError


class RanksError(UserError, RuntimeError):
    """Ranks that cannot begin or go on together."""
