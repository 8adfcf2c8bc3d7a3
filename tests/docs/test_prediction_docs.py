"""docs/prediction.md names every option of `ul2q predict`, and what it prints runs."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from ul2q.cli import main, predict
from ul2q.cli.common import CommandParser

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "prediction.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    ul2q predict ")]


def test_every_option_has_its_row() -> None:
    parser = argparse.ArgumentParser()
    predict.add_parser(parser.add_subparsers(parser_class=CommandParser))
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    options = {
        option
        for action in commands.choices["predict"]._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `--")]
    assert {name for row in rows for name in re.findall(r"--[\w-]+", row)} == options


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_ones_that_ul2q_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    monkeypatch.setattr(predict, "run", called.append)
    assert main(shlex.split(command)[1:]) == 0
    assert len(called) == 1


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 2
