"""What cannot be calibrated."""

from __future__ import annotations

from ul2q.errors import UserError


class CalibrationError(UserError, ValueError):
    """A net, images or options that calibration cannot use as they stand."""
