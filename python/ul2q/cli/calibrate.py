"""`ul2q calibrate`: fit a quantised net to images, without training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_data_option,
    add_picture_options,
    add_untrusted_option,
    options_of,
    print_table,
    warnings_on_stderr,
    weights_file,
)

if TYPE_CHECKING:
    from ul2q.calibration import Calibrated, CalibrationOptions
    from ul2q.cli.common import CommandParser, Commands

ORDER = 55  # in `ul2q --help`
_STEPS = ("equalize", "correct_bias", "batch_norm", "round_weights")
_OF_NET = ("weight_bits", "activation_bits", "first_bits", "last_bits", "bias_bits", "method",
           "fit", "granularity", "shift")  # fmt: skip


def add_parser(commands: Commands) -> None:
    """Add `ul2q calibrate`."""
    parser = commands.add_parser(
        "calibrate", help="fit a quantised net to images, without training"
    )
    parser.set_defaults(command=run)
    parser.description = (
        "Quantise a float net with --weight-bits, and fit it to images: the ranges of its "
        "activations, its weights' rounding, its biases. Of a net that is quantised already only "
        "the scales of QuantizedActivation layers are fitted, unless a step is asked for."
    )
    parser.examples = (
        "ul2q calibrate cifarnet/train_test_float.prototxt float.caffemodel --weight-bits 4 "
        "--activation-bits 8 --images 500",
        "ul2q calibrate deploy.prototxt net.caffemodel --weight-bits 8 --activation-bits 8 "
        "--pictures photos/ --mean 127.5 --scale 0.0078125 --channels bgr",
        "ul2q calibrate net_2bit_act8bit.prototxt trained.caffemodel --data data/mnist",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="a float net, or a quantised one")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help=f"its .caffemodel{OR_RUN}")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="the new .caffemodel, and OUT's .prototxt for a net that is quantised here (default: "
        "WEIGHTS_calibrated.caffemodel; NET_8bit_act8bit.caffemodel)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT")
    _add_images(parser)
    _add_quantization(parser)
    _add_steps(parser)
    add_untrusted_option(parser)


def _add_images(parser: CommandParser) -> None:
    parser.add_argument(
        "--images", metavar="N", type=int, default=argparse.SUPPRESS,
        help="how many at most (default: 500)",
    )  # fmt: skip
    add_data_option(parser, "train_lmdb")
    parser.add_argument(
        "--pictures",
        metavar="PATH",
        type=Path,
        nargs="+",
        default=[],
        help="look at these: files, folders, LMDBs (default: what NET trains on)",
    )
    add_picture_options(parser)


def _add_quantization(parser: CommandParser) -> None:
    group = parser.add_argument_group("to quantise a float net")
    for option, kind, text in (
        ("--weight-bits", int, "bits of a weight's code"),
        ("--activation-bits", int, "of what the quantised layers read (default: float)"),
        ("--first-bits", int, "of the weights of the first layers"),
        ("--last-bits", int, "of the last ones, in each head"),
        ("--bias-bits", int, "(default: biases stay float)"),
        ("--method", str, "of weights, as `ul2q methods` lists them (default: ul2q)"),
        ("--fit", str, "exact, paper or empirical (default)"),
        ("--granularity", str, "of weights, tensor or channel (default)"),
        ("--shift", str, "mean (the default of methods that take it) or zero"),
    ):
        group.add_argument(
            option,
            metavar="N" if kind is int else "NAME",
            type=kind,
            default=argparse.SUPPRESS,
            help=text,
        )


def _add_steps(parser: CommandParser) -> None:
    group = parser.add_argument_group(
        "steps (for a net that is quantised here those that help on images held out; else --ranges "
        "alone); --STEP does it in any case, --no-STEP in none"
    )
    group.add_argument(
        "--ranges",
        choices=("mse", "minmax", "percentile", "average"),
        default=argparse.SUPPRESS,
        help="of activations: least squared error (default), all values, all but a share at "
        "either end, or the mean of the layer's own fits, as in training",
    )
    group.add_argument(
        "--percentile",
        metavar="P",
        type=float,
        default=argparse.SUPPRESS,
        help="of --ranges percentile (default: 99.9)",
    )
    for name, text in (
        ("equalize", "scale channels between layers to ranges of one size"),
        ("correct-bias", "take away what quantisation moves each channel's mean by"),
        ("batch-norm", "move the averages of BatchNorm layers likewise"),
        ("round-weights", "round weights so that the layer's output is closest"),
    ):
        group.add_argument(
            f"--{name}",
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=text,
        )


def run(arguments: argparse.Namespace) -> None:
    """`ul2q calibrate`."""
    from ul2q.calibration import calibrate
    from ul2q.nets.quantization import NetQuantization
    from ul2q.prediction import PredictionOptions

    given = vars(arguments)
    of_net = {name: given[name] for name in _OF_NET if name in given}
    quantization = None
    if of_net:
        quantization = NetQuantization(**{"fit": "empirical", "granularity": "channel", **of_net})
    count = {"images": given["images"]} if "images" in given else {}
    tried = _tried(given) if quantization is not None else []
    with warnings_on_stderr():
        done = calibrate(
            arguments.net,
            weights_file(arguments.weights),
            arguments.output,
            quantization=quantization,
            options=_steps(given),
            tried=tried,
            data=arguments.data,
            pictures=arguments.pictures,
            inputs=options_of(PredictionOptions, arguments),
            force=arguments.force,
            **count,
        )
    _print(done, tried=bool(tried))


def _steps(given: dict[str, Any]) -> CalibrationOptions:
    from ul2q.calibration import CalibrationOptions

    names = (*_STEPS, "ranges", "percentile")
    return CalibrationOptions(**{name: given[name] for name in names if name in given})


def _tried(given: dict[str, Any]) -> list[str]:
    """The steps of which nothing is said."""
    return [step for step in _STEPS if step not in given]


def _print_trials(done: Calibrated) -> None:
    from ul2q.calibration import mean_error

    print(f"steps, by the relative error of the net's outputs for {done.held_out} images held out:")
    rows = []
    for trial in done.trials:
        word = "yes" if trial.kept else "no"
        name = trial.worst
        if not trial.kept and len(trial.after) > 1:
            word += f", {name} {trial.before[name]:.4f} to {trial.after[name]:.4f}"
        before, after = (f"{mean_error(one):.4f}" for one in (trial.before, trial.after))
        rows.append((trial.step.replace("_", "-"), before, after, word))
    print_table(("step", "without", "with", "kept"), rows)


def _print(done: Calibrated, *, tried: bool) -> None:
    if done.trials:
        _print_trials(done)
    elif tried and not done.held_out:
        print(
            f"{done.images} images are too few to try steps on; at least 4 are needed: ranges alone"
        )
    print(f"calibrated on {done.images} images; signal to noise of each layer's output:")
    print_table(
        ("layer", "type", "dB", "scale", "shift", "done"),
        [
            (
                row.layer,
                row.type,
                f"{row.decibels:.1f}",
                None if row.scale is None else f"{row.scale:.6g}",
                None if row.shift is None else f"{row.shift:.6g}",
                "; ".join(row.steps),
            )
            for row in done.rows
        ],
    )
    if done.net_path is not None:
        print(f"net: {done.net_path}")
    print(f"weights: {done.weights_path}")
