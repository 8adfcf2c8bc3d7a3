"""The error of everything that leaves Caffe."""

from __future__ import annotations

from ul2q.errors import UserError


class DeployError(UserError, ValueError):
    """A net that cannot be lowered, or that a target cannot take; the message names the layer."""
