"""`ul2q methods`: list the quantisation methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 60  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q methods`."""
    parser = commands.add_parser("methods", help="list the quantisation methods")
    parser.set_defaults(command=run)
    parser.examples = ("ul2q methods",)


def run(_: argparse.Namespace) -> None:
    """`ul2q methods`."""
    from ul2q.nets.method_docs import methods_markdown

    print(methods_markdown())
