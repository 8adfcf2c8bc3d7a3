"""`ul2q distil`: let a net learn the softened outputs of a trained one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    NET,
    OR_RUN,
    add_data_option,
    add_untrusted_option,
    options_of,
    weights_file,
)
from ul2q.cli.deploy_net import image_shape

if TYPE_CHECKING:
    from ul2q.cli.common import Commands

ORDER = 53  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q distil`."""
    parser = commands.add_parser("distil", help="let a net learn from a trained one")
    parser.set_defaults(command=run)
    parser.description = (
        "Write a net that trains as NET does and, beside the labels, learns the outputs of a "
        "frozen teacher, softened by a temperature (Hinton et al., 2015). The teacher's layers are "
        "there in phase TRAIN alone: testing and deployment see NET."
    )
    parser.examples = (
        "ul2q distil lenet/train_test_2bit.prototxt --teacher lenet/train_test_float.prototxt "
        "--teacher-weights runs/float --data data/fashion-mnist",
        "ul2q distil net_1bit.prototxt --teacher resnet.prototxt --teacher-weights "
        "resnet.caffemodel --temperature 2 --weight 0.5 --shape 3x32x32",
    )
    parser.add_argument("net", metavar="NET", type=NET, help="the prototxt of the net that learns")
    parser.add_argument(
        "--teacher",
        metavar="NET2",
        type=NET,
        required=True,
        help="that of the trained net, to train and test or to deploy",
    )
    parser.add_argument(
        "--teacher-weights",
        metavar="W",
        type=Path,
        required=True,
        help=f"its .caffemodel{OR_RUN}",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="the new prototxt; the teacher's weights for it go beside it (default: beside NET, "
        "NET_distil.prototxt and NET_distil_teacher.caffemodel)",
    )
    for option, kind, metavar, text in (
        ("--temperature", float, "T", "what the logits of both are divided by (default: 4)"),
        ("--weight", float, "W", "of the teacher's part of the loss (default: 0.9)"),
        ("--hard-weight", float, "W", "of the labels' part (default: 1 - weight)"),
        ("--logits", str, "BLOB", "of NET (default: what its SoftmaxWithLoss reads)"),
        ("--teacher-logits", str, "BLOB", "(default: what its SoftmaxWithLoss or Softmax reads)"),
        ("--prefix", str, "P", "of the names of the teacher's layers (default: teacher_)"),
    ):
        parser.add_argument(
            option, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text
        )
    parser.add_argument(
        "--shape",
        metavar="CxHxW",
        type=image_shape,
        help="of an image as NET sees it (default: that in train_lmdb)",
    )
    add_data_option(parser, "train_lmdb")
    add_untrusted_option(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q distil`."""
    from ul2q.models.distillation import write_distillation
    from ul2q.nets.distillation import DistillationOptions

    files = write_distillation(
        arguments.net,
        arguments.teacher,
        weights_file(arguments.teacher_weights),
        arguments.output,
        options=options_of(DistillationOptions, arguments),
        shape=arguments.shape,
        data=arguments.data,
        force=arguments.force,
    )
    for note in files.net.notes:
        print(f"note: {note}")
    print(f"net: {files.net_path}")
    print(f"teacher's weights: {files.weights_path}")
    print(
        f"to train it: ul2q train SOLVER --set net={files.net_path} --weights {files.weights_path}"
    )
