"""Read prototxt files, with errors that name file, line, column and the nearest field."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NO_FIELD = re.compile(r'Message type "(?P<type>[\w.]+)" has no field named "(?P<name>[^"]+)"')
_NO_VALUE = re.compile(r'Enum type "(?P<type>[\w.]+)" has no value named (?P<name>[^ .]+)')
_POSITION = re.compile(r"^\d+:\d+ : ")


class PrototxtError(UserError, ValueError):
    """A prototxt that cannot be parsed or that contradicts itself."""


def read_net(path: Path) -> caffe_pb2.NetParameter:
    """The `NetParameter` in the text file `path`.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no NetParameter; the message begins with file:line:column.
    """
    return _read(path, caffe_pb2.NetParameter())


def read_solver(path: Path) -> caffe_pb2.SolverParameter:
    """The `SolverParameter` in the text file `path`, as it stands there.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no SolverParameter; the message begins with file:line:column.
    """
    return _read(path, caffe_pb2.SolverParameter())


def parse_net(text: str, name: str) -> caffe_pb2.NetParameter:
    """The `NetParameter` in a text.

    Args:
        text: the prototxt.
        name: of its file, for messages.

    Raises:
        PrototxtError: it is no NetParameter; the message begins with name:line:column.
    """
    return _parse(text, name, caffe_pb2.NetParameter())


def parse_solver(text: str, name: str) -> caffe_pb2.SolverParameter:
    """The `SolverParameter` in a text; arguments and errors are those of `parse_net`."""
    return _parse(text, name, caffe_pb2.SolverParameter())


def _read(path: Path, message: Any) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PrototxtError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error
    return _parse(text, str(path), message)


def _parse(text: str, name: str, message: Any) -> Any:
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        where = ":".join(str(n) for n in (error.GetLine(), error.GetColumn()) if n is not None)
        raise PrototxtError(f"{name}:{where}: {explain(str(error))}") from error


def explain(message: str) -> str:
    """A text parser's message without its position, with near names for unknown words."""
    pool = caffe_pb2.DESCRIPTOR.pool
    if match := _NO_FIELD.search(message):
        fields = pool.FindMessageTypeByName(match["type"]).fields_by_name
        kind = match["type"].rpartition(".")[2]
        return f"{kind} has no field {match['name']!r}{near_names(match['name'], fields)}"
    if match := _NO_VALUE.search(message):
        values = pool.FindEnumTypeByName(match["type"]).values_by_name
        kind = match["type"].rpartition(".")[2]
        name = match["name"].strip("\"'")
        return f"{kind} has no value {name!r}; it is one of {', '.join(values)}"
    return _POSITION.sub("", message)


def near_names(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing if no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
