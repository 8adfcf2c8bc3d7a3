"""Completion in fish: a `complete` line for each option and command, where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.util.completion.commands import Argument, Command

_HEAD = """\
# Completion of {prog} in fish: {prog} completion fish | source, or a file of this,
# ~/.config/fish/completions/{prog}.fish
function __{prog}_command
    set -l path
    for word in (commandline -opc)[2..-1]
        switch "$path/$word"
            case {paths}
                set path "$path/$word"
        end
    end
    test "$path" = "$argv"
end
complete -c {prog} -f
"""


def fish_script(prog: str, commands: Sequence[Command]) -> str:
    """The script for a program."""
    paths = " ".join(_quoted(_path(command)) for command in commands if command.path) or "''"
    lines = [line for command in commands for line in _complete(prog, command)]
    return _HEAD.format(prog=prog, paths=paths) + "\n".join(lines) + "\n"


def _path(command: Command) -> str:
    return "".join(f"/{word}" for word in command.path)


def _complete(prog: str, command: Command) -> Iterator[str]:
    here = f"complete -c {prog} -n {_quoted(f'__{prog}_command {_path(command)}')}"
    for word, text in command.commands.items():
        yield f"{here} -a {word} -d {_quoted(text)}"
    if not command.commands:
        kinds = {argument.kind for argument in command.arguments}
        if kinds & {"file", "folder"}:
            yield f"{here} -F"
        for argument in command.arguments:
            if argument.choices:
                yield f"{here} -a {_quoted(' '.join(argument.choices))}"
    for option in command.options:
        yield f"{here}{_flags(option)}{_value(option)} -d {_quoted(option.help)}"


def _flags(option: Argument) -> str:
    return "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in option.flags
    )


def _value(option: Argument) -> str:
    if option.kind == "choice":
        return f" -x -a {_quoted(' '.join(option.choices))}"
    folders = _quoted("(__fish_complete_directories)")
    names = f" -a {_quoted(' '.join(option.choices))}" if option.choices else ""
    files = f" -r -F{names}"
    return {"none": "", "file": files, "folder": f" -x -a {folders}"}.get(option.kind, " -x")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
