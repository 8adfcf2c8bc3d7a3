"""`ul2q export`: a trained net as a file that runs elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_untrusted_option,
    mean_values,
    print_table,
    weights_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.cli.common import Commands
    from ul2q.deploy.fixed_point import Pixels

ORDER = 57  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q export`."""
    parser = commands.add_parser("export", help="write a trained net for another runtime")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q export deploy.prototxt lenet.caffemodel --to onnx -o lenet.onnx",
        "ul2q export lenet/deploy_2bit.prototxt lenet.caffemodel --to onnx --for opencv -o cv.onnx",
        "ul2q export deploy.prototxt lenet.caffemodel --to npz -o lenet.npz --size",
        "ul2q export deploy.prototxt lenet.caffemodel --to c --scale 0.00390625 -o src/lenet",
    )
    parser.late_epilog = _targets
    parser.description = (
        "Write a deployed net with its trained weights in another format, run what was written, "
        "and compare that with Caffe. A file that computes something else is not kept."
    )
    parser.add_argument("net", metavar="NET", type=NET, help="the prototxt to deploy")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="its .caffemodel" + OR_RUN)
    parser.add_argument("--to", metavar="TARGET", required=True, help="one of those below")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.add_argument(
        "--form",
        choices=("auto", "planes", "uint", "int8", "float"),
        help="how ONNX stores codes: bit planes, UINT2 and UINT4, INT8, or not at all (default: "
        "auto, the smallest that the runtime reads)",
    )
    parser.add_argument(
        "--for",
        dest="runtime",
        choices=("onnxruntime", "openvino", "opencv", "any"),
        help="the runtime that auto chooses for (default: onnxruntime)",
    )
    parser.add_argument(
        "--batch",
        metavar="N|any",
        type=_batch,
        help="examples that a pass of an ONNX or OpenVINO file takes (default: any number, where "
        "all layers allow it, else that of NET)",
    )
    parser.add_argument(
        "--scale",
        metavar="S",
        type=float,
        help="for C, whose input then are bytes: what pixels are multiplied by, after the mean "
        "(default with --mean: 1)",
    )
    parser.add_argument(
        "--mean",
        metavar="MEAN",
        type=mean_values,
        help="for C, likewise: a .binaryproto or .npy, values as 104,117,123, or none",
    )
    parser.add_argument(
        "--inputs",
        metavar="FILE",
        type=Path,
        help="an .npz with an array for each input of the net, to compare with (default: random)",
    )
    parser.add_argument("--no-verify", action="store_true", help="do not run what was written")
    parser.add_argument("--size", action="store_true", help="print what takes how many bytes")
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q export`."""
    from ul2q.deploy.exporter import export
    from ul2q.deploy.report import comparison_text, read_inputs, size_rows
    from ul2q.util.console import print_warning

    found = export(
        arguments.net,
        weights_file(arguments.weights),
        arguments.output,
        to=arguments.to,
        form=arguments.form,
        runtime=arguments.runtime,
        batch=arguments.batch,
        pixels=_pixels(arguments.scale, arguments.mean),
        inputs=read_inputs(arguments.inputs) if arguments.inputs else None,
        verify=not arguments.no_verify,
        force=arguments.force,
    )
    for warning in found.written.warnings:
        print_warning(warning)
    print_table(*found.graph.table())
    if arguments.size:
        print()
        print_table(*size_rows(found))
    for line in comparison_text(found):
        print(line)


def _batch(text: str) -> int | str:
    """A number from 1 on, or "any"."""
    if text == "any":
        return text
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 1 on nor any")
    return int(text)


def _pixels(scale: float | None, mean: Sequence[float] | Path | None) -> Pixels | None:
    """What is said of pixels; None if nothing is."""
    import numpy as np

    from ul2q.deploy.fixed_point import Pixels
    from ul2q.prediction.preprocessing import read_mean

    if scale is None and mean is None:
        return None
    values = read_mean(mean) if isinstance(mean, Path) else np.array(mean or [0], np.float32)
    return Pixels(1.0 if scale is None else scale, values)


def _targets() -> str:
    from ul2q.deploy.targets import NET_TARGETS, TARGETS

    summaries = {name: target.SUMMARY for name, target in TARGETS.items()}
    summaries |= {name: target.SUMMARY for name, target in NET_TARGETS.items()}
    listed = "; ".join(f"{name}: {summary}" for name, summary in summaries.items())
    return f"targets: {listed}."
