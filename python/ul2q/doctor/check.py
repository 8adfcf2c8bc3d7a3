"""What a check of the installation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GIB = 2**30

Status = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        name: of what was checked.
        status: "ok", "warning" or "failure".
        found: what there is.
        remedy: what to do, where the status is not "ok".
    """

    name: str
    status: Status
    found: str
    remedy: str = ""
