"""A prototxt as text that can be edited: comments, blank lines and the order of fields stay.

protobuf's text_format loses comments and refuses fields that it does not know. Here a text is a
tree of fields that know where they stand in it; an edit replaces a span of the text, and all that
is not edited stays byte for byte.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.prototxt import PrototxtError, read_text
from ul2q.nets.prototxt_tokens import Token, lacks_a_quote, token_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NO_TOKEN = {
    '"': "a string without its closing quote",
    "'": "a string without its closing quote",
    "\ufeff": "begins with a byte order mark; save it as UTF-8 without one",
}
_BLANKS = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"\r?\n|\Z")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")
_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 100  # blocks within blocks: as deep as protobuf reads by default


@dataclass(frozen=True, eq=False)
class Block:
    """The fields of a message in their order; `start` and `end` enclose its braces."""

    fields: tuple[Field, ...]
    start: int
    end: int

    def all(self, name: str) -> list[Field]:
        """The fields of that name, in their order; each element of a list `[a, b]` is one."""
        return self._by_name.get(name, [])

    def get(self, name: str) -> Field | None:
        """The first field of that name."""
        return next(iter(self.all(name)), None)

    @cached_property
    def _by_name(self) -> dict[str, list[Field]]:
        found: dict[str, list[Field]] = {}
        for entry in self.fields:
            found.setdefault(entry.name, []).append(entry)
        return found


@dataclass(frozen=True, eq=False)
class Field:
    """A field: a name and a value.

    Attributes:
        name: e.g. "num_output".
        block: the value if it is a message, else None.
        text: the value as it stands there: a number, a word, strings with their quotes, a message.
        start: where the name begins.
        end: where the value ends, or the separator after it. The elements of a list `[a, b]` all
            have the span of the whole list.
        value_start: where the value begins.
        value_end: where it ends.
        line: the line of the name, from 1.
    """

    name: str
    block: Block | None
    text: str
    start: int
    end: int
    value_start: int
    value_end: int
    line: int

    @property
    def string(self) -> str:
        """The value of a string field, without quotes and escapes, adjacent strings joined.

        Raises:
            PrototxtError: it is no string.
        """
        try:
            holder = text_format.Parse(f"name: {self.text}", caffe_pb2.NetParameter())
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise PrototxtError(f"{self.name} is {self.text}; it must be a string") from error
        return str(holder.name)


class Document:
    """A prototxt: its fields, and the edits so far.

    `str(document)` is the text with all edits. The fields stay those of the text as it was read,
    so edits may come in any order; those inside a field that is replaced or removed go with it.

    Attributes:
        source: the text as it was read.
        name: the file's name, for messages.
        newline: what ends its lines: a line feed, behind a carriage return on Windows.
        root: the fields at the top.
    """

    def __init__(self, source: str, name: str = "prototxt") -> None:
        """Parse a text.

        Raises:
            PrototxtError: it is no prototxt; the message begins with name:line:column.
        """
        self.source = source
        self.name = name
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", source))]
        self.newline = "\r\n" if "\r\n" in source else "\n"
        self._replaced: dict[tuple[int, int], str] = {}
        self._removed: set[tuple[int, int]] = set()
        self._appended: list[tuple[Block, str]] = []
        self._inserted: list[tuple[int, str]] = []
        self.root = _Parser(self).root()

    @classmethod
    def read(cls, path: Path) -> Document:
        """The document in a file.

        Raises:
            FileNotFoundError: there is no such file.
            IsADirectoryError: it is a folder.
            PrototxtError: it is no prototxt; the message begins with file:line:column.
        """
        return cls(read_text(path), str(path))

    def separate(self, name: str) -> list[Field]:
        """The fields of that name at the top, each of which can be edited by itself.

        Raises:
            PrototxtError: some are the elements of a list `[a, b]`.
        """
        entries = self.root.all(name)
        for entry, following in itertools.pairwise(entries):
            if entry.start == following.start:
                raise self.error(entry.start, f"a list of {name}s; write {name} {{ ... }} for each")
        return entries

    def line(self, offset: int) -> int:
        """The line, from 1, of what stands at `offset` of the source."""
        return bisect_right(self._line_starts, offset)

    def error(self, offset: int, message: str) -> PrototxtError:
        """The error "name:line:column: message" for what stands at `offset` of the source."""
        line = self.line(offset)
        column = offset - self._line_starts[line - 1] + 1
        return PrototxtError(f"{self.name}:{line}:{column}: {message}")

    def set(self, entry: Field, text: str) -> None:
        """Replace a field's value, e.g. by `"relu"` with its quotes, `3` or `{ bits: 2 }`."""
        self._replaced[entry.value_start, entry.value_end] = text

    def replace(self, entry: Field, text: str) -> None:
        """Replace a field, name and value, by other fields; a list as a whole."""
        self._replaced[entry.start, entry.end] = text

    def remove(self, entry: Field) -> None:
        """Remove a field, a list as a whole; its line with it if nothing else stands there.

        A comment behind it on the line stays.
        """
        self._removed.add((entry.start, entry.end))

    def append(self, block: Block, text: str) -> None:
        """Add fields at the end of a block, on a line of their own if its last one has one."""
        self._appended.append((block, text))

    def insert_after(self, entry: Field, name: str, fields: Sequence[str]) -> None:
        """Add a block `name { fields }` behind the block `entry`, laid out as that one is.

        Args:
            entry: a field with a block, e.g. a layer.
            name: of the new field.
            fields: the text of each field of the new block.
        """
        indent = self._indent(entry.start)
        if entry.block and "\n" in entry.text:
            inner = self._inner_indent(entry.block)
            lines = [f"{name} {{", *(inner + text for text in fields), indent + "}"]
            text = self.newline.join(lines)
        else:
            text = f"{name} {{ {' '.join(fields)} }}"
        if rest := _REST_OF_LINE.match(self.source, entry.end):
            self._inserted.append((rest.end(), self.newline + indent + text))
        else:
            self._inserted.append((entry.end, " " + text))

    def __str__(self) -> str:
        """The text with all edits."""
        edits = [(at, at, text) for at, text in self._inserted]
        for block, text in self._appended:
            edits += self._append_edits(block, text)
        edits += [(start, end, text) for (start, end), text in self._replaced.items()]
        edits += [(*self._removal(start, end), "") for start, end in self._removed_runs()]
        # At one place insertions come first; a span swallows what is inside.
        edits.sort(key=lambda edit: (edit[0], edit[0] != edit[1]))
        parts = []
        done = 0
        for start, end, text in edits:
            if start >= done:
                parts += [self.source[done:start], text]
                done = end
        return "".join([*parts, self.source[done:]])

    def _append_edits(self, block: Block, text: str) -> list[tuple[int, int, str]]:
        brace = block.end - 1
        if self._begins_line(brace):
            line = self._line_start(brace)
            return [(line, line, self._inner_indent(block) + text + self.newline)]
        for last in reversed(block.fields):
            if (last.start, last.end) not in self._removed:
                own_line = self._begins_line(last.start)
                gap = self.newline + self._indent(last.start) if own_line else " "
                return [(last.end, last.end, gap + text)]
        first = block.start + 1
        closing = [] if block.fields else [(first, brace, " ")]
        return [(first, first, " " + text), *closing]

    def _removed_runs(self) -> list[tuple[int, int]]:
        """The spans of removed fields, one for fields with only blanks between them."""
        runs: list[tuple[int, int]] = []
        for start, end in sorted(self._removed):
            if runs and not self.source[runs[-1][1] : start].strip(" \t"):
                runs[-1] = (runs[-1][0], max(runs[-1][1], end))
            else:
                runs.append((start, end))
        return runs

    def _removal(self, start: int, end: int) -> tuple[int, int]:
        """A removed span with the blanks, or the line, that would be left over."""
        next_start = _skip(_BLANKS, self.source, end)
        line_end = _LINE_END.match(self.source, next_start)
        if line_end is None:
            return start, next_start
        if self._begins_line(start):
            return self._line_start(start), line_end.end()
        return len(self.source[:start].rstrip(" \t")), end

    def _line_start(self, offset: int) -> int:
        return self._line_starts[self.line(offset) - 1]

    def _begins_line(self, offset: int) -> bool:
        return not self.source[self._line_start(offset) : offset].strip()

    def _indent(self, offset: int) -> str:
        """The blanks that begin the line of `offset`."""
        line = self._line_start(offset)
        return self.source[line : _skip(_BLANKS, self.source, line)]

    def _inner_indent(self, block: Block) -> str:
        """The blanks before the last field of a block that begins a line."""
        for entry in reversed(block.fields):
            if self._begins_line(entry.start):
                return self._indent(entry.start)
        return self._indent(block.start) + "  "


def quoted(text: str) -> str:
    """A text as a string of a prototxt."""
    holder = caffe_pb2.NetParameter(name=text)
    return text_format.MessageToString(holder, as_one_line=True, as_utf8=True).split(" ", 1)[1]


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._source = document.source
        self._token = self._scan(0)

    def root(self) -> Block:
        fields: list[Field] = []
        while self._token.kind != "end":
            fields += self._entry(depth=0)
        return Block(tuple(fields), 0, len(self._source))

    def _block(self, depth: int) -> Block:
        opening = self._next()
        closing = _CLOSING[opening.text]
        fields: list[Field] = []
        while not (end := self._accept(closing)):
            if self._token.kind == "end":
                line = self._document.line(opening.start)
                raise self._error(f"expected {closing} for the {opening.text} of line {line}")
            fields += self._entry(depth)
        return Block(tuple(fields), opening.start, end.end)

    def _entry(self, depth: int) -> list[Field]:
        """A field, or one for each element of a list, and the separator behind it."""
        name = self._token
        if name.text == "[":
            raise self._error("extensions are not supported")
        if name.kind != "word":
            raise self._error("expected the name of a field")
        self._next()
        colon = self._accept(":")
        values: list[tuple[int, int, Block | None]] = []
        if self._accept("["):
            while not (last := self._accept("]")):
                if values and not self._accept(","):
                    raise self._error("expected , or ]")
                values.append(self._value(colon, depth))
            end = last.end
        else:
            values.append(self._value(colon, depth))
            end = values[0][1]
        separator = self._accept(";") or self._accept(",")
        return [
            Field(
                name=name.text,
                block=block,
                text=self._source[value_start:value_end],
                start=name.start,
                end=separator.end if separator else end,
                value_start=value_start,
                value_end=value_end,
                line=self._document.line(name.start),
            )
            for value_start, value_end, block in values
        ]

    def _value(self, colon: Token | None, depth: int) -> tuple[int, int, Block | None]:
        """Where a value begins and ends, and what it is if it is a message."""
        first = self._token
        if first.text in _CLOSING:
            if depth == _DEEPEST:
                raise self._error(f"more than {_DEEPEST} blocks within each other")
            block = self._block(depth + 1)
            return block.start, block.end, block
        if not colon:
            raise self._error("expected : or {")
        self._accept("-")
        if self._token.kind not in ("word", "number", "string"):
            raise self._error("expected a value")
        last = self._next()
        while last.kind == "string" and self._token.kind == "string":
            last = self._next()
        return first.start, last.end, None

    def _accept(self, text: str) -> Token | None:
        return self._next() if self._token.text == text else None

    def _next(self) -> Token:
        """The token that was ahead."""
        token = self._token
        self._token = self._scan(token.end)
        return token

    def _scan(self, start: int) -> Token:
        """The first token from `start` on."""
        token = token_at(self._source, start)
        if not isinstance(token, Token):
            found = self._source[token]
            raise self._document.error(token, _NO_TOKEN.get(found, f"unexpected {found!r}"))
        return token

    def _error(self, message: str) -> PrototxtError:
        if lacks_a_quote(self._source, self._token.start):
            return self._document.error(self._token.start, _NO_TOKEN['"'])
        found = self._token.text or "the end of the text"
        return self._document.error(self._token.start, f"{message}, found {found}")


def _skip(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where `pattern`, if it is there at all, ends that begins at `start`."""
    match = pattern.match(text, start)
    return match.end() if match else start
