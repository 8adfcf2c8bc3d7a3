"""What `ul2q data` knows of an importer: its name, its help text, its arguments, its function.

A help text needs all of this, so that nothing here may load NumPy, Pillow or Caffe.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ul2q.util.tables import markdown_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ul2q.data.dataset import Dataset
    from ul2q.data.lmdb_writer import Progress


class Option:
    """An option of an importer's command; its value goes to the function's argument of its name.

    One that is not given is left to the function's own default.
    """

    def __init__(self, *flags: str, **settings: Any) -> None:
        """Take what `argparse.ArgumentParser.add_argument` takes."""
        self.flags = flags
        self.settings = settings

    @property
    def argument(self) -> str:
        """The name of the function's argument."""
        return str(self.settings.get("dest", self.flags[-1].lstrip("-").replace("-", "_")))

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare the option."""
        parser.add_argument(*self.flags, **self.settings)


class Importer(NamedTuple):  # a dataclass would load `inspect`, a quarter of a help text's time
    """A data set, or a layout of files, that `ul2q data` imports.

    Attributes:
        name: that of the command, `ul2q data NAME`, and of the folder in data/ that it writes.
        help: a line for the list of commands.
        module: the module of `ul2q.data` with the function.
        function: the name of the function, which takes `output`, `limit`, `force`, `progress` and
            what `options` name by keyword, and returns a Dataset.
        source: what is read, for the table in docs/data.md.
        options: those that no other importer need have.
        is_image_set: whether the training set's mean and the classes' names are written, too, and
            the training set is shuffled: the function takes `seed`.
        description: more than `help` says, for `ul2q data NAME --help`.
        adapt: makes the function's arguments of the options' values, where they are not the same.
    """

    name: str
    help: str
    module: str
    function: str
    source: str
    options: tuple[Option, ...]
    is_image_set: bool = True
    description: str | None = None
    adapt: Callable[[dict[str, Any]], dict[str, Any]] = dict

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The importer's own options and those that all importers have."""
        written = "the LMDBs, the means and the class names"
        output = Option(
            "-o",
            "--output",
            metavar="DIR",
            type=Path,
            default=Path("data") / self.name,
            help=f"the folder for {written if self.is_image_set else 'train_lmdb and test_lmdb'} "
            "(default: %(default)s)",
        )
        order = (_SEED,) if self.is_image_set else ()
        return (*self.options, output, _LIMIT, *order, _FORCE)

    @property
    def command(self) -> str:
        """The command with the options that it needs, as `ul2q data mnist --from DIR`."""
        needed = [
            f"{option.flags[-1]} {option.settings['metavar']}"
            for option in self.options
            if option.settings.get("required")
        ]
        return " ".join(["ul2q data", self.name, *needed])

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of `ul2q data NAME`."""
        for option in self.all_options:
            option.add_to(parser)

    def run(self, values: Mapping[str, Any], progress: Progress | None) -> Dataset:
        """Import.

        Args:
            values: those of the options, by the name of the argument; others are passed over.
            progress: as of the function.

        Raises:
            DataError, OSError: as of the function.
        """
        function = getattr(import_module(f"ul2q.data.{self.module}"), self.function)
        names = [option.argument for option in self.all_options]
        arguments = self.adapt({name: values[name] for name in names if name in values})
        dataset: Dataset = function(**arguments, progress=progress)
        return dataset


def importers_markdown(importers: Iterable[Importer]) -> str:
    """The table of importers in docs/data.md."""
    return markdown_table(
        ("command", "source", "default output"),
        [(f"`{one.command}`", one.source, f"`data/{one.name}`") for one in importers],
    )


def height_and_width(text: str) -> tuple[int, int]:
    """The size that "256x256" says, in pixels.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    height, _, width = text.partition("x")
    if height.isdecimal() and width.isdecimal() and int(height) and int(width):
        return int(height), int(width)
    raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH in pixels, as 256x256")


_LIMIT = Option("--limit", metavar="N", type=int, help="N images of each set, the classes in turn")
_SEED = Option("--seed", metavar="S", type=int, help="of the training set's order (default: 0)")
_FORCE = Option("--force", action="store_true", help="replace what stands there")

GRAY = Option("--gray", action="store_true", help="one channel, the luma")
"""The option of importers of colour images, which take `gray`."""

DECODING = (
    Option(
        "--gray",
        action=argparse.BooleanOptionalAction,
        help="one channel, the luma, or three (default: one if all images are grey, else three)",
    ),
    Option("--skip-bad", action="store_true", help="leave damaged images out"),
    Option(
        "--jobs", metavar="N", type=int, help="processes that decode (default: one a processor)"
    ),
)
"""The options of importers of image files, which take `gray`, `skip_bad` and `jobs`."""
