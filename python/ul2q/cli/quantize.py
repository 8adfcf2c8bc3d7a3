"""`ul2q quantize`: turn a float net into a quantised one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_picture_options,
    add_untrusted_option,
    options_of,
    print_table,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    from ul2q.cli.common import CommandParser, Commands
    from ul2q.fitting import Measurement

ORDER = 50  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q quantize`."""
    parser = commands.add_parser("quantize", help="turn a float net into a quantised one")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q quantize lenet/train_test_float.prototxt --weight-bits 2 --last-bits 8",
        "ul2q quantize net.prototxt --weight-bits 4 --layer conv1=8 --layer ip2=float",
        "ul2q quantize net.prototxt --method ternary --granularity channel --activation-bits 8",
        "ul2q quantize deploy.prototxt --weight-bits 8 --weights net.caffemodel --fit auto",
        "ul2q quantize net.prototxt --weight-bits 8 --activation-bits 8 --weights net.caffemodel "
        "--fit auto --granularity auto --activation-fit auto --data data/cifar10",
    )
    parser.late_epilog = _methods
    parser.description = (
        "Give Convolution, Deconvolution, InnerProduct, Embed, LSTM and RNN layers their quantised "
        "type and a quantization_param. All else in the prototxt stays, comments too. "
        "With --weights it is measured what that does to a trained net, and fit and granularity "
        "can be chosen."
    )
    parser.add_argument("net", metavar="NET", type=NET, help="the float net's prototxt")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="(default: beside NET, NET_2bit.prototxt)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT")
    # An option that is not given has the default of NetQuantization.
    for option, kind, text in (
        ("--weight-bits", int, "bits of a weight's code, or what else the method takes, below"),
        ("--bias-bits", int, "(default: biases stay float)"),
        ("--first-bits", int, "of the first layers with weights: those that none stands before"),
        ("--last-bits", int, "of the last layers with weights, in each head of the net"),
        (
            "--method",
            str,
            "one of those below (default: ul2q). Layers that are given a width which its codes "
            "cannot have get ul2q",
        ),
        ("--fit", str, "exact (default), paper, empirical, or auto: as --weights shows"),
        ("--granularity", str, "of weights, tensor (default), channel or auto"),
        ("--shift", str, "mean (the default of methods that take it) or zero"),
        ("--rounding", str, "nearest (default) or stochastic"),
        ("--gradient", str, "identity (default) or clipped"),
        ("--activation-bits", int, "quantise what these layers read, but for the net's inputs"),
        ("--activation-method", str, "(default: ul2q), or auto"),
        ("--activation-fit", str, "exact (default), empirical or auto"),
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
    parser.add_argument(
        "--drop-engine",
        action="store_true",
        help="leave out engine: CAFFE, which asks for BVLC's own slower layers",
    )
    _add_measurement(parser)
    add_untrusted_option(parser)


def _add_measurement(parser: CommandParser) -> None:
    """What is measured on, and how images become inputs; not given is not there."""
    group = parser.add_argument_group("to measure on trained weights, without training")
    group.add_argument(
        "--weights",
        metavar="FILE",
        type=Path,
        help="NET's .caffemodel" + OR_RUN + "; tells what each fit and granularity does to it",
    )
    group.add_argument(
        "--images",
        metavar="PATH",
        type=Path,
        nargs="+",
        default=[],
        help="compare outputs on these, and fit the scales of activations: files, folders, LMDBs",
    )
    group.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=argparse.SUPPRESS,
        help="the folder of ul2q data, whose train_lmdb is taken for --images",
    )
    add_picture_options(group)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q quantize`."""
    from ul2q.fitting import AUTO, quantize_files
    from ul2q.nets.quantization import NetQuantization
    from ul2q.prediction import PredictionOptions
    from ul2q.util.console import print_warning

    arguments.layers = dict(arguments.layers)
    free = [name for name in AUTO if getattr(arguments, name, None) == "auto"]
    for name in free:
        delattr(arguments, name)  # the default of NetQuantization until it is chosen
    with warnings_on_stderr():
        files = quantize_files(
            arguments.net,
            options_of(NetQuantization, arguments),
            output=arguments.output,
            weights=arguments.weights and weights_file(arguments.weights),
            free=free,
            images=arguments.images,
            inputs=options_of(PredictionOptions, arguments),
            force=arguments.force,
        )
    for warning in files.net.warnings:
        print_warning(str(warning))
    if files.measurement is not None:
        _print_measurement(files.measurement)
    print_table(*files.net.table())
    if files.net.others:
        listed = ", ".join(f"{count} {kind}" for kind, count in files.net.others)
        print(f"without weights, unchanged: {listed}")
    for note in files.net.notes:
        print(f"note: {note}")
    print(f"net: {files.net_path}")
    if files.weights_path is not None:
        print(f"weights: {files.weights_path}")


def _print_measurement(measurement: Measurement) -> None:
    candidates = measurement.candidates
    headings = [one.name for one in candidates]
    print("relative error of the weights:")
    print_table(
        ("layer", *headings),
        [
            (layer, *(f"{one.weight_errors[layer]:.4f}" for one in candidates))
            for layer in candidates[0].weight_errors
        ],
    )
    print()
    if candidates[0].net_error is not None:
        print("relative error of the outputs, of each layer for exact inputs:")
        print_table(
            ("layer", *headings),
            [
                *(
                    (layer, *(f"{one.output_errors[layer]:.4f}" for one in candidates))
                    for layer in candidates[0].output_errors
                ),
                ("the net", *(f"{one.net_error:.4f}" for one in candidates)),
            ],
        )
        print()
    chosen, taken = measurement.chosen, measurement.taken
    print(f"weights: fit {chosen.fit}, granularity {chosen.granularity}")
    if better := measurement.better:
        print(
            f"note: {better.name} has an error of {better.error:.4f}, this {taken.error:.4f}; "
            "--fit auto --granularity auto chooses"
        )
    for key, error in measurement.activation_errors.items():
        mark = ", taken" if error == measurement.net_error else ""
        print(f"relative error of the net with activations, {' '.join(key)}: {error:.4f}{mark}")
    print()


def _methods() -> str:
    from ul2q.nets.method_docs import methods_help

    return methods_help()


def _layer_bits(text: str) -> tuple[str, int | None]:
    """A layer's name and its bits, None for float."""
    name, _, bits = text.rpartition("=")
    if name and bits == "float":
        return name, None
    if name and bits.isdecimal():
        return name, int(bits)
    raise argparse.ArgumentTypeError(f"{text!r} is not LAYER=BITS or LAYER=float")
