"""`ul2q inspect`: describe the weights of a trained net."""

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

ORDER = 70  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q inspect`."""
    parser = commands.add_parser("inspect", help="describe the weights of a trained net")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q inspect lenet.caffemodel",
        "ul2q inspect lenet.caffemodel --figure lenet.svg --bits 2 --csv lenet.csv",
    )
    parser.description = (
        "For each blob of a .caffemodel: shape, moments, the Kolmogorov-Smirnov distance to a "
        "normal distribution, and the squared error of μL2Q at 1 to 8 bits as a share of the "
        "variance. Then for each layer: bits a weight, size at those bits and as floats, and with "
        "--net the multiply-adds for one example. Of a packed .caffemodel, what its codes are and "
        "take."
    )
    parser.add_argument(
        "model", metavar="MODEL", type=Path, help=f"a .caffemodel of any Caffe's{OR_RUN}"
    )
    parser.add_argument(
        "--net",
        metavar="NET",
        type=NET,
        help="the net that computes with it, which says how it is quantised (default: as it was "
        "when it was saved) and what it costs",
    )
    parser.add_argument(
        "--figure",
        metavar="FILE",
        type=Path,
        help="draw normalised histograms of the weights against N(0, 1) there, .png or .svg",
    )
    parser.add_argument(
        "--bits", metavar="N", type=int, help="of quantised values in the figure (default: none)"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the table there, too")
    parser.add_argument("--force", action="store_true", help="replace what stands there")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q inspect`."""
    from ul2q.models.caffemodel import read_caffemodel
    from ul2q.models.inspection import inspect_model, model_table, size_and_cost, size_table
    from ul2q.models.packed import packed_blobs, packed_table

    model = weights_file(arguments.model)
    found = size_and_cost(model, arguments.net)
    rows = inspect_model(
        model,
        figure=arguments.figure,
        bits=arguments.bits,
        csv=arguments.csv,
        force=arguments.force,
    )
    print_table(*model_table(rows))
    print()
    print_table(*size_table(found))
    if packed := packed_blobs(read_caffemodel(model)):
        print()
        print_table(*packed_table(packed))
    for name, path in (("figure", arguments.figure), ("table", arguments.csv)):
        if path:
            print(f"{name}: {path}")
