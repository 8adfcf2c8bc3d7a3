"""The error of predictions that cannot be made."""

from __future__ import annotations

from ul2q.errors import UserError


class PredictionError(UserError, ValueError):
    """A net, its preprocessing or its images cannot be used; the message says what would help."""
