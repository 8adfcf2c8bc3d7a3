"""`ul2q simulate`: compare the methods on simulated data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import options_of, print_table, weights_file

if TYPE_CHECKING:
    from ul2q.cli.common import Commands

ORDER = 80  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q simulate`."""
    parser = commands.add_parser("simulate", help="compare the methods on simulated data")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q simulate",
        "ul2q simulate --methods ul2q fixed_point --bits 2 3 4 --data normal -o simulation",
        "ul2q simulate --data lenet.caffemodel:conv2 --no-figures",
    )
    parser.description = (
        "The squared error of each method at each width on each of the data, and the step λ of "
        "least error for N(0, 1) beside the paper's Table I. Methods of one width are run at it."
    )
    # An option that is not given has the default of Simulation.
    for option, kind, count, metavar, text in (
        ("--methods", str, "+", "NAME", "(default: ul2q fixed_point binary ternary)"),
        ("--bits", int, "+", "N", "(default: 1 2 4 8)"),
        (
            "--data",
            str,
            "+",
            "DATA",
            "normal, laplace, uniform (the default: all three), MODEL.caffemodel:LAYER, or "
            "RUN:LAYER of a run's folder",
        ),
        ("--mean", float, None, "X", "of the distributions (default: 9)"),
        ("--sigma", float, None, "X", "their standard deviation (default: 6)"),
        ("--samples", int, None, "N", "of each distribution (default: 1000000)"),
        ("--seed", int, None, "N", "(default: 1)"),
    ):
        parser.add_argument(
            option, nargs=count, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text
        )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="write the tables there, and staircases.png and .svg (quantised value against value)",
    )
    parser.add_argument(
        "--no-figures", action="store_true", help="tables only, which need no matplotlib"
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q simulate`."""
    from ul2q.simulation import Simulation, run
    from ul2q.simulation.tables import loss_table, step_table

    if "data" in arguments:
        arguments.data = [_data(text) for text in arguments.data]
    options = options_of(Simulation, arguments)
    result = run(options, arguments.output, figures=not arguments.no_figures, force=arguments.force)
    print_table(*loss_table(result.outcomes))
    print()
    print_table(*step_table(result.steps))
    for path in result.paths:
        print(f"written: {path}")


def _data(text: str) -> str:
    """What `--data` names, with a run's folder replaced by its weights."""
    model, colon, layer = text.rpartition(":")
    return f"{weights_file(Path(model))}:{layer}" if colon and Path(model).is_dir() else text
