"""`ul2q test`: evaluate a trained net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import add_data_option, print_outputs

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands


def add_parser(commands: Commands) -> None:
    """Add `ul2q test`."""
    parser = commands.add_parser("test", help="evaluate a trained net")
    parser.set_defaults(command=run)
    parser.add_argument("net", metavar="NET", type=Path, help="a net with a data layer for TEST")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="its .caffemodel")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="batches (default: one pass over the LMDB)"
    )
    add_data_option(parser, "test_lmdb")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q test`."""
    from ul2q.evaluation import evaluate

    outputs = evaluate(
        arguments.net, arguments.weights, iterations=arguments.iterations, data=arguments.data
    )
    print_outputs("test", outputs)
