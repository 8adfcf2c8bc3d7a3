"""docs/command_line.md prints commands that ul2q takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ul2q.cli import commands, main

TEXT = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text(encoding="utf-8")
BLOCKS = [line.strip() for line in TEXT.splitlines() if line.startswith("    ul2q ")]
COMPLETIONS = re.findall(r"ul2q completion \w+", TEXT)


@pytest.mark.parametrize("command", [*BLOCKS, *sorted(set(COMPLETIONS))])
def test_the_commands_are_ones_that_ul2q_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    for command_file in commands():
        monkeypatch.setattr(command_file, "run", called.append)
    assert main(shlex.split(command, comments=True)[1:]) == 0
    assert len(called) == 1


def test_there_are_commands() -> None:
    assert len(BLOCKS) == 6
    assert len(set(COMPLETIONS)) == 3
