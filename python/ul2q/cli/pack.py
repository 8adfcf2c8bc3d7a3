"""`ul2q pack`: a trained net's weights at their true size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_untrusted_option,
    print_table,
    weights_file,
)

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 58  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q pack`."""
    parser = commands.add_parser("pack", help="store trained weights at their few bits")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q pack lenet/deploy_2bit.prototxt lenet.caffemodel -o lenet.packed.caffemodel",
        "ul2q pack lenet/deploy_2bit.prototxt runs/lenet-2bit --compress -o packed.caffemodel",
    )
    parser.description = (
        "Write a .caffemodel whose quantised weights are codes of a few bits with the layers' "
        "scales and shifts. What takes a .caffemodel here takes it, and nets compute with it what "
        "they compute with WEIGHTS, bit for bit. Another Caffe refuses it; `ul2q unpack` makes "
        "floats of it."
    )
    parser.add_argument("net", metavar="NET", type=NET, help="the prototxt to deploy")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="its .caffemodel" + OR_RUN)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.add_argument(
        "--compress", action="store_true", help="compress codes by zlib where that saves 3 percent"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q pack`."""
    from ul2q.deploy.packing import pack
    from ul2q.models.packed import packed_table
    from ul2q.util.console import print_warning

    found = pack(
        arguments.net,
        weights_file(arguments.weights),
        arguments.output,
        compress=arguments.compress,
        force=arguments.force,
    )
    for name in found.left_float:
        print_warning(
            f"{name} stays float: its weights are shared by layers that quantise them otherwise, "
            "or their levels overflow"
        )
    print_table(*packed_table(found.blobs))
    print(f"size: {len(found.content):,} bytes")
    print(f"file: {arguments.output}")
