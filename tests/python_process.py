"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def run_python(
    *arguments: object, cwd: Path | None = None, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments`, as in `run_python("-c", code)`, for `timeout` seconds.

    It runs in our environment without glog's variables, but with those of `environment`.
    """
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("GLOG_")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=quiet | environment,
    )


def run_caffe_tool(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command `caffe` with `arguments`, installed or not."""
    code = "from ul2q.caffe_tool import main; main()"
    return run_python("-c", code, *arguments, cwd=cwd, timeout=120)
