"""`ul2q deploy-net`: the net without data, labels and losses."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    add_data_option,
    add_untrusted_option,
)

if TYPE_CHECKING:
    from ul2q.cli.common import Commands

ORDER = 55  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q deploy-net`."""
    parser = commands.add_parser("deploy-net", help="turn a trained net into one to deploy")
    parser.set_defaults(command=run)
    parser.description = (
        "Leave out what only training and testing need: data layers become an Input layer for one "
        "image, the loss its softmax, labels and accuracies go. Weights stay the same file."
    )
    parser.examples = (
        "ul2q deploy-net lenet/train_test_2bit.prototxt --shape 1x28x28",
        "ul2q deploy-net train_test.prototxt --data data/cifar10 -o deploy.prototxt",
    )
    parser.add_argument(
        "net", metavar="NET", type=NET, help="the prototxt of a net that trains and tests"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="(default: beside NET, deploy in the place of train_test in its name)",
    )
    parser.add_argument(
        "--shape",
        metavar="CxHxW",
        type=image_shape,
        help="of an image as the net sees it (default: that in test_lmdb)",
    )
    add_data_option(parser, "test_lmdb")
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q deploy-net`."""
    from ul2q.nets.deploy_file import write_deploy_net

    path = write_deploy_net(
        arguments.net,
        arguments.output,
        shape=arguments.shape,
        data=arguments.data,
        force=arguments.force,
    )
    print(f"net: {path}")


def image_shape(text: str) -> tuple[int, ...]:
    """The type of `--shape`: the numbers between the signs in "3x32x32"."""
    sizes = text.split("x")
    if len(sizes) == 3 and all(size.isdecimal() and int(size) for size in sizes):
        return tuple(map(int, sizes))
    raise argparse.ArgumentTypeError(f"{text!r} is not CHANNELSxHEIGHTxWIDTH, as 3x32x32")
