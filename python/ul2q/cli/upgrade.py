"""`ul2q upgrade`: nets and weights of 2013 and 2014 in today's format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import NET

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 52  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q upgrade`."""
    parser = commands.add_parser("upgrade", help="bring old nets and weights to today's format")
    parser.set_defaults(command=run)
    parser.description = (
        "Write nets with fields `layers` (2013/14) or `input`, and .caffemodels of those formats, "
        "as BVLC's upgrade_net_proto_text and upgrade_net_proto_binary do. A text's comments go."
    )
    parser.examples = (
        "ul2q upgrade deploy_2014.prototxt",
        "ul2q upgrade old/deploy.prototxt old/net.caffemodel -o new",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="a prototxt or a .caffemodel")
    parser.add_argument(
        "weights", metavar="WEIGHTS", type=Path, nargs="?", help="the net's .caffemodel"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="a folder, or with one file the new one (default: NAME_upgraded beside each)",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q upgrade`."""
    from ul2q.models.upgrade import upgrade_files

    files = [path for path in (arguments.net, arguments.weights) if path is not None]
    for row in upgrade_files(files, arguments.output, force=arguments.force):
        if row.output is None:
            print(f"{row.path} is in today's format; nothing is written")
        else:
            print(f"{row.path} -> {row.output}")
