"""Programs that are timed against each other, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Contestant:
    """A process that times a net: see worker.py."""

    name: str
    python: Path
    script: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class Worker:
    """A running contestant."""

    def __init__(self, contestant: Contestant, net: str, threads: int) -> None:
        """Start it on a net."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")
        }
        environment |= {"OMP_NUM_THREADS": str(threads), **contestant.environment}
        self._process = subprocess.Popen(
            [contestant.python, HERE / contestant.script, net, *contestant.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, command: str) -> float:
        """The number that answers a command."""
        assert self._process.stdin
        assert self._process.stdout
        print(command, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args!r} ended at {command!r}")
        return float(answer)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
