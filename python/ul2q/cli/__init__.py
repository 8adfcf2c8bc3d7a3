"""The command `ul2q`: one file for each command, which calls the library and prints.

A command's file has `ORDER`, its place in `ul2q --help`; `add_parser(commands)`, which declares
its arguments; and `run(arguments)`. It imports what it needs in `run`, so that `ul2q --help` does
not wait for libcaffe. A new file is a new command.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import CommandParser, message_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

# The files of this folder that are no commands of `ul2q`.
_OTHERS = {"__init__", "caffe_tool", "common", "sweep_worker"}
# The variable by which Caffe refuses layers that run code or write files.
_UNTRUSTED = "UL2Q_UNTRUSTED"


@cache
def commands() -> tuple[ModuleType, ...]:
    """The modules of the commands, in the order of `ul2q --help`."""
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - _OTHERS
    modules = [import_module(f"{__name__}.{name}") for name in sorted(names)]
    return tuple(sorted(modules, key=lambda module: int(module.ORDER)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: done; 1: failed, with one line on stderr (a traceback too if the environment variable
    UL2Q_TRACEBACK is 1); 2: wrong usage; 130, 143 and 138: stopped by SIGINT, SIGTERM, SIGUSR1.
    """
    try:
        arguments = command_parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        with _nets_of_others(refused=getattr(arguments, "untrusted", False)):
            arguments.command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        print(f"ul2q: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 128 + getattr(interrupt, "signum", 2)
    except BrokenPipeError:  # who reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if os.environ.get("UL2Q_TRACEBACK") == "1" or not isinstance(error, _user_errors()):
            raise
        print(f"ul2q: error: {message_of(error)}", file=sys.stderr)
        return 1
    return 0


def command_parser() -> CommandParser:
    """The parser of `ul2q` with those of all commands."""
    parser = CommandParser(prog="ul2q", description="Train Caffe nets with low-bit weights (μL2Q).")
    parser.examples = (
        "ul2q nets --copy lenet",
        "ul2q data fashion-mnist",
        "ul2q train prototxt/lenet/solver_2bit.prototxt --data data/fashion-mnist --run runs/lenet",
        "ul2q COMMAND --help",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for command in commands():
        command.add_parser(parsers)
    return parser


@contextmanager
def _nets_of_others(*, refused: bool) -> Iterator[None]:
    """Within the block, here and in processes that it starts: what `--untrusted` says."""
    if not refused:
        yield
        return
    before = os.environ.pop(_UNTRUSTED, None)
    os.environ[_UNTRUSTED] = "1"
    try:
        yield
    finally:
        del os.environ[_UNTRUSTED]
        if before is not None:
            os.environ[_UNTRUSTED] = before


class _Version(argparse.Action):
    """`--version`, looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ul2q import __version__

        print(f"ul2q {__version__}")
        parser.exit()


def _user_errors() -> tuple[type[Exception], ...]:
    """The errors that a user can mend; Caffe's only if Caffe has been loaded."""
    from ul2q.errors import UserError

    caffe = sys.modules.get("caffe")
    return (UserError, OSError, *([caffe.CaffeError] if caffe else []))
