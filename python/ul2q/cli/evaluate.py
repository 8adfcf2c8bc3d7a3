"""`ul2q test`: evaluate a trained net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    add_data_option,
    print_outputs,
    print_table,
    prototxt,
    warnings_on_stderr,
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
    parser.add_argument(
        "net", metavar="NET", type=prototxt, help="a net with a data layer for TEST"
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        type=Path,
        help="its .caffemodel; or the folder of a run, for those of its best test, else the newest",
    )
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


def run(arguments: argparse.Namespace) -> None:
    """`ul2q test`."""
    import json

    from ul2q.data.data_folder import read_data_folder
    from ul2q.evaluation import TOP, EvaluationError, evaluate_net
    from ul2q.runs.weights import weights_of_run

    weights = arguments.weights
    if weights.is_dir():
        chosen = weights_of_run(weights)
        weights = chosen.path
        print(f"weights: {weights} ({chosen.reason})")
    with warnings_on_stderr():
        result = evaluate_net(
            arguments.net, weights, iterations=arguments.iterations, data=arguments.data
        )
    names: tuple[str, ...] = ()
    if result.data and (arguments.json or arguments.classes or arguments.confusion):
        folder = read_data_folder(result.data[0].parent)
        names = folder.classes if folder else ()
    if arguments.json:
        print(json.dumps(result.as_json(names), ensure_ascii=False))
        return
    counts = result.counts
    if counts is None and (arguments.classes or arguments.confusion):
        raise EvaluationError(
            f"{arguments.net} has no Accuracy layer, which knows scores and labels"
        )
    if counts is not None and (arguments.classes or arguments.confusion):
        labels = result.class_names(names)
        totals = counts.confusion.sum(axis=1).tolist()
        if arguments.confusion:
            matrix = counts.confusion.tolist()
            print_table(
                ("taken for:", *labels),
                [(name, *row) for name, row in zip(labels, matrix, strict=True)],
            )
            print()
        shares = ["" if one is None else f"{one:.4f}" for one in counts.class_accuracies()]
        print_table(("class", "images", "accuracy"), list(zip(labels, totals, shares, strict=True)))
        print()
        if len(labels) > TOP:
            print(f"test top-{TOP} accuracy: {counts.accuracy(TOP):.4f}")
    print_outputs("test", result.outputs, last=result.metrics.accuracy)
