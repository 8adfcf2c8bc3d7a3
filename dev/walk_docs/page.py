"""A page of the documentation as a reader goes through it: its blocks of code, in order.

Commands are indented by four spaces, or fenced as sh; other fences have their language. Comments
that no reader sees tell a walk what it cannot know:

    <!-- walk: skip REASON -->               the next block is not run, or
    <!-- walk: skip `ul2q x`: REASON -->     its lines that begin so
    <!-- walk: bring NAME, NAME -->          what a reader has at hand from here on
    <!-- walk: set NAME=VALUE -->            in the environment, up to the end of the page
    <!-- walk: file NAME -->                 the next block is what stands in this file
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SHELL = "sh"
"""The language of blocks of commands."""
# What a line of a command begins with; other indented blocks are formulas and the like.
_COMMANDS = (
    ".",
    "caffe",
    "export",
    "make",
    "mpiexec",
    "pip",
    "python",
    "tensorboard",
    "touch",
    "ul2q",
)
_BEGINS = re.compile(rf"(?:[A-Z_0-9]+=\S* )*(?:{'|'.join(map(re.escape, _COMMANDS))}) ")
_MARK = re.compile(r"^<!-- walk: (?P<kind>\w+) (?P<text>.*?) -->$", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^`(?P<begin>[^`]+)`: (?P<reason>.*)$", re.DOTALL)
_FENCE = re.compile(r"^```(?P<language>\w*)$")
_INDENT = "    "
_LINK = re.compile(r"\]\(([\w./-]+\.md)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_MADE = re.compile(r"(?:data|runs|\w+_files)/[\w./-]*\w/?|\w+\.html")


class PageError(Exception):
    """A page that no reader could follow."""


@dataclass(frozen=True)
class Skip:
    """What of a block is not run.

    Attributes:
        begin: how its lines begin; "" for all of them.
        reason: why.
    """

    begin: str
    reason: str


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: that of the page on which its text begins.
        language: `SHELL`, that of its fence, or "" for what is neither.
        text: what a reader copies.
        skips: what of it is not run.
        bring: the names of what a reader brings along for it.
        variables: what the environment has from here on.
        file: the file that it is to be; None for none.
    """

    line: int
    language: str
    text: str
    skips: tuple[Skip, ...] = ()
    bring: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    file: str | None = None

    def commands(self) -> list[tuple[str, Skip | None]]:
        """The commands of a block of them, each with why it is not run."""
        joined = re.sub(r"\\\n *", "", self.text)
        return [(line, self._skip(line)) for line in joined.splitlines() if line.strip()]

    @property
    def skip(self) -> Skip | None:
        """Why the block is not run at all."""
        return self._skip("")

    def _skip(self, line: str) -> Skip | None:
        return next((one for one in self.skips if line.startswith(one.begin)), None)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: its path below the project's root.
        blocks: its blocks of code.
        made: the files and folders in data/ and runs/, and of a report, that its text names.
    """

    name: str
    blocks: tuple[Block, ...]
    made: tuple[str, ...]


def read_pages(root: Path) -> list[Page]:
    """README.md, then the pages below docs/ in the order of docs/README.md.

    Raises:
        PageError: a page cannot be read.
    """
    index = root / "docs" / "README.md"
    paths = [index.parent / link for link in _LINK.findall(index.read_text(encoding="utf-8"))]
    pages = dict.fromkeys([root / "README.md", *(one.resolve() for one in paths)])
    return [
        read_page(path, path.relative_to(root).as_posix())
        for path in pages
        if path.parent == root or root / "docs" in path.parents
        if path.name not in ("CHANGELOG.md", "CONTRIBUTING.md")
    ]


def read_page(path: Path, name: str) -> Page:
    """Read a page.

    Raises:
        PageError: a block has commands and other lines, a fence has no end, a mark has no block or
            is none.
    """
    text = path.read_text(encoding="utf-8")
    blocks = []
    marks: list[tuple[str, str]] = []
    for line, language, block in _parts(text.splitlines(), name):
        if language == "mark":
            if (mark := _MARK.fullmatch(block)) is None:
                raise PageError(f"{name}:{line}: {block!r} is no mark")
            marks.append((mark["kind"], " ".join(mark["text"].split())))
            continue
        blocks.append(_block(line, language, block, marks, name))
        marks.clear()
    if marks:
        raise PageError(f"{name}: no block stands behind the mark {marks[0][0]!r}")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    codes = [code for code in _CODE.findall(prose) if _MADE.fullmatch(code)]
    return Page(name, tuple(blocks), tuple(dict.fromkeys(codes)))


def _parts(lines: Sequence[str], name: str) -> Iterator[tuple[int, str, str]]:
    """The blocks and marks of a page: the line, the language, the text."""
    at = 0
    while at < len(lines):
        begin, fence = at, _FENCE.match(lines[at])
        if fence:
            while (at := at + 1) < len(lines) and lines[at] != "```":
                pass
            if at == len(lines):
                raise PageError(f"{name}:{begin + 1}: this fence has no end")
            text = "\n".join(lines[begin + 1 : at])
            yield begin + 2, fence["language"], f"{text}\n"
        elif lines[at].startswith("<!-- walk:"):
            while at < len(lines) and not lines[at].endswith("-->"):
                at += 1
            yield begin + 1, "mark", "\n".join(lines[begin : at + 1])
        elif lines[at].startswith(_INDENT) and (at == 0 or not lines[at - 1].strip()):
            while at + 1 < len(lines) and lines[at + 1].startswith(_INDENT):
                at += 1
            text = "\n".join(line.removeprefix(_INDENT) for line in lines[begin : at + 1])
            yield begin + 1, _indented(text, f"{name}:{begin + 1}"), f"{text}\n"
        at += 1


def _indented(text: str, place: str) -> str:
    """The language of an indented block."""
    lines = [line for line in re.sub(r"\\\n *", "", text).splitlines() if line.strip()]
    begins = [_BEGINS.match(line) is not None for line in lines]
    if any(begins) and not all(begins):
        other = lines[begins.index(False)]
        raise PageError(f"{place}: a block of commands has the line {other!r}: fence it as sh")
    return SHELL if all(begins) else ""


def _block(line: int, language: str, text: str, marks: list[tuple[str, str]], name: str) -> Block:
    skips, bring, file = [], [], None
    variables: dict[str, str] = {}
    for kind, told in marks:
        if kind == "skip":
            part = _PART.match(told)
            skips.append(Skip(part["begin"], part["reason"]) if part else Skip("", told))
        elif kind == "bring":
            bring += told.split(", ")
        elif kind == "set":
            key, _, value = told.partition("=")
            variables[key] = value
        elif kind == "file":
            file = told
        else:
            raise PageError(f"{name}:{line}: there is no mark {kind!r}")
    for one in skips:
        if one.begin and not any(row.startswith(one.begin) for row in text.splitlines()):
            raise PageError(f"{name}:{line}: no line begins with {one.begin!r}")
    return Block(line, language, text, tuple(skips), tuple(bring), variables, file)
