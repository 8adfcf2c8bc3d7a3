"""The commands that README.md and docs/ print are ones that there are, whether CI runs them or not.

`make check-docs` runs them: `dev.walk_docs`.
"""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from dev.walk_docs.page import SHELL, read_pages
from ul2q import cli
from ul2q.cli.common import CommandParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.name: page for page in read_pages(ROOT)}
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
# Without what is set before them, and without outlines such as `ul2q test NET [--json]`.
COMMANDS = [
    re.sub(r"^(?:[A-Z_0-9]+=\S* )+", "", command)
    for page in PAGES.values()
    for block in page.blocks
    if block.language == SHELL
    for command, _ in block.commands()
    if "[--" not in command and "…" not in command
]
COMPLETIONS = sorted(set(re.findall(r"ul2q completion \w+", TEXTS["docs/command_line.md"])))


def test_there_are_commands() -> None:
    words = [command.split()[0] for command in COMMANDS]
    assert words.count("ul2q") > 50
    assert words.count("make") > 5
    assert len(COMPLETIONS) == 3


@pytest.mark.parametrize(
    "command", [*(one for one in COMMANDS if one.startswith("ul2q ")), *COMPLETIONS]
)
def test_ul2q_takes_the_commands(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    for command_file in cli.commands():
        monkeypatch.setattr(command_file, "run", called.append)
    assert cli.main(shlex.split(command, comments=True)[1:]) == 0
    assert len(called) == 1


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("make ")])
def test_make_has_the_targets(command: str) -> None:
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(shlex.split(command, comments=True)[1:]) <= set(rules)


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("docs/training.md", "train"),
        ("docs/prediction.md", "predict"),
        ("docs/distillation.md", "distil"),
    ],
)
def test_every_option_has_its_row(page: str, command: str) -> None:
    (parsers,) = (
        action
        for action in cli.command_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    parser = parsers.choices[command]
    assert isinstance(parser, CommandParser)
    options = {
        option
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    rows = re.findall(r"^\| (`--.*?) \|", TEXTS[page], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"--[a-z][\w-]*", row)} == options


@pytest.mark.parametrize("name", PAGES)
def test_every_prototxt_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"\bprototxt/[a-z]\w+/\w+\.prototxt", TEXTS[name]))
    assert [path for path in named if not (ROOT / path).is_file()] == []
    assert named or name != "README.md"
