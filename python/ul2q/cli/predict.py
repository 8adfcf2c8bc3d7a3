"""`ul2q predict`: classify images."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_untrusted_option,
    mean_values,
    options_of,
    print_table,
    warnings_on_stderr,
    weights_file,
)
from ul2q.data.importer import height_and_width
from ul2q.util.console import print_warning

if TYPE_CHECKING:
    from ul2q.cli.common import Commands
    from ul2q.prediction.results import Tally

ORDER = 45  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q predict`."""
    parser = commands.add_parser("predict", help="classify images with a trained net")
    parser.set_defaults(command=run)
    parser.last_files = "images"
    parser.description = (
        "Tell the classes of images, and where their labels are known, how many are right. The "
        "images go through what the net's test images go through: NET's data layer for TEST and "
        "the folder of ul2q data say what. A deploy net says nothing: --mean and --scale do. "
        "Without NET it is the net that the .caffemodel was saved from."
    )
    parser.examples = (
        "ul2q predict cifarnet/train_test_2bit.prototxt cifarnet.caffemodel cat.jpg dog.png",
        "ul2q predict lenet/train_test_2bit.prototxt runs/lenet data/mnist/test_lmdb",
        "ul2q predict net.prototxt net.caffemodel photos/ --data data/folder --csv photos.csv",
        "ul2q predict lenet.packed.caffemodel data/mnist/test_lmdb --confusion --csv digits.csv",
        "ul2q predict deploy.prototxt net.caffemodel a.png --data data/cifar10 --scale 1 "
        "--mean data/cifar10/mean.binaryproto",
    )
    parser.add_argument(
        "net",
        metavar="NET",
        type=NET,
        help="the net that trains and tests, or a deploy net; may be left out before a .caffemodel",
    )
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help=f"its .caffemodel{OR_RUN}")
    parser.add_argument(
        "images",
        metavar="IMAGES",
        type=Path,
        nargs="*",
        help="image files, folders of them (or of a folder for each class), LMDBs, IDX files",
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=int,
        default=5,
        help="how many classes are told (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=int,
        help="images at a time (default: NET's test batch, or 100)",
    )
    parser.add_argument(
        "--jobs", metavar="N", type=int, help="processes that decode (default: as many as pay)"
    )
    parser.add_argument("--strict", action="store_true", help="end at an image that cannot be used")
    parser.add_argument(
        "--confusion",
        action="store_true",
        help="of known labels, which class was taken for which, and each class's accuracy",
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write a table, a row an image")
    parser.add_argument(
        "--json-lines", metavar="FILE", type=Path, help="write JSON, an object a line"
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")
    # What is not given is not there: the defaults are those of PredictionOptions.
    for option, kind, metavar, text in (
        ("--data", Path, "DIR", "the folder of ul2q data (default: that of NET's LMDB)"),
        ("--mean", mean_values, "MEAN", "a .binaryproto or .npy, values as 104,117,123, or none"),
        ("--scale", float, "S", "what pixels are multiplied by, after the mean; 1 for nothing"),
        ("--size", height_and_width, "HxW", "of the images, before the middle is cut out"),
        ("--classes", Path, "FILE", "the classes' names, one a line (default: DIR/classes.txt)"),
        ("--blob", str, "NAME", "the output with the scores, where NET has several"),
    ):
        parser.add_argument(
            option, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text
        )
    parser.add_argument(
        "--engine",
        choices=("runtime", "caffe"),
        default=argparse.SUPPRESS,
        help="compute in integers where weights and activations are quantised (ul2q.compile), or "
        "in Caffe's floats (default: runtime for packed weights with quantised activations)",
    )
    for option, choices, text in (
        ("--channels", ("bgr", "rgb", "gray"), "the order of the channels that NET takes"),
        ("--resize", ("stretch", "crop"), "how image files of another size are brought to it"),
    ):
        parser.add_argument(option, choices=choices, default=argparse.SUPPRESS, help=text)
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q predict`."""
    from ul2q.prediction import PredictionOptions, predict_images
    from ul2q.prediction.progress import Display

    net, weights, images = _files(arguments)
    weights = weights_file(weights)
    display = Display(sys.stdout, sys.stderr, lines=not (arguments.csv or arguments.json_lines))
    with warnings_on_stderr(), closing(display):
        tally = predict_images(
            net,
            weights,
            images,
            options_of(PredictionOptions, arguments),
            top=arguments.top,
            batch=arguments.batch,
            jobs=arguments.jobs,
            strict=arguments.strict,
            csv=arguments.csv,
            json_lines=arguments.json_lines,
            force=arguments.force,
            on_prediction=display.prediction,
            progress=display.progress,
        )
    for name, path in (("table", arguments.csv), ("predictions", arguments.json_lines)):
        if path:
            print(f"{name}: {path}")
    if arguments.confusion:
        _print_counts(tally)
    print(f"engine: {tally.engine}")
    if tally.accuracy is not None:
        if arguments.top > 1:
            print(f"top-{arguments.top} accuracy: {tally.top_accuracy:.4f}")
        print(f"accuracy: {tally.accuracy:.4f} ({tally.right} of {tally.labelled} images)")
    tally.require_all()


def _files(arguments: argparse.Namespace) -> tuple[Path | None, Path, list[Path]]:
    """Net, weights and images; the first argument may be the weights, which bring their net."""
    from ul2q.prediction import PredictionError

    net, weights, images = arguments.net, arguments.weights, arguments.images
    if net.suffix == ".caffemodel":
        return None, net, [weights, *images]
    if not images:
        raise PredictionError(f"no images behind the weights {weights}: name files or folders")
    return net, weights, images


def _print_counts(tally: Tally) -> None:
    if not tally.counts.images:
        print_warning("no label is known: there is no confusion to tell")
        return
    for table in (tally.counts.confusion_table, tally.counts.class_table):
        print_table(*table(tally.class_names))
        print()
