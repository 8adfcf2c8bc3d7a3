"""`ul2q test`: evaluate a trained net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import add_data_option, print_outputs, warnings_on_stderr

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 40  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q test`."""
    parser = commands.add_parser("test", help="evaluate a trained net")
    parser.set_defaults(command=run)
    parser.add_argument("net", metavar="NET", type=Path, help="a net with a data layer for TEST")
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        type=Path,
        help="its .caffemodel; or the folder of a run, for those of its best test, else the newest",
    )
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="batches (default: one pass over the LMDB)"
    )
    add_data_option(parser, "test_lmdb")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q test`."""
    from caffe.proto import caffe_pb2

    from ul2q.evaluation import evaluate
    from ul2q.nets.data_layers import net_state
    from ul2q.nets.metrics import net_metrics
    from ul2q.nets.prototxt import read_net
    from ul2q.runs.weights import weights_of_run

    weights = arguments.weights
    if weights.is_dir():
        chosen = weights_of_run(weights)
        weights = chosen.path
        print(f"weights: {weights} ({chosen.reason})")
    with warnings_on_stderr():
        outputs = evaluate(
            arguments.net, weights, iterations=arguments.iterations, data=arguments.data
        )
    net = read_net(arguments.net)
    metrics = net_metrics(net, net_state(net, caffe_pb2.TEST))
    print_outputs("test", outputs, last=metrics.accuracy)
