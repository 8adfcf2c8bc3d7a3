"""`ul2q quantize`: turn a float net into a quantised one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import options_of, print_table, prototxt

if TYPE_CHECKING:
    from ul2q.cli.common import Commands

ORDER = 50  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q quantize`."""
    parser = commands.add_parser("quantize", help="turn a float net into a quantised one")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q quantize lenet/train_test_float.prototxt --weight-bits 2 --last-bits 8",
        "ul2q quantize net.prototxt --weight-bits 4 --layer conv1=8 --layer ip2=float",
        "ul2q quantize net.prototxt --method ternary --granularity channel --activation-bits 8",
    )
    parser.late_epilog = _methods
    parser.description = (
        "Give Convolution, Deconvolution, InnerProduct, Embed, LSTM and RNN layers their quantised "
        "type and a quantization_param. All else in the prototxt stays, comments too."
    )
    parser.add_argument("net", metavar="NET", type=prototxt, help="the float net's prototxt")
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
        ("--fit", str, "exact (default), paper or empirical"),
        ("--granularity", str, "of weights, tensor (default) or channel"),
        ("--shift", str, "mean (the default of methods that take it) or zero"),
        ("--rounding", str, "nearest (default) or stochastic"),
        ("--gradient", str, "identity (default) or clipped"),
        ("--activation-bits", int, "quantise what these layers read, but for the net's inputs"),
        ("--activation-method", str, "(default: ul2q)"),
        ("--activation-fit", str, "as --fit, of activations"),
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


def run(arguments: argparse.Namespace) -> None:
    """`ul2q quantize`."""
    from ul2q.nets.prototxt import text_bytes
    from ul2q.nets.quantization import NetQuantization
    from ul2q.nets.rewriter import default_output, quantize_net
    from ul2q.util.console import print_warning
    from ul2q.util.output_file import write_file

    arguments.layers = dict(arguments.layers)
    options = options_of(NetQuantization, arguments)
    result = quantize_net(arguments.net, options)
    output = arguments.output or default_output(arguments.net, options)
    write_file(output, text_bytes(result.text), force=arguments.force)
    for warning in result.warnings:
        print_warning(str(warning))
    print_table(
        ("layer", "type", "bits", "method", "why"),
        [
            (
                row.name,
                row.new_type,
                row.bits,
                row.method,
                "; ".join(filter(None, (row.reason, row.note))),
            )
            for row in result.rows
        ],
    )
    if result.others:
        listed = ", ".join(f"{count} {kind}" for kind, count in result.others)
        print(f"without weights, unchanged: {listed}")
    for note in result.notes:
        print(f"note: {note}")
    print(f"net: {output}")


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
