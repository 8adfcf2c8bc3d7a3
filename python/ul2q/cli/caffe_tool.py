"""The command `caffe`: BVLC's own tool, which knows ul2q's layers too."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Become the tool, with this process's arguments."""
    tool = Path(__file__).parents[1] / "bin" / "caffe"
    os.execv(tool, ["caffe", *sys.argv[1:]])  # noqa: S606 - our own binary, no shell wanted
