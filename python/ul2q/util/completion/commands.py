"""What completion needs to know of a parser: commands, options, what their values are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Kind = Literal["none", "file", "folder", "choice", "other"]
"""What a value is; none: an option without one."""


@dataclass(frozen=True)
class Argument:
    """An option, or an argument that stands by its place.

    Attributes:
        flags: of an option; () for an argument.
        kind: of its value.
        choices: the values that there are, for the kind "choice"; of a file, names that may stand
            for one.
        metavar: the value's name.
        help: what it is.
        repeats: whether it may be given again.
    """

    flags: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...]
    metavar: str
    help: str
    repeats: bool


@dataclass(frozen=True)
class Command:
    """A command, or the program.

    Attributes:
        path: the words behind the program's name, () for the program itself.
        help: what it does.
        options: with -h and --help.
        arguments: those that stand by their place.
        commands: the names of its commands, with what they do.
    """

    path: tuple[str, ...]
    help: str
    options: tuple[Argument, ...]
    arguments: tuple[Argument, ...]
    commands: dict[str, str]


def read_commands(parser: argparse.ArgumentParser) -> list[Command]:
    """The program, its commands, and theirs."""
    return list(_read(parser, (), parser.description or ""))


def _read(parser: argparse.ArgumentParser, path: tuple[str, ...], text: str) -> Iterator[Command]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    helps = {one.dest: one.help or "" for action in inner for one in action._choices_actions}
    plain = [action for action in parser._actions if action not in inner]
    yield Command(
        path,
        text,
        tuple(_argument(action) for action in plain if action.option_strings),
        tuple(_argument(action) for action in plain if not action.option_strings),
        {name: helps.get(name, "") for action in inner for name in action.choices},
    )
    for action in inner:
        for name, command in action.choices.items():
            yield from _read(command, (*path, name), helps.get(name, ""))


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    text = (action.help or "") % {"default": action.default, "prog": ""}
    return Argument(
        flags=tuple(action.option_strings),
        kind=_kind(action),
        choices=_choices(action),
        metavar=metavar,
        help=" ".join(text.split()),
        repeats=isinstance(action, argparse._AppendAction) or action.nargs in ("+", "*"),
    )


def _kind(action: argparse.Action) -> Kind:
    if action.option_strings and action.nargs == 0:
        return "none"
    if action.choices is not None:
        return "choice"
    if _is_path(action.type):
        return "folder" if action.metavar == "DIR" else "file"
    return "choice" if _choices(action) else "other"


def _choices(action: argparse.Action) -> tuple[str, ...]:
    """An action's choices, or what the method `names` of its type gives."""
    if action.choices is not None:
        return tuple(map(str, action.choices))
    names = getattr(action.type, "names", None)
    return () if names is None else tuple(names())


def _is_path(kind: object) -> bool:
    """Whether a value's type is a path, or a function that makes one."""
    called = (kind, vars(type(kind)).get("__call__"))  # a function, or what an object does
    returned = [getattr(one, "__annotations__", {}).get("return", "") for one in called]
    return kind is Path or any("Path" in str(one) for one in returned)


def flags_of(arguments: Iterable[Argument], wanted: Callable[[Argument], bool]) -> list[str]:
    """The flags of the options for which `wanted` holds."""
    return [flag for one in arguments if wanted(one) for flag in one.flags]
