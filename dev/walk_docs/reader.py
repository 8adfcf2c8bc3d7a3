"""A reader at work: a shell and a Python session for each page, in the folder of the clone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dev.walk_docs.belongings import bring
from dev.walk_docs.page import SHELL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.walk_docs.page import Block, Page

_END = "--- the end of this block:"
# What of our own environment a reader has, too: how much of the machine to take, and of its time.
_PASSED = ("OMP_NUM_THREADS", "UL2Q_MAX_ITER")
_LONGEST = 1800  # seconds that a command may take
# The environment is built already, so that `make train` need not build it once more.
_BEFORE = 'make() { command make -o build "$@"; }\n'


@dataclass
class Walk:
    """What came of a walk.

    Attributes:
        done: how many commands and blocks were run.
        failed: the places of those that failed.
        skipped: the place, the text and the reason of those that were not run.
    """

    done: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)


class Reader:
    """Goes through pages in a folder."""

    def __init__(self, clone: Path, environment: Path, home: Path) -> None:
        """Begin.

        Args:
            clone: a fresh clone, whose .venv is `environment`.
            environment: a Python environment that has ul2q.
            home: an empty folder.
        """
        self._clone = clone
        self._python = environment / "bin" / "python"
        self._variables = {
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in _PASSED if name in os.environ},
        }
        self.walk = Walk()

    def read(self, page: Page) -> None:
        """Do all blocks of a page; what fails is told, and the next block is done."""
        print(page.name, flush=True)
        variables = dict(self._variables)
        with ExitStack() as stack:
            shell = stack.enter_context(closing(_Session(["bash"], self._clone, variables)))
            shell.tell(_BEFORE)
            python: _Session | None = None
            for block in page.blocks:
                place = f"{page.name}:{block.line}"
                for name in block.bring:
                    bring(self._clone / name)
                for name, value in block.variables.items():
                    shell.tell(f"export {name}={value}\n")
                if block.skip:
                    self._skip(place, block.text.strip().splitlines()[0], block.skip.reason)
                elif block.file:
                    (self._clone / block.file).write_text(block.text, encoding="utf-8")
                elif block.language == SHELL:
                    self._do_commands(shell, block, place)
                elif block.language in ("python", "pycon", "prototxt"):
                    if python is None:
                        command = [str(self._python), "-W", "error", _SESSION]
                        python = _Session(command, self._clone, variables)
                        stack.enter_context(closing(python))
                    self._do(python, _request(block, place), place, f"{block.language} block")
        for name in page.made:
            if not (self._clone / name).exists():
                self._fail(f"{page.name}: `{name}`", "no command of the pages up to here makes it")

    def _do_commands(self, shell: _Session, block: Block, place: str) -> None:
        for command, skip in block.commands():
            if skip:
                self._skip(place, command, skip.reason)
            else:
                request = f"{{ {command}\n}} < /dev/null; printf '\\n%s %s\\n' '{_END}' $?\n"
                self._do(shell, request, place, command)

    def _do(self, session: _Session, request: str, place: str, what: str) -> None:
        began = time.monotonic()
        status, output = session.ask(request)
        self.walk.done += 1
        print(f"  {time.monotonic() - began:6.1f} s  {what}", flush=True)
        if status != 0:
            self._fail(f"{place}: {what}", f"exit status {status}\n{output}")

    def _fail(self, what: str, why: str) -> None:
        self.walk.failed.append(what)
        print(f"FAILED  {what}\n{why.rstrip()}", flush=True)

    def _skip(self, place: str, what: str, reason: str) -> None:
        self.walk.skipped.append((place, what, reason))


class _Session:
    """A process that does one request after the other, each told by a line of its output."""

    def __init__(self, command: Sequence[str], folder: Path, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def tell(self, request: str) -> None:
        """Have something done that puts out nothing."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(request)
        self._process.stdin.flush()

    def ask(self, request: str) -> tuple[int, str]:
        """Have something done: its exit status, and what it puts out."""
        assert self._process.stdout is not None  # noqa: S101
        killer = threading.Timer(_LONGEST, self._kill)
        killer.start()
        lines: list[str] = []
        try:
            self.tell(request)
            for line in self._process.stdout:
                if line.startswith(_END):
                    return int(line.removeprefix(_END)), "".join(lines)
                lines.append(line)
        except BrokenPipeError:
            pass
        finally:
            killer.cancel()
        return -1, "".join([*lines, f"the session ended, or took more than {_LONGEST} seconds\n"])

    def close(self) -> None:
        """End the process, and what it has left running."""
        self._kill()
        self._process.communicate()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


_SESSION = str(Path(__file__).with_name("python_session.py"))


def _request(block: Block, place: str) -> str:
    told = {"language": block.language, "text": block.text, "place": place, "end": _END}
    return f"{json.dumps(told)}\n"
