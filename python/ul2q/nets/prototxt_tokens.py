"""The tokens of a prototxt, as protobuf's tokenizer has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SKIPPED = re.compile(r"(?:[ \t\r\n\v\f]|#[^\n]*)*")
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>\.?[0-9](?:[eE][-+]|[0-9A-Za-z_.])*)
    | (?P<sign>[-{}<>\[\]:;,])
    | (?P<end>\Z)""",
    re.VERBOSE,
)
_WHOLE = re.compile(r"""\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\#.*""")  # strings and comments


class Token(NamedTuple):
    """A token, or the end of the text.

    Attributes:
        kind: "string", "word", "number", "sign" or "end".
        text: as it stands there.
        start: where it begins.
        end: where it ends.
    """

    kind: str
    text: str
    start: int
    end: int


def token_at(source: str, start: int) -> Token | int:
    """The first token from `start` on, or where the text begins that is none."""
    skipped = _SKIPPED.match(source, start)
    start = skipped.end() if skipped else start
    match = _TOKEN.match(source, start)
    return start if match is None else Token(str(match.lastgroup), match[0], start, match.end())


def tokens(source: str) -> Iterator[Token]:
    """The tokens of a text up to its end, or to the first place that begins none."""
    token = token_at(source, 0)
    while isinstance(token, Token) and token.kind != "end":
        yield token
        token = token_at(source, token.end)


def lacks_a_quote(source: str, offset: int) -> bool:
    """Whether the line of `offset` has a string without an end: none goes over a line's end."""
    start = source.rfind("\n", 0, offset) + 1
    end = source.find("\n", offset)
    rest = _WHOLE.sub("", source[start : len(source) if end < 0 else end])
    return '"' in rest or "'" in rest
