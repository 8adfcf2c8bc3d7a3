"""`ul2q train`: run a solver."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    OR_RUN,
    SOLVER,
    add_data_option,
    add_untrusted_option,
    print_outputs,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ul2q.cli.common import Commands
    from ul2q.training import TrainResult

ORDER = 20  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q train`."""
    parser = commands.add_parser("train", help="run a solver")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q train lenet/solver_2bit.prototxt --data data/fashion-mnist --run runs/lenet",
        "ul2q train lenet/solver_2bit.prototxt --run runs/lenet --resume",
        "ul2q train solver.prototxt --weights float.caffemodel --epochs 10 --set base_lr=0.0001",
        "ul2q train cifarnet/solver_2bit.prototxt --weights runs/float --run runs/2bit",
    )
    parser.add_argument("solver", metavar="SOLVER", type=SOLVER, help="the solver's prototxt")
    parser.add_argument(
        "--weights",
        metavar="F",
        type=weights_files,
        action="extend",
        default=[],
        help=f"begin from this .caffemodel{OR_RUN}; may be given again, or as F,F",
    )
    parser.add_argument("--snapshot", metavar="F", type=Path, help="go on from this .solverstate")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest intact snapshot in --run DIR; begin if there is none",
    )
    parser.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        help="write log.csv, the snapshots and the solver as it was run there (default: snapshots "
        "only, where the solver's snapshot_prefix says)",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a field of the solver, as base_lr=0.02 or stepvalue=100,200; may be given "
        "again",
    )
    parser.add_argument(
        "--epochs", metavar="N", type=int, help="passes over the training data, for max_iter"
    )
    parser.add_argument(
        "--keep",
        metavar="N",
        type=int,
        default=2,
        help="how many snapshots of this run stay, 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="keep the weights of the best test, too, as <snapshot_prefix>_best.caffemodel",
    )
    parser.add_argument(
        "--patience",
        metavar="N",
        type=int,
        help="stop after N tests in a row that are no better than the best; keeps its weights as "
        "--best does",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the log's numbers into --run DIR for TensorBoard, too (needs tensorboardX)",
    )
    parser.add_argument(
        "--compress",
        choices=("bf16", "ul2q"),
        help="under mpiexec: send gradients as bfloat16, or as codes of the μL2Q quantizer",
    )
    parser.add_argument(
        "--bits",
        metavar="B",
        type=int,
        help="of a code of --compress ul2q: 2, 4 or 8 (default: 8)",
    )
    add_data_option(parser, "train_lmdb and test_lmdb")
    add_untrusted_option(parser)


def weights_files(text: str) -> list[Path]:
    """The type of `--weights`: a file, or several with commas between them as for `caffe train`."""
    if Path(text).exists():
        return [Path(text)]
    return [Path(part.strip()) for part in text.split(",")]


def run(arguments: argparse.Namespace) -> None:
    """`ul2q train`."""
    from ul2q.distributed.launcher import under_mpi

    if under_mpi():
        train = _train_of_ranks(arguments.compress, arguments.bits)
    else:
        train = _train_alone(arguments.compress, arguments.bits)

    from ul2q.training.progress import Lines, reporter

    with warnings_on_stderr():
        result = train(
            arguments.solver,
            weights=[weights_file(path) for path in arguments.weights],
            snapshot=arguments.snapshot,
            resume=arguments.resume,
            run=arguments.run,
            data=arguments.data,
            settings=arguments.settings,
            epochs=arguments.epochs,
            keep=arguments.keep,
            best=arguments.best,
            patience=arguments.patience,
            tensorboard=arguments.tensorboard,
            # mpiexec's end of rank 0's output may be a terminal that nobody sees.
            progress=Lines(sys.stdout) if under_mpi() else reporter(sys.stdout),
        )
    if result is None:  # rank 0 tells
        return
    if result.finished:
        print(f"finished already: {result.iterations} iterations")
    if result.stopped_early:
        print(f"stopped early, after iteration {result.iterations}: {result.stopped_early}")
    for name, path in (
        ("snapshot", result.snapshot),
        ("weights", result.weights),
        ("log", result.log),
        ("data", ", ".join(map(str, result.data))),
    ):
        if path:
            print(f"{name}: {path}")
    if result.best:
        value = f"{result.best.output} {result.best.value:.4f}"
        print(f"best: {result.best_weights} ({value} after iteration {result.best.iteration})")
    for name, outputs in result.shown_tests():
        print_outputs(name, outputs)


def _train_alone(compress: str | None, bits: int | None) -> Callable[..., TrainResult | None]:
    from ul2q.training import TrainingError, train

    if compress is not None or bits is not None:
        raise TrainingError(
            "--compress and --bits are for several ranks, which send each other gradients: begin "
            "the command with mpiexec -n N"
        )
    return train


def _train_of_ranks(compress: str | None, bits: int | None) -> Callable[..., TrainResult | None]:
    """What trains with the other processes that mpiexec has started.

    The threads are chosen before libcaffe is loaded, which asks for their number once.
    """
    from ul2q.distributed.placement import place_ranks
    from ul2q.distributed.world import World

    world = World.connect()
    places = place_ranks(world)

    from ul2q.distributed.train import train

    return partial(train, world=world, places=places, compress=compress, bits=bits)
