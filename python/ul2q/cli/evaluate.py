"""`ul2q test`: evaluate a trained net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import add_data_option, print_outputs, prototxt, warnings_on_stderr

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
    )
    parser.add_argument(
        "net", metavar="NET", type=prototxt, help="a net with a data layer for TEST"
    )
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="its .caffemodel")
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

    with warnings_on_stderr():
        outputs = evaluate(
            arguments.net, arguments.weights, iterations=arguments.iterations, data=arguments.data
        )
    net = read_net(arguments.net)
    metrics = net_metrics(net, net_state(net, caffe_pb2.TEST))
    print_outputs("test", outputs, last=metrics.accuracy)
