"""`ul2q completion`: teach a shell the commands and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 110  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q completion`."""
    parser = commands.add_parser("completion", help="print completion for bash, zsh or fish")
    parser.set_defaults(command=run)
    parser.description = "Print a script that completes commands, options and files in a shell."
    parser.examples = (
        "ul2q completion bash > ~/.local/share/bash-completion/completions/ul2q",
        "ul2q completion zsh > ~/.zfunc/_ul2q",
        "ul2q completion fish > ~/.config/fish/completions/ul2q.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> None:
    """`ul2q completion`."""
    from ul2q.cli import command_parser
    from ul2q.util.completion import completion_script

    print(completion_script(command_parser(), arguments.shell), end="")
