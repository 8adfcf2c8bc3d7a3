"""`ul2q unpack`: a packed caffemodel as floats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 59  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q unpack`."""
    parser = commands.add_parser("unpack", help="turn packed weights into floats")
    parser.set_defaults(command=run)
    parser.examples = ("ul2q unpack lenet.packed.caffemodel -o lenet.caffemodel",)
    parser.description = (
        "Write a packed .caffemodel with the float values that its codes stand for, which any "
        "Caffe reads. The codes stay beside them, and other Caffes skip them: quantised layers "
        "here go on computing with them."
    )
    parser.add_argument("packed", metavar="FILE", type=Path, help="of `ul2q pack`")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.add_argument("--force", action="store_true", help="replace the output")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q unpack`."""
    from ul2q.models.packed import unpack

    unpack(arguments.packed, arguments.output, force=arguments.force)
    print(f"file: {arguments.output}")
