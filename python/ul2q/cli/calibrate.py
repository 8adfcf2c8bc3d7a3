"""`ul2q calibrate`: fit the scales of activations to what testing sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_data_option,
    print_table,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 55  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q calibrate`."""
    parser = commands.add_parser(
        "calibrate", help="fit the scales of a trained net's quantised activations"
    )
    parser.set_defaults(command=run)
    parser.description = (
        "Gather the averages of QuantizedActivation layers anew, from training images as testing "
        "sees them: without dropout, with the averages of BatchNorm. All else in WEIGHTS stays."
    )
    parser.examples = (
        "ul2q calibrate net_2bit_act8bit.prototxt float.caffemodel -o calibrated.caffemodel",
        "ul2q calibrate net.prototxt net.caffemodel --data data/mnist --images 5000",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="a net with a Data layer for TEST")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help=f"its .caffemodel{OR_RUN}")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="the new .caffemodel (default: beside WEIGHTS, WEIGHTS_calibrated.caffemodel)",
    )
    parser.add_argument(
        "--images",
        metavar="N",
        type=int,
        help="how many, rounded up to whole batches (default: 1000)",
    )
    add_data_option(parser, "train_lmdb")
    parser.add_argument("--force", action="store_true", help="replace OUT")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q calibrate`."""
    from ul2q.calibration import IMAGES, calibrate, default_output

    weights = weights_file(arguments.weights)
    output = arguments.output or default_output(weights)
    with warnings_on_stderr():
        averages = calibrate(
            arguments.net,
            weights,
            output,
            images=IMAGES if arguments.images is None else arguments.images,
            data=arguments.data,
            force=arguments.force,
        )
    print_table(
        ("layer", "scale", "shift", "scale before"),
        [
            (
                row.layer,
                f"{row.scale:.6g}",
                f"{row.shift:.6g}",
                "none" if row.old_scale is None else f"{row.old_scale:.6g}",
            )
            for row in averages
        ],
    )
    print(f"weights: {output}")
