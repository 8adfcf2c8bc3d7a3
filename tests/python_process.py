"""Python code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in our environment without glog's variables, but with `environment`."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("GLOG_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=quiet | environment,
    )
