"""Read prototxt files, with errors that name file, line, column and the nearest field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.errors import UserError
from ul2q.nets.bundled import near_bundled
from ul2q.nets.prototxt_errors import explain_text, other_kind, wanted_file
from ul2q.util.input_file import require_file

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath

_NET_OF_SOLVER = re.compile(r"""^\s*(?:train_)?net\s*:\s*("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
# Neither text nor what a text in another encoding than UTF-8 holds.
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_COMMENT = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")  # or a string
_FOREIGN = re.compile(r"[\udc80-\udcff]")  # a byte that is not UTF-8, as `read_text` gives it
_BINARY = {
    ".caffemodel": "weights",
    ".caffemodel.h5": "weights",
    ".solverstate": "a solver's state",
    ".solverstate.h5": "a solver's state",
    ".binaryproto": "a mean image",
    ".mdb": "an LMDB's data",
}


class PrototxtError(UserError, ValueError):
    """A prototxt that cannot be parsed or that contradicts itself."""


def read_net(path: StrPath) -> caffe_pb2.NetParameter:
    """The `NetParameter` in the text file `path`.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no NetParameter; the message begins with file:line:column.
    """
    path = Path(path)
    return _read(path, caffe_pb2.NetParameter())


def read_solver(path: StrPath) -> caffe_pb2.SolverParameter:
    """The `SolverParameter` in the text file `path`, as it stands there.

    Raises:
        FileNotFoundError: there is no such file.
        PrototxtError: it is no SolverParameter; the message begins with file:line:column.
    """
    path = Path(path)
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


def read_text(path: Path, what: str = "a prototxt") -> str:
    """The text of a prototxt.

    Comments may be in any encoding that has ASCII's characters, such as GBK and Latin-1: their
    bytes that are not UTF-8 become lone surrogates (Python's error handler "surrogateescape"),
    which `text_bytes` turns into the same bytes again.

    Args:
        path: the file.
        what: what it should be, for messages, e.g. "a net's prototxt".

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        PrototxtError: it holds weights or a solver's state, or no text, or has bytes that are not
            UTF-8 outside of comments.
    """
    if not path.exists() and (near := near_bundled(path)):
        raise FileNotFoundError(f"{path}: no such file{near}")
    require_file(path, what)
    for suffix, held in _BINARY.items():
        if path.name.endswith(suffix):
            raise PrototxtError(f"{path} holds {held}; give {what}")
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if _NO_TEXT.search(content):
            raise PrototxtError(
                f"{path}: not a text file (byte {error.start} is not UTF-8); give {what}"
            ) from error
    text = content.decode("utf-8", "surrogateescape")
    code = _COMMENT.sub(lambda match: " " * len(match[0]) if match[0][0] == "#" else match[0], text)
    if foreign := _FOREIGN.search(code):
        line = text.count("\n", 0, foreign.start()) + 1
        column = foreign.start() - text.rfind("\n", 0, foreign.start())
        raise PrototxtError(
            f"{path}:{line}:{column}: a character that is not UTF-8, as in files of another "
            "encoding; only comments may have such: save the file as UTF-8"
        )
    return text


def text_bytes(text: str) -> bytes:
    """A text as it is written to a file: UTF-8, and the bytes of comments that `read_text` kept."""
    return text.encode("utf-8", "surrogateescape")


def _read(path: Path, message: Any) -> Any:
    text = read_text(path, wanted_file(message.DESCRIPTOR.name))
    return _parse(text, str(path), message)


def _parse(text: str, name: str, message: Any) -> Any:
    descriptor = message.DESCRIPTOR
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        where, what = explain_text(text, str(error), descriptor)
        if kind := other_kind(text, descriptor):
            what = f"this is {kind}; give {wanted_file(descriptor.name)}{_named(text, kind)}"
        raise PrototxtError(f"{name}:{where}: {what}") from error


def _named(text: str, kind: str) -> str:
    """Where the right file is: the net that a solver names, or a solver that names the net."""
    match = _NET_OF_SOLVER.search(text)
    if kind == "a net":
        return ", which names this net"
    return f", such as the one that it names, {match[1]}" if match else ""
