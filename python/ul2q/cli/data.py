"""`ul2q data`: bring in a data set."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ul2q.data import IMPORTERS

if TYPE_CHECKING:
    from ul2q.cli.common import Commands

ORDER = 10  # in `ul2q --help`

EXAMPLES = {
    "fashion-mnist": "ul2q data fashion-mnist",
    "mnist": "ul2q data mnist --from downloads/mnist",
    "cifar10": "ul2q data cifar10 --from cifar-10-python.tar.gz",
    "folder": "ul2q data folder --train photos/train --test photos/test --size 32x32",
    "imagenet": "ul2q data imagenet --train train --val val --val-labels val.txt --resize crop",
}
"""A call of each importer, by its name."""


def add_parser(commands: Commands) -> None:
    """Add `ul2q data`, with a command for each importer."""
    parser = commands.add_parser("data", help="turn a data set into LMDBs")
    parser.examples = tuple(EXAMPLES.values())
    sets = parser.add_subparsers(required=True, metavar="SET")
    for importer in IMPORTERS:
        command = sets.add_parser(
            importer.name,
            help=importer.help,
            description=importer.description,
            argument_default=argparse.SUPPRESS,
        )
        command.set_defaults(command=run, importer=importer)
        command.examples = (EXAMPLES[importer.name],)
        importer.add_arguments(command)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q data SET`."""
    from ul2q.data.image_set import CLASSES
    from ul2q.data.means import MEAN_IMAGE, MEAN_VALUES
    from ul2q.data.progress import import_progress
    from ul2q.util.console import print_warning

    dataset = arguments.importer.run(vars(arguments), import_progress(sys.stdout))
    for note in dataset.skipped:
        print_warning(note)
    if dataset.skipped:
        print_warning(f"images left out: {len(dataset.skipped)}")
    shape = "×".join(map(str, dataset.shape))
    print(f"train: {dataset.train} ({dataset.train_count} images of {shape})")
    print(f"test: {dataset.test} ({dataset.test_count} images of {shape})")
    if arguments.importer.is_image_set:
        folder = dataset.train.parent
        print(f"mean: {folder / MEAN_IMAGE}, {folder / MEAN_VALUES}")
        print(f"classes: {folder / CLASSES} ({len(dataset.classes)})")
