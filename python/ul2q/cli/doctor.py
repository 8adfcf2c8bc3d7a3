"""`ul2q doctor`: whether the installation works on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import print_table
from ul2q.errors import UserError

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 130  # in `ul2q --help`


class InstallationError(UserError):
    """Something that should work on every machine does not on this one."""


def add_parser(commands: Commands) -> None:
    """Add `ul2q doctor`."""
    parser = commands.add_parser("doctor", help="check the installation, and say what to do")
    parser.set_defaults(command=run)
    parser.examples = ("ul2q doctor", "ul2q doctor --json")
    parser.description = (
        "Check what ul2q computes with (libraries, instruction sets, threads, GPU) and whether "
        "data and weights can be written here. Warnings are about speed or optional packages. The "
        "exit status is 1 if something fails."
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        nargs="?",
        default=Path(),
        help="where data and runs are to go (default: the working folder)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q doctor`."""
    from ul2q.doctor import examine

    checks = examine(arguments.folder)
    if arguments.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        rows = [(check.name, check.status, check.found) for check in checks]
        print_table(("", "", "found"), rows)
        for check in checks:
            if check.status != "ok":
                print(f"{check.name}: {check.remedy}")
    failed = [check.name for check in checks if check.status == "failure"]
    if failed:
        raise InstallationError(f"these checks failed: {', '.join(failed)}")
