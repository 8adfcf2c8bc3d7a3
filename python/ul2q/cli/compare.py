"""`ul2q compare`: in what two runs differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import print_table

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 95  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q compare`."""
    parser = commands.add_parser("compare", help="say in what two runs differ")
    parser.set_defaults(command=run)
    parser.examples = ("ul2q compare runs/lenet-float runs/lenet-2bit",)
    parser.description = (
        "Print in what the second run differs from the first: what they reached, the solver's "
        "fields, the layers of the nets, data, weights to begin from, versions and machine."
    )
    for name, text in (("first", "the folder of a run"), ("second", "that of another")):
        parser.add_argument(name, metavar="RUN", type=Path, help=text)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q compare`."""
    from ul2q.runs.comparison import compare_runs
    from ul2q.util.differences import shown

    found = compare_runs(arguments.first, arguments.second)
    if not found:
        print("no differences")
        return
    rows = [
        (one.name, *("" if value is None else shown(value) for value in (one.old, one.new)))
        for one in found
    ]
    print_table(("", str(arguments.first), str(arguments.second)), rows)
