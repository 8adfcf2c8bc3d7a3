"""A YAML file whose entries know where they stand, for errors that name file, line and key."""

from __future__ import annotations

import itertools
import re
import reprlib
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from ul2q.errors import UserError
from ul2q.util.input_file import require_file
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_NAME = re.compile(r"\w[\w.+-]*")
_MOST_VALUES = 100_000  # of a file, with its aliases written out


class SpecError(UserError, ValueError):
    """A spec that cannot be read or that contradicts itself; the message begins with file:line."""


class Section:
    """A mapping of a YAML file, with checked ways to read its entries.

    Attributes:
        name: the keys that lead to it, joined by dots; "" for the whole file.
    """

    def __init__(self, file: str, line: int) -> None:
        """Begin an empty section at a line, from 1; the loader fills it."""
        self.name = ""
        self._file = file
        self._line = line
        self._values: dict[str, Any] = {}
        self._lines: dict[str, int] = {}

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry of that name, be it empty."""
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        """The names of the entries in their order."""
        return iter(self._values)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._values)

    def error(self, key: str, message: str) -> SpecError:
        """An error about an entry, or with "" about the section."""
        line = self._lines.get(key, self._line)
        name = ".".join(filter(None, (self.name, key)))
        return SpecError(f"{self._file}:{line}: {name}{': ' if name else ''}{message}")

    def allow(self, *known: str) -> None:
        """Raise SpecError if there is an entry of another name."""
        for key in self._values:
            if key not in known:
                raise self.error(key, f"unknown key{near(key, known)}")

    def value(self, key: str) -> Any:
        """An entry as YAML has it; None if there is none."""
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        """An entry that is a text; None if there is none."""
        value = self.value(key)
        if value is not None and not isinstance(value, str):
            raise self.error(key, f"must be a text, it is {_show(value)}")
        return value

    def integer(self, key: str) -> int | None:
        """An entry that is a whole number; None if there is none."""
        value = self.value(key)
        if value is not None and not _is_integer(value):
            raise self.error(key, f"must be a whole number, it is {_show(value)}")
        return None if value is None else int(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """An entry that is a whole number or a list of them, each once; () if there is none."""
        values = self._list(key)
        if not all(map(_is_integer, values)):
            raise self.error(
                key, f"must be a whole number or a list of them, it is {_show(self.value(key))}"
            )
        return values

    def texts(self, key: str) -> tuple[str, ...]:
        """An entry that is a text or a list of them, each once; () if there is none."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self.error(
                key, f"must be a text or a list of them, it is {_show(self.value(key))}"
            )
        return values

    def section(self, key: str) -> Section:
        """An entry that is a mapping; an empty section if there is none."""
        value = self.value(key)
        if value is None:
            value = Section(self._file, self._lines.get(key, self._line))
        elif not isinstance(value, Section):
            raise self.error(key, f"must be a mapping of keys to values, it is {_show(value)}")
        named = Section(value._file, value._line)
        named.name = ".".join(filter(None, (self.name, key)))
        named._values, named._lines = value._values, value._lines
        return named

    def named_sections(self, key: str) -> dict[str, Section]:
        """An entry that maps names to mappings; the names go into the names of folders."""
        outer = self.section(key)
        for name in outer:
            if not _NAME.fullmatch(name):
                raise outer.error(name, "a name is made of letters, digits and _ . + -")
        return {name: outer.section(name) for name in outer}

    def _list(self, key: str) -> tuple[Any, ...]:
        value = self.value(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        for place, one in enumerate(values):
            if one in values[:place]:
                raise self.error(key, f"{_show(one)} stands there twice")
        return tuple(values)


def read_sections(text: str, file: str) -> Section:
    """The mapping that a YAML text is.

    Args:
        text: the YAML.
        file: its name, for messages.

    Raises:
        SpecError: it is no mapping.
    """
    try:
        value = _parse(text, file)
    except RecursionError as error:
        raise SpecError(f"{file}: lists or mappings stand too deep within each other") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(
            f"{file}:{line}: the character {chr(error.character)!r} is not allowed"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SpecError(f"{file}{where}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{file}: {' '.join(str(error).split())}") from error
    if not isinstance(value, Section):
        raise SpecError(f"{file}: must be a mapping of keys to values, it is {_show(value)}")
    return value


def _parse(text: str, file: str) -> object:
    loader = _Loader(text)
    loader.file = file
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if loader.values_of(node) > _MOST_VALUES:
            raise SpecError(f"{file}: its aliases stand for more than {_MOST_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: there is none.
        SpecError: it is not UTF-8.
    """
    require_file(path, "a sweep's YAML file, which docs/sweep.md describes")
    if path.suffix == ".prototxt":
        raise SpecError(f"{path} is a prototxt; a sweep is described by a YAML file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error


def near(name: str, known: Collection[str]) -> str:
    """What to add to an error about a name: "; did you mean …?", or what there is."""
    return near_names(name, known) or (f"; there is {', '.join(known)}" if known else "")


class _Loader(yaml.SafeLoader):
    """Makes a Section of each mapping."""

    file = ""

    def values_of(self, node: yaml.Node, known: dict[yaml.Node, int] | None = None) -> int:
        """The number of values that a node stands for, each alias written out.

        Args:
            node: any.
            known: what has been counted.

        Raises:
            SpecError: it contains itself.
        """
        known = {} if known is None else known
        if node not in known:
            known[node] = 0  # till it is counted
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            inside = itertools.chain(*parts) if isinstance(node, yaml.MappingNode) else parts
            known[node] = 1 + sum(self.values_of(part, known) for part in inside)
        elif known[node] == 0:
            raise SpecError(f"{self.file}:{node.start_mark.line + 1}: an alias contains itself")
        return known[node]

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What a node stands for; SpecError for one that looks like a date and is none."""
        try:
            return super().construct_object(node, deep)
        except SpecError:
            raise
        except (ValueError, OverflowError) as error:
            raise SpecError(f"{self.file}:{node.start_mark.line + 1}: {error}") from error

    def section(self, node: yaml.MappingNode) -> Section:
        made = Section(self.file, node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise SpecError(
                    f"{self.file}:{line}: the key {_show(key)} must be a text: quote it"
                )
            if key in made:
                raise SpecError(f"{self.file}:{line}: {key!r} stands there twice")
            made._values[key] = self.construct_object(value_node, deep=True)
            made._lines[key] = line
        return made


def _refuse_tag(loader: _Loader, node: yaml.Node) -> NoReturn:
    raise SpecError(f"{loader.file}:{node.start_mark.line + 1}: unknown tag {node.tag!r}")


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.section)
_Loader.add_constructor(None, _refuse_tag)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _show(value: object) -> str:
    if isinstance(value, Section):
        return "a mapping"
    if value is None:
        return "empty"
    shown = reprlib.Repr()
    shown.maxstring = shown.maxlong = shown.maxother = 80
    return shown.repr(value)
