"""`ul2q data`: bring in a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ul2q.cli.common import Commands
    from ul2q.data import Dataset


def add_parser(commands: Commands) -> None:
    """Add `ul2q data`."""
    parser = commands.add_parser("data", help="turn a data set into LMDBs")
    sets = parser.add_subparsers(required=True, metavar="SET")
    fashion = sets.add_parser("fashion-mnist", help="28×28 images of clothes, 10 classes")
    fashion.set_defaults(command=fashion_mnist)
    digits = sets.add_parser("mnist", help="28×28 images of digits, 10 classes")
    digits.set_defaults(command=mnist)
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


def fashion_mnist(arguments: argparse.Namespace) -> None:
    """`ul2q data fashion-mnist`."""
    from ul2q.data import import_fashion_mnist
    from ul2q.util.progress import import_progress

    source = {"source": arguments.source} if arguments.source else {}
    dataset = import_fashion_mnist(
        arguments.output, force=arguments.force, progress=import_progress(sys.stdout), **source
    )
    _print_dataset(dataset)


def mnist(arguments: argparse.Namespace) -> None:
    """`ul2q data mnist`."""
    from ul2q.data import import_mnist
    from ul2q.util.progress import import_progress

    dataset = import_mnist(
        arguments.source,
        arguments.output,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_dataset(dataset)


def cifar10(arguments: argparse.Namespace) -> None:
    """`ul2q data cifar10`."""
    from ul2q.data import import_cifar10
    from ul2q.util.progress import import_progress

    dataset = import_cifar10(
        arguments.source,
        arguments.output,
        limit=arguments.limit,
        seed=arguments.seed,
        force=arguments.force,
        progress=import_progress(sys.stdout),
    )
    _print_image_set(dataset)


def folder(arguments: argparse.Namespace) -> None:
    """`ul2q data folder`."""
    from ul2q.data import import_folder
    from ul2q.util.progress import import_progress

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


def imagenet(arguments: argparse.Namespace) -> None:
    """`ul2q data imagenet`."""
    from ul2q.data import Resize, import_imagenet
    from ul2q.util.progress import import_progress

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


def _add_cifar10(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=cifar10)
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
    parser.set_defaults(command=folder)
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
    parser.set_defaults(command=imagenet)
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
