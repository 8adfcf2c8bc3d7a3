"""What is wrong with a prototxt, in words: the place, the field, and what would be right.

protobuf's text_format tells what its parser stumbled over, often far behind the mistake, and cites
the whole line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caffe import _caffe
from caffe.proto import caffe_pb2

from ul2q.nets.prototxt_tokens import Token, lacks_a_quote, tokens
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NO_FIELD = re.compile(r'Message type "(?P<type>[\w.]+)" has no field named "(?P<name>[^"]+)"')
_NO_VALUE = re.compile(r'Enum type "(?P<type>[\w.]+)" has no value named (?P<name>[^ .]+)')
_TWICE = re.compile(r'should not have multiple "(?P<name>\w+)" fields')
_NO_NUMBER = re.compile(r"Couldn't parse (?P<kind>integer|float): (?P<value>.+)$", re.DOTALL)
_OUT_OF_RANGE = re.compile(r"Value out of range: (?P<value>\S+)")
_NO_STRING = re.compile(r"Expected string but found: '(?P<value>.*)'", re.DOTALL)
_NO_BOOL = re.compile(r'Expected "true" or "false", found "(?P<value>.*)"', re.DOTALL)
_POSITION = re.compile(r"^(?P<line>\d+):(?P<column>\d+) : ")
_LINE = re.compile(r"^'.*': (?=[A-Z])", re.DOTALL)  # which protobuf cites

_CLOSING = ("}", ">")
_OPENING = ("{", "<")
_KINDS = {
    "SolverParameter": ("a solver", "a solver's prototxt"),
    "NetParameter": ("a net", "a net's prototxt"),
}
_HINTS = {
    "/": "comments begin with #",
    "{": "a prototxt is no JSON: fields stand without braces around them all",
    "\ufeff": "the file begins with a byte order mark; save it as UTF-8 without one",
}
_INTEGERS = {"int32": 2**31, "int64": 2**63, "uint32": 2**32, "uint64": 2**64}  # values ≥ 0


def wanted_file(kind: str) -> str:
    """What a file of the message `kind` is called in messages, e.g. "a net's prototxt"."""
    return _KINDS[kind][1]


@dataclass
class _Open:
    """A block whose end has not come yet."""

    field: str
    line: int
    name: str | None = None  # what its field `name` says, e.g. a layer's

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"the {{ of {self.field}{name} in line {self.line}"


@dataclass(frozen=True)
class _Place:
    """Where protobuf's parser stopped.

    Attributes:
        text: the prototxt.
        offset: the place in it.
        root: the descriptor of the message that the text should be.
        blocks: those that are open there.
        field: the last field's name before it.
    """

    text: str
    offset: int
    root: Any
    blocks: list[_Open]
    field: str

    @property
    def found(self) -> str:
        """The character at the place."""
        return self.text[self.offset : self.offset + 1]


def explain_text(text: str, error: str, root: Any) -> tuple[str, str]:
    """Where and what is wrong with a text.

    Args:
        text: the prototxt.
        error: what text_format says, with or without its position.
        root: the descriptor of the message that the text should be.

    Returns:
        "line:column", or "" if protobuf does not say where; and the message.
    """
    match = _POSITION.match(error)
    if match is None:
        return "", explain(error)
    line, column = int(match["line"]), int(match["column"])
    message = _LINE.sub("", error[match.end() :])
    starts = [0, *(end.end() for end in re.finditer("\n", text)), len(text)]
    offset = starts[min(line, len(starts)) - 1] + column - 1
    end = len(text) if message.startswith('Expected "}"') else offset
    blocks, field = _context(text, (token for token in tokens(text) if token.start < end))
    place = _Place(text, offset, root, blocks, field)
    explained = (rule(place, message) for rule in _RULES)
    return f"{line}:{column}", next(filter(None, explained), explain(message))


def other_kind(text: str, root: Any) -> str | None:
    """What a text is if it is none of the message `root`: "a net" or "a solver"; else None.

    Told by the names of its fields, of which it has more of the other message's.
    """
    names = list(_top_names(text))
    shares = {
        kind: sum(name in descriptor.fields_by_name for name in names)
        for kind, descriptor in (
            ("SolverParameter", caffe_pb2.SolverParameter.DESCRIPTOR),
            ("NetParameter", caffe_pb2.NetParameter.DESCRIPTOR),
        )
    }
    best = max(shares, key=lambda kind: shares[kind])
    return None if shares[best] <= shares.get(root.name, 0) else _KINDS[best][0]


def explain(message: str) -> str:
    """A text parser's message without its position, with near names for unknown words."""
    pool = caffe_pb2.DESCRIPTOR.pool
    if match := _NO_FIELD.search(message):
        fields = pool.FindMessageTypeByName(match["type"]).fields_by_name
        kind = match["type"].rpartition(".")[2]
        about = _caffe._about_fork_field(match["type"], match["name"])
        hint = f"; {about}" if about else near_names(match["name"], fields)
        return f"{kind} has no field {match['name']!r}{hint}"
    if match := _NO_VALUE.search(message):
        values = pool.FindEnumTypeByName(match["type"]).values_by_name
        kind = match["type"].rpartition(".")[2]
        name = match["name"].strip("\"'")
        near = near_names(name, values) or ";"
        return f"{kind} has no value {name!r}{near} it is one of {', '.join(values)}"
    return _LINE.sub("", _POSITION.sub("", message))


def _quote(place: _Place, message: str) -> str | None:
    if lacks_a_quote(place.text, place.offset) or "missing ending quote" in message:
        return 'a string without its closing quote: a " is missing in this line'
    return None


def _old_format(_: _Place, message: str) -> str | None:
    if "V1LayerParameter.LayerType" not in message:
        return None
    return (
        "`layers` is the format of 2013/14; write `layer`, which takes types in quotes such as "
        '"InnerProduct"'
    )


def _unknown_field(place: _Place, message: str) -> str | None:
    match = _NO_FIELD.search(message)
    if match is None:
        return None
    if match["name"][0].isdigit():
        return f"{place.field} has a comma in its number; decimals are written with a point, as 0.1"
    unclosed = _unclosed(place.root, place.blocks, match["name"])
    if unclosed is None:
        return None
    return f"a }} is missing before {match['name']!r}: {unclosed} is not closed"


def _sign(place: _Place, message: str) -> str | None:
    """A brace, a colon or a name that is missing or too much."""
    if message.startswith('Expected "}"'):
        unclosed = str(place.blocks[-1]) if place.blocks else "a block"
        return f"a }} is missing: {unclosed} is not closed"
    if message.startswith('Expected ":"'):
        return f"a colon is missing: write {place.field}: and the value"
    if message.startswith('Expected "{"'):
        return f"a {{ is missing: {place.field} takes fields, write {place.field} {{ ... }}"
    if not message.startswith("Expected identifier"):
        return None
    if place.found in _CLOSING:
        return f"a {place.found} too many: no block is open here"
    hint = _HINTS.get(place.found, "fields are written as name: value or name { ... }")
    return f"a field's name is expected here, not {place.found!r}; {hint}"


def _number(place: _Place, message: str) -> str | None:
    if match := _NO_NUMBER.search(message):
        kind = "an integer" if match["kind"] == "integer" else "a number"
        value = match["value"].strip()
        is_quoted = value[:1] in {'"', "'"} and _is_number(value[1:-1])
        return f"{place.field} takes {kind}{' without quotes' if is_quoted else ''}, not {value}"
    if match := _OUT_OF_RANGE.search(message):
        limits = _limits(place.root, place.blocks, place.field) or "within the range of its type"
        return f"{place.field} is {match['value']}; must be {limits}"
    return None


def _other_value(place: _Place, message: str) -> str | None:
    if match := _NO_STRING.search(message):
        return f'{place.field} takes a text in quotes: {place.field}: "{match["value"]}"'
    if match := _NO_BOOL.search(message):
        return f"{place.field} takes true or false, not {match['value']}"
    if match := _TWICE.search(message):
        return f"{match['name']} is given twice; it takes one value"
    return None


# Each gives the words for its kind of mistake, None for others; the first that has some counts.
_RULES = (_quote, _old_format, _unknown_field, _sign, _number, _other_value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _context(text: str, before: Iterable[Token]) -> tuple[list[_Open], str]:
    """The blocks that are open behind these tokens, and the last field's name."""
    blocks: list[_Open] = []
    field, line, done = "", 1, 0
    value_follows = False
    for token in before:
        line += text.count("\n", done, token.start)
        done = token.start
        if token.text in _OPENING:
            blocks.append(_Open(field, line))
        elif token.text in _CLOSING:
            del blocks[-1:]
        elif token.kind == "word" and not value_follows:
            field = token.text
        elif token.kind == "string" and field == "name" and blocks:
            blocks[-1].name = blocks[-1].name or token.text
        value_follows = token.text == ":"
    return blocks, field


def _unclosed(root: Any, blocks: list[_Open], name: str) -> _Open | None:
    """The block that must end before a field of this name can come; None if there is none."""
    types = [root]
    for block in blocks:
        field = types[-1].fields_by_name.get(block.field)
        if field is None or field.message_type is None:
            return None
        types.append(field.message_type)
    for depth in reversed(range(len(blocks))):
        if name in types[depth].fields_by_name:
            return blocks[depth]
    return None


def _limits(root: Any, blocks: list[_Open], name: str) -> str | None:
    """The range of an integer field in words."""
    message = root
    for block in blocks:
        field = message.fields_by_name.get(block.field)
        message = None if field is None else field.message_type
        if message is None:
            return None
    field = message.fields_by_name.get(name)
    for kind, count in _INTEGERS.items():
        if field is not None and field.type == getattr(field, f"TYPE_{kind.upper()}"):
            return f"{0 if kind.startswith('u') else -count} to {count - 1}"
    return None


def _top_names(text: str) -> Iterator[str]:
    """The names of the fields at the top of a text, which need not parse."""
    depth = 0
    previous: Token | None = None
    for token in tokens(text):
        has_value = token.text in _OPENING or token.text == ":"
        if has_value and depth == 0 and previous is not None and previous.kind == "word":
            yield previous.text
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        previous = token
