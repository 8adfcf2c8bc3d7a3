"""What every command says in the same way."""

from __future__ import annotations

import sys

WARNING = "ul2q: warning: "


def print_warning(message: str) -> None:
    """Print a warning to stderr."""
    print(f"{WARNING}{message}", file=sys.stderr, flush=True)
