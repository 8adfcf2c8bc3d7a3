"""`ul2q test`: evaluate a trained net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_data_option,
    add_untrusted_option,
    print_outputs,
    print_table,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 40  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q test`."""
    parser = commands.add_parser("test", help="evaluate a trained net")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q test lenet/train_test_2bit.prototxt lenet_2bit_iter_1800.caffemodel",
        "ul2q test net.prototxt net.caffemodel --data data/mnist --iterations 10",
        "ul2q test net.prototxt net.caffemodel --confusion",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="a net with a data layer for TEST")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help=f"its .caffemodel{OR_RUN}")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="batches (default: one pass over the LMDB)"
    )
    parser.add_argument(
        "--classes", action="store_true", help="the accuracy of each class, and top-5"
    )
    parser.add_argument(
        "--confusion", action="store_true", help="which class images were taken for, too"
    )
    parser.add_argument(
        "--json", action="store_true", help="print all these numbers as JSON, and nothing else"
    )
    add_data_option(parser, "test_lmdb")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q test`."""
    import json

    from ul2q.evaluation import TOP, evaluate_net

    weights = weights_file(arguments.weights, tell=not arguments.json)
    with warnings_on_stderr():
        result = evaluate_net(
            arguments.net, weights, iterations=arguments.iterations, data=arguments.data
        )
    if arguments.json:
        print(json.dumps(result.as_json(), ensure_ascii=False))
        return
    if arguments.confusion:
        print_table(*result.confusion_table())
        print()
    if arguments.classes or arguments.confusion:
        print_table(*result.class_table())
        print()
        if result.top_accuracy is not None:
            print(f"test top-{TOP} accuracy: {result.top_accuracy:.4f}")
    print_outputs("test", result.outputs, last=result.metrics.accuracy)
