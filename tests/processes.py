"""The commands `ul2q` and `caffe`, and Python code, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UL2Q = (sys.executable, "-c", "import sys; from ul2q.cli import main; sys.exit(main())")
CAFFE = (sys.executable, "-c", "from ul2q.cli.caffe_tool import main; main()")


def run_process(
    *command: object,
    cwd: Path | None = None,
    timeout: float = 120,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Run a command in our environment without glog's variables, but with `environment`."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("GLOG_")}
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=quiet | dict(environment),
    )


def run_python(
    *arguments: object, cwd: Path | None = None, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments`, as in `run_python("-c", code)`."""
    return run_process(
        sys.executable, *arguments, cwd=cwd, timeout=timeout, environment=environment
    )


def run_caffe(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run BVLC's tool, `caffe`."""
    return run_process(*CAFFE, *arguments, cwd=cwd)
