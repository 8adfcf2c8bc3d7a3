"""What a report cannot be made of."""

from __future__ import annotations

from ul2q.errors import UserError


class ReportError(UserError, ValueError):
    """Folders without runs, or an output that is no page."""
