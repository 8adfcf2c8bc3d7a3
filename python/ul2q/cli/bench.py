"""`ul2q bench`: how long a net takes in integers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_untrusted_option,
    print_table,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 46  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q bench`."""
    parser = commands.add_parser("bench", help="time a trained net in integers")
    parser.set_defaults(command=run)
    parser.description = (
        "Call a net that was compiled to integers (ul2q.compile) with random inputs, one call "
        "after the other, and tell how long a call takes and how many items a second that is."
    )
    parser.examples = (
        "ul2q bench deploy_2bit.prototxt net.caffemodel",
        "ul2q bench deploy_2bit.prototxt net.caffemodel --batch 1,8,64 --threads 1",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="the net that is deployed")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help=f"its .caffemodel{OR_RUN}")
    parser.add_argument(
        "--batch",
        metavar="N,…",
        type=batch_sizes,
        default=[1, 100],
        help="items a call (default: 1,100)",
    )
    parser.add_argument(
        "--threads", metavar="N", type=int, default=0, help="default: as many as OpenMP has"
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        default=2.0,
        help="how long each batch size is timed (default: %(default)g)",
    )
    parser.add_argument(
        "--steps", action="store_true", help="tell what is computed and how long that takes, too"
    )
    add_untrusted_option(parser)


def batch_sizes(text: str) -> list[int]:
    """The type of `--batch`: whole numbers from 1 on, between commas."""
    sizes = [int(size) for size in text.split(",")]
    if min(sizes) < 1:
        raise ValueError(text)
    return sizes


def run(arguments: argparse.Namespace) -> None:
    """`ul2q bench`."""
    from ul2q.runtime import compile as compile_net
    from ul2q.runtime.timing import time_model, time_steps

    with warnings_on_stderr():
        model = compile_net(arguments.net, weights_file(arguments.weights))
    for batch in arguments.batch if arguments.steps else ():
        steps = time_steps(model, batch, threads=arguments.threads, seconds=arguments.seconds)
        print_table(
            [f"step, batch {batch}", "ms"], [[told, f"{1000 * t:.3f}"] for told, t in steps]
        )
        print()
    rows = []
    for batch in arguments.batch:
        timing = time_model(model, batch, threads=arguments.threads, seconds=arguments.seconds)
        times = (f"{1000 * t:.3f}" for t in (timing.median, timing.p90, timing.p99))
        rows.append([str(batch), *times, f"{timing.throughput:,.0f}", str(timing.calls)])
    print_table(["batch", "median ms", "90 % ms", "99 % ms", "items/s", "calls"], rows)
