"""What Linux says of the processor."""

from __future__ import annotations

from pathlib import Path


def instruction_sets() -> set[str]:
    """Those of the first processor, by Linux's names; none where /proc says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()
