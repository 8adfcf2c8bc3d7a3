"""`python -m ul2q`, for where the command `ul2q` is not on the path."""

from __future__ import annotations

import sys

from ul2q.cli import main

if __name__ == "__main__":
    sys.exit(main())
