"""The command `ul2q`: one function a command, each a call of the library and some printing."""

# Each command imports what it needs, so that `ul2q --help` does not wait for libcaffe.
# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ul2q.data import Dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: done; 1: failed, with one line on stderr (a traceback too if the environment variable
    UL2Q_TRACEBACK is 1); 2: wrong usage; 130 and 143: stopped by SIGINT, SIGTERM.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        arguments.command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        print(f"ul2q: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 128 + getattr(interrupt, "signum", 2)
    except BrokenPipeError:  # who reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if os.environ.get("UL2Q_TRACEBACK") == "1" or not isinstance(error, _user_errors()):
            raise
        print(f"ul2q: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def data_fashion_mnist(arguments: argparse.Namespace) -> None:
    """`ul2q data fashion-mnist`."""
    from ul2q.data import import_fashion_mnist
    from ul2q.progress import import_progress

    source = {"source": arguments.source} if arguments.source else {}
    dataset = import_fashion_mnist(
        arguments.output, force=arguments.force, progress=import_progress(sys.stdout), **source
    )
    _print_dataset(dataset)


def data_cifar10(arguments: argparse.Namespace) -> None:
    """`ul2q data cifar10`."""
    from ul2q.data import import_cifar10
    from ul2q.progress import import_progress

    dataset = import_cifar10(
        arguments.source,
        arguments.output,
        limit=arguments.limit,
        seed=arguments.seed,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_image_set(dataset)


def data_folder(arguments: argparse.Namespace) -> None:
    """`ul2q data folder`."""
    from ul2q.data import import_folder
    from ul2q.progress import import_progress

    dataset = import_folder(
        arguments.train,
        arguments.test,
        arguments.output,
        size=arguments.size,
        limit=arguments.limit,
        seed=arguments.seed,
        skip_bad=arguments.skip_bad,
        jobs=arguments.jobs,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_image_set(dataset)


def data_imagenet(arguments: argparse.Namespace) -> None:
    """`ul2q data imagenet`."""
    from ul2q.data import Resize, import_imagenet
    from ul2q.progress import import_progress

    height, width = arguments.size
    dataset = import_imagenet(
        arguments.train,
        arguments.val,
        arguments.val_labels,
        arguments.output,
        resize=Resize(height, width, arguments.resize),
        limit=arguments.limit,
        seed=arguments.seed,
        skip_bad=arguments.skip_bad,
        jobs=arguments.jobs,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_image_set(dataset)


def data_mnist(arguments: argparse.Namespace) -> None:
    """`ul2q data mnist`."""
    from ul2q.data import import_mnist
    from ul2q.progress import import_progress

    dataset = import_mnist(
        arguments.source,
        arguments.output,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_dataset(dataset)


def train(arguments: argparse.Namespace) -> None:
    """`ul2q train`."""
    from ul2q.progress import reporter
    from ul2q.training import train

    result = train(
        arguments.solver,
        weights=arguments.weights,
        snapshot=arguments.snapshot,
        run=arguments.run,
        data=arguments.data,
        progress=reporter(sys.stdout),
    )
    for name, path in (
        ("snapshot", result.snapshot),
        ("weights", result.weights),
        ("log", result.log),
        ("data", ", ".join(map(str, result.data))),
    ):
        if path:
            print(f"{name}: {path}")
    if result.tested_at not in (None, result.iterations):
        print(f"last test: after iteration {result.tested_at} of {result.iterations}")
    for i, outputs in reversed(list(enumerate(result.test))):
        _print_outputs("test" if i == 0 else f"test{i}", outputs, accuracy_alone=i == 0)


def test(arguments: argparse.Namespace) -> None:
    """`ul2q test`."""
    from ul2q.evaluation import evaluate

    outputs = evaluate(
        arguments.net, arguments.weights, iterations=arguments.iterations, data=arguments.data
    )
    _print_outputs("test", outputs)


def import_fork(arguments: argparse.Namespace) -> None:
    """`ul2q import-fork`."""
    from ul2q.fork import import_files

    imported = import_files(
        arguments.net,
        arguments.weights,
        output=arguments.output,
        force=arguments.force,
        ulq_activations=arguments.ulq_activations,
    )
    for warning in imported.net.warnings:
        print(f"ul2q: warning: {warning}", file=sys.stderr)
    _print_table(
        ("layer", "type", "weight", "bias", "activations"),
        [
            (row.name, row.type, row.weight, row.bias, ", ".join(map(_or_float, row.activations)))
            for row in imported.net.rows
        ],
    )
    print(f"net: {imported.net_path}")
    if imported.weights and imported.weights_path:
        saved = imported.weights.saved_bytes
        print(f"weights: {imported.weights_path} ({saved:,} bytes smaller)")


def quantize(arguments: argparse.Namespace) -> None:
    """`ul2q quantize`."""
    from dataclasses import fields

    from ul2q.net_quantization import NetQuantization
    from ul2q.net_rewriter import default_output, quantize_net
    from ul2q.output_file import write_file

    arguments.layers = dict(arguments.layers)
    known = {field.name for field in fields(NetQuantization)}
    options = NetQuantization(**{k: v for k, v in vars(arguments).items() if k in known})
    result = quantize_net(arguments.net, options)
    output = arguments.output or default_output(arguments.net, options)
    write_file(output, result.text.encode(), force=arguments.force)
    _print_table(
        ("layer", "type", "bits", "method"),
        [
            (row.name, row.new_type, row.bits, ", ".join(filter(None, (row.method, row.note))))
            for row in result.rows
        ],
    )
    print(f"net: {output}")


def methods(_: argparse.Namespace) -> None:
    """`ul2q methods`."""
    from ul2q.method_docs import methods_markdown

    print(methods_markdown())


def inspect(arguments: argparse.Namespace) -> None:
    """`ul2q inspect`."""
    from ul2q.inspect_model import inspect_model, model_table

    rows = inspect_model(
        arguments.model,
        figure=arguments.figure,
        bits=arguments.bits,
        csv=arguments.csv,
        force=arguments.force,
    )
    _print_table(*model_table(rows))
    for name, path in (("figure", arguments.figure), ("table", arguments.csv)):
        if path:
            print(f"{name}: {path}")


def simulate(arguments: argparse.Namespace) -> None:
    """`ul2q simulate`."""
    from dataclasses import fields

    from ul2q.simulate import Simulation, loss_table, run, step_table

    known = {field.name for field in fields(Simulation)}
    options = Simulation(**{k: v for k, v in vars(arguments).items() if k in known})
    result = run(options, arguments.output, figures=not arguments.no_figures, force=arguments.force)
    _print_table(*loss_table(result.outcomes))
    print()
    _print_table(*step_table(result.steps))
    for path in result.paths:
        print(f"written: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ul2q", description="Train Caffe nets with low-bit weights (μL2Q)."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_data(commands.add_parser("data", help="turn a data set into LMDBs"))
    _add_train(commands.add_parser("train", help="run a solver"))
    _add_test(commands.add_parser("test", help="evaluate a trained net"))
    _add_quantize(commands.add_parser("quantize", help="turn a float net into a quantised one"))
    commands.add_parser("methods", help="list the quantisation methods").set_defaults(
        command=methods
    )
    _add_inspect(commands.add_parser("inspect", help="describe the weights of a trained net"))
    _add_simulate(commands.add_parser("simulate", help="compare the methods on simulated data"))
    _add_import_fork(
        commands.add_parser("import-fork", help="take over a net of the fork Quantization-caffe")
    )
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    sets = parser.add_subparsers(required=True, metavar="SET")
    fashion = sets.add_parser("fashion-mnist", help="28×28 images of clothes, 10 classes")
    fashion.set_defaults(command=data_fashion_mnist)
    digits = sets.add_parser("mnist", help="28×28 images of digits, 10 classes")
    digits.set_defaults(command=data_mnist)
    for name, command in (("fashion-mnist", fashion), ("mnist", digits)):
        command.add_argument(
            "-o",
            "--output",
            metavar="DIR",
            type=Path,
            default=Path("data") / name,
            help="the folder for train_lmdb and test_lmdb (default: %(default)s)",
        )
        command.add_argument(
            "--from",
            dest="source",
            metavar="DIR",
            type=Path,
            required=command is digits,
            help="the folder with the four IDX files, gzipped or not",
        )
        command.add_argument("--force", action="store_true", help="replace what stands there")
    _add_cifar10(sets.add_parser("cifar10", help="32×32 colour images, 10 classes"))
    _add_folder(sets.add_parser("folder", help="images sorted into a folder for each class"))
    _add_imagenet(sets.add_parser("imagenet", help="ILSVRC2012 in its usual layout"))


def _add_cifar10(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=data_cifar10)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        type=Path,
        required=True,
        help="cifar-10-python.tar.gz, cifar-10-binary.tar.gz, or the folder it was unpacked to",
    )
    _add_image_set(parser, "cifar10")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=data_folder)
    parser.description = "Import DIR/CLASS/IMAGE; the classes' names, sorted, are labelled 0, 1, …"
    for part, what in (
        ("train", "the training set"),
        ("test", "the test set, of the same classes"),
    ):
        parser.add_argument(f"--{part}", metavar="DIR", type=Path, required=True, help=what)
    parser.add_argument(
        "--size",
        metavar="HxW",
        type=_size,
        help="stretch the images (default: all have one size already)",
    )
    _add_image_set(parser, "folder")
    _add_decoding(parser)


def _add_imagenet(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=data_imagenet)
    parser.add_argument("--train", metavar="DIR", type=Path, required=True, help="DIR/SYNSET/IMAGE")
    parser.add_argument("--val", metavar="DIR", type=Path, required=True, help="DIR/IMAGE")
    parser.add_argument(
        "--val-labels",
        metavar="F",
        type=Path,
        required=True,
        help="a label or synset a line, the images sorted by name; or lines of IMAGE LABEL",
    )
    parser.add_argument(
        "--size", metavar="HxW", type=_size, default=(256, 256), help="(default: 256x256)"
    )
    parser.add_argument(
        "--resize",
        choices=("stretch", "crop"),
        default="stretch",
        help="stretch (default), or scale until the size is covered and cut out the middle",
    )
    _add_image_set(parser, "imagenet")
    _add_decoding(parser)


def _add_image_set(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("data") / name,
        help="the folder for the LMDBs, the means and the class names (default: %(default)s)",
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, help="N images of each set, the classes in turn"
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=int,
        default=0,
        help="of the training set's order (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def _add_decoding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip-bad", action="store_true", help="leave damaged images out")
    parser.add_argument(
        "--jobs", metavar="N", type=int, help="processes that decode (default: one a processor)"
    )


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    height, _, width = text.partition("x")
    if height.isdecimal() and width.isdecimal() and int(height) and int(width):
        return int(height), int(width)
    raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH in pixels, as 256x256")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=train)
    parser.add_argument("solver", metavar="SOLVER", type=Path, help="the solver's prototxt")
    parser.add_argument(
        "--weights",
        metavar="F",
        type=Path,
        action="append",
        default=[],
        help="begin from the weights in this .caffemodel; may be given again",
    )
    parser.add_argument("--snapshot", metavar="F", type=Path, help="go on from this .solverstate")
    parser.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        help="write log.csv and the snapshots there (default: snapshots only, where the solver's "
        "snapshot_prefix says)",
    )
    _add_data_option(parser, "train_lmdb and test_lmdb")


def _add_test(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=test)
    parser.add_argument("net", metavar="NET", type=Path, help="a net with a data layer for TEST")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="its .caffemodel")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="batches (default: one pass over the LMDB)"
    )
    _add_data_option(parser, "test_lmdb")


def _add_import_fork(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=import_fork)
    parser.add_argument("net", metavar="NET", type=Path, help="a net's prototxt for the fork")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, nargs="?", help="its .caffemodel")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="a folder, or the new prototxt, which the new .caffemodel goes beside "
        "(default: NAME_ul2q beside NET and WEIGHTS)",
    )
    parser.add_argument(
        "--ulq-activations",
        action="store_true",
        help="quantise the activations of the method ULQ, too, which the fork left float",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def _add_quantize(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=quantize)
    parser.description = (
        "Give Convolution, Deconvolution, InnerProduct, Embed, LSTM and RNN layers their quantised "
        "type and a quantization_param. All else in the prototxt stays, comments too."
    )
    parser.add_argument("net", metavar="NET", type=Path, help="the float net's prototxt")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="(default: beside NET, NET_2bit.prototxt)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT")
    # What is not given is not there: the defaults are those of NetQuantization.
    for option, kind, text in (
        ("--weight-bits", int, "1 to 16; of ternary_quantized, bits of the scale"),
        ("--bias-bits", int, "(default: biases stay float)"),
        ("--first-bits", int, "of the first layer with weights"),
        ("--last-bits", int, "of the last layer with weights"),
        (
            "--method",
            str,
            "ul2q (default), binary, ternary, ternary_quantized, fixed_point or clip. binary has "
            "codes of 1 bit, the ternary ones of 2: layers that are given another width get ul2q",
        ),
        ("--fit", str, "exact (default), paper or empirical"),
        ("--granularity", str, "of weights, tensor (default) or channel"),
        ("--shift", str, "mean (default of ul2q) or zero"),
        ("--rounding", str, "nearest (default) or stochastic"),
        ("--gradient", str, "identity (default) or clipped"),
        ("--activation-bits", int, "quantise what these layers read, but for the net's inputs"),
        ("--activation-method", str, "(default: ul2q)"),
    ):
        parser.add_argument(
            option,
            metavar="N" if kind is int else "NAME",
            type=kind,
            default=argparse.SUPPRESS,
            help=text,
        )
    parser.add_argument(
        "--layer",
        dest="layers",
        metavar="LAYER=N",
        type=_layer_bits,
        action="append",
        default=[],
        help="bits of this layer's weights, or LAYER=float; may be given again",
    )


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=inspect)
    parser.description = (
        "For each blob of a .caffemodel: shape, moments, the Kolmogorov-Smirnov distance to a "
        "normal distribution, and the squared error of μL2Q at 1 to 8 bits as a share of the "
        "variance."
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .caffemodel of any Caffe's")
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


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=simulate)
    parser.description = (
        "The squared error of each method at each width on each of the data, and the step λ of "
        "least error for N(0, 1) beside the paper's Table I. Methods of one width (binary, "
        "ternary) are run at theirs."
    )
    # What is not given is not there: the defaults are those of Simulation.
    for option, kind, count, metavar, text in (
        ("--methods", str, "+", "NAME", "(default: ul2q fixed_point binary ternary)"),
        ("--bits", int, "+", "N", "(default: 1 2 4 8)"),
        (
            "--data",
            str,
            "+",
            "DATA",
            "normal, laplace, uniform (the default: all three), MODEL.caffemodel:LAYER",
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


def _layer_bits(text: str) -> tuple[str, int | None]:
    """A layer's name and its bits, None for float."""
    name, _, bits = text.rpartition("=")
    if name and bits == "float":
        return name, None
    if name and bits.isdecimal():
        return name, int(bits)
    raise argparse.ArgumentTypeError(f"{text!r} is not LAYER=BITS or LAYER=float")


def _add_data_option(parser: argparse.ArgumentParser, lmdbs: str) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help=f"let the Data layers read {lmdbs} in this folder",
    )


class _Version(argparse.Action):
    """`--version`, looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ul2q import __version__

        print(f"ul2q {__version__}")
        parser.exit()


def _user_errors() -> tuple[type[Exception], ...]:
    """The errors that a user can mend; Caffe's only if Caffe has been loaded."""
    from ul2q.data import DataError
    from ul2q.errors import UserError

    caffe = sys.modules.get("caffe")
    return (UserError, DataError, OSError, *([caffe.CaffeError] if caffe else []))


def _print_dataset(dataset: Dataset) -> None:
    shape = "×".join(map(str, dataset.shape))
    print(f"train: {dataset.train} ({dataset.train_count} images of {shape})")
    print(f"test: {dataset.test} ({dataset.test_count} images of {shape})")


def _print_image_set(dataset: Dataset) -> None:
    for note in dataset.skipped:
        print(f"ul2q: warning: {note}", file=sys.stderr)
    if dataset.skipped:
        print(f"ul2q: warning: images left out: {len(dataset.skipped)}", file=sys.stderr)
    _print_dataset(dataset)
    folder = dataset.train.parent
    print(f"mean: {folder / 'mean.binaryproto'}, {folder / 'mean_values.txt'}")
    print(f"classes: {folder / 'classes.txt'} ({len(dataset.classes)})")


def _or_float(quantizer: object) -> str:
    return str(quantizer or "float")


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their longest cell; nothing for None."""
    cells = [list(headings), *(["" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(aligned).rstrip())


def _print_outputs(
    prefix: str, outputs: Mapping[str, float], *, accuracy_alone: bool = False
) -> None:
    """A line an output, the accuracy last (or alone)."""
    names = sorted(outputs, key=lambda name: name == "accuracy")
    if accuracy_alone and "accuracy" in outputs:
        names = ["accuracy"]
    for name in names:
        print(f"{prefix} {name}: {outputs[name]:.4f}")
