"""What several commands share: options and printing."""

from __future__ import annotations

import argparse
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from ul2q.data.importer import height_and_width
from ul2q.nets.bundled import bundled_names, find_prototxt
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# What ArgumentParser.add_subparsers() returns, to which a command is added.
Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"


class CommandParser(argparse.ArgumentParser):
    """The parser of a command, and of `ul2q` itself.

    Attributes:
        late_epilog: makes the last paragraph of the help when it is printed, of what the library
            knows: no other call has to load that.
        examples: command lines that the help ends with, as they are typed.
        last_files: the last argument, of any number of paths: it takes those that stand behind
            options, too, which argparse leaves over where there may be none.
    """

    late_epilog: Callable[[], str] | None = None
    examples: Sequence[str] = ()
    last_files: str | None = None

    def format_help(self) -> str:
        """The help text."""
        if self.late_epilog is not None:
            self.epilog = self.late_epilog()
        text = super().format_help()
        if self.examples:  # not wrapped, so that a line can be copied
            text += "\nexamples:\n" + "".join(f"  {line}\n" for line in self.examples)
        return text

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse; what is not known ends in an error with this parser's usage, not its parent's."""
        namespace, unknown = super().parse_known_args(*args, **kwargs)
        if self.last_files and not any(word.startswith("-") for word in unknown):
            getattr(namespace, self.last_files).extend(map(Path, unknown))
            unknown = []
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            near = near_names(unknown[0].partition("=")[0], options)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """End with the usage and a message."""
        told = re.sub(r"ignored explicit argument (.*)$", r"takes no value, not \1", message)
        super().error(told)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is no choice, with near names."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = near_names(str(value), known) or f" (choose from {', '.join(map(repr, known))})"
        raise argparse.ArgumentError(action, f"invalid choice: {str(value)!r}{near}")


OR_RUN = ", or the folder of a run: its best weights, else the newest"
"""What the help says of an argument that goes through `weights_file`."""

_Options = TypeVar("_Options")


class PrototxtArgument:
    """The type of an argument that is a path, or the name of a prototxt of the package's."""

    def __init__(self, pattern: str) -> None:
        """Name the files of the package that may be meant, by a pattern as "solver_*"."""
        self._pattern = pattern

    def __call__(self, text: str) -> Path:
        """The file that the argument names."""
        return find_prototxt(Path(text))

    def names(self) -> list[str]:
        """The names that a shell offers, beside its files."""
        return bundled_names(self._pattern)


NET = PrototxtArgument("[!s]*")
"""The type of an argument that is a net's prototxt."""
SOLVER = PrototxtArgument("solver_*")
"""That of a solver's."""


def weights_file(path: Path, *, tell: bool = True) -> Path:
    """The weights that an argument names: a file, or in the folder of a run the best.

    Args:
        path: the argument.
        tell: whether a line says which of a run they are.

    Raises:
        WeightsError: a folder holds no weights, or several of which none is the best or the newest.
    """
    from ul2q.runs.weights import weights_of_run

    if not path.is_dir():
        return path
    chosen = weights_of_run(path)
    if tell:
        print(f"weights: {chosen.path} ({chosen.reason})", flush=True)
    return chosen.path


def add_data_option(parser: argparse.ArgumentParser, lmdbs: str) -> None:
    """`--data DIR`, for a command that reads these LMDBs."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help=f"let the Data layers read {lmdbs} in this folder",
    )


def add_untrusted_option(parser: argparse.ArgumentParser) -> None:
    """`--untrusted`, for a command that makes nets; `ul2q.cli.main` acts on it."""
    parser.add_argument(
        "--untrusted",
        action="store_true",
        help="refuse nets with layers that run code or write files: Python and HDF5Output",
    )


def add_picture_options(group: argparse._ActionsContainer) -> None:
    """How images become a net's input; not given is not there, for `options_of`."""
    for option, kind, metavar, text in (
        ("--mean", mean_values, "MEAN", "a .binaryproto or .npy, values as 104,117,123, or none"),
        ("--scale", float, "S", "what pixels are multiplied by, after the mean; 1 for nothing"),
        ("--size", height_and_width, "HxW", "of the images"),
    ):
        group.add_argument(option, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text)
    group.add_argument(
        "--channels",
        choices=("bgr", "rgb", "gray"),
        default=argparse.SUPPRESS,
        help="the order of the channels that NET takes",
    )


def mean_values(text: str) -> tuple[float, ...] | Path:
    """A mean for an option: the values between commas, none for "none", or a file."""
    if text == "none":
        return ()
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError:
        return Path(text)


def options_of(kind: type[_Options], arguments: argparse.Namespace) -> _Options:
    """The options `kind`, a dataclass, with the arguments that have the names of its fields.

    What is not given is not among the arguments (argparse.SUPPRESS), and has the field's default.
    """
    from dataclasses import fields

    dataclass: Any = kind
    known = {field.name for field in fields(dataclass)}
    return kind(**{name: value for name, value in vars(arguments).items() if name in known})


def message_of(error: Exception) -> str:
    """An error in one line; the system's without its number, with the file behind."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    return " ".join(text.split())


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Within the block, what the library and Caffe log is told as by every command."""
    import logging
    import sys

    from ul2q.util.console import WARNING

    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{WARNING}%(message)s"))
    loggers = [logging.getLogger(name) for name in ("ul2q", "caffe")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns that are as wide as their longest cell; None is an empty cell."""
    cells = [list(headings), *(["" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(aligned).rstrip())


def print_outputs(prefix: str, outputs: Mapping[str, float], *, last: str | None = None) -> None:
    """Print a line for each output of a net, the one named `last` at the end."""
    names = sorted(outputs, key=lambda name: name == last)
    for name in names:
        print(f"{prefix} {name}: {outputs[name]:.4f}")
