"""Completion of a command line in bash, zsh and fish, generated from its argparse parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.util.completion.bash import bash_script
from ul2q.util.completion.commands import read_commands
from ul2q.util.completion.fish import fish_script
from ul2q.util.completion.zsh import zsh_script

if TYPE_CHECKING:
    import argparse

__all__ = ["SHELLS", "completion_script"]

_SCRIPTS = {"bash": bash_script, "fish": fish_script, "zsh": zsh_script}
SHELLS = tuple(_SCRIPTS)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script that teaches a shell the commands, options and kinds of arguments of a program.

    Args:
        parser: the program's; it may have commands, and these commands of their own. Options stand
            behind the commands.
        shell: one of SHELLS.
    """
    return _SCRIPTS[shell](parser.prog, read_commands(parser))
