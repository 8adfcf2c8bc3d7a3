"""Completion in bash: a function that looks up what there is in a few `case` statements."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ul2q.util.completion.commands import flags_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.util.completion.commands import Argument, Command

_SCRIPT = """\
# Completion of {prog} in bash: eval "$({prog} completion bash)", or a file of this in
# ~/.local/share/bash-completion/completions/{prog}
_{prog}_files() {{
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$2"))
}}

_{prog}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command= word
  COMPREPLY=()
  # --option=value are three words.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$command/$word" in
      {paths}) command="$command/$word" ;;
    esac
  done
  case "$command $previous" in
{values}
  esac
  case $command in
{commands}
  esac
}}

complete -F _{prog} {prog}
"""


def bash_script(prog: str, commands: Sequence[Command]) -> str:
    """The script for a program."""
    paths = [_path(command) for command in commands if command.path]
    return _SCRIPT.format(
        prog=prog,
        paths=" | ".join(paths) or "''",
        values="\n".join(filter(None, map(_values, commands))),
        commands="\n".join(_command(prog, command) for command in commands),
    ).replace("{prog}", prog)


def _path(command: Command) -> str:
    return "".join(f"/{word}" for word in command.path)


def _values(command: Command) -> str:
    """The cases of options that have a value."""
    path = _path(command)
    lines = []
    for kind, reply in (("file", "-f"), ("folder", "-d")):
        plain = [one for one in command.options if one.kind == kind and not one.choices]
        if flags := [flag for one in plain for flag in one.flags]:
            lines.append(_case(path, flags, f'_{{prog}}_files {reply} "$current"'))
    lines += [
        _case(path, option.flags, _files("{prog}", option.choices))
        for option in command.options
        if option.kind == "file" and option.choices
    ]
    lines += [
        _case(path, option.flags, _words(option.choices))
        for option in command.options
        if option.kind == "choice"
    ]
    if flags := flags_of(command.options, lambda one: one.kind == "other"):
        lines.append(_case(path, flags, ":"))
    return "\n".join(lines)


def _case(path: str, flags: Sequence[str], reply: str) -> str:
    return f"    {' | '.join(shlex.quote(f'{path} {flag}') for flag in flags)}) {reply}; return ;;"


def _words(words: Sequence[str], sign: str = "=") -> str:
    return f'COMPREPLY{sign}($(compgen -W {shlex.quote(" ".join(words))} -- "$current"))'


def _files(prog: str, names: Sequence[str]) -> str:
    """Files, and names that may stand for one."""
    files = f'_{prog}_files -f "$current"'
    return f"{files}; {_words(names, '+=')}" if names else files


def _command(prog: str, command: Command) -> str:
    """What stands behind a command: its options, its commands, or what its arguments are."""
    options = _words(flags_of(command.options, lambda _: True))
    if command.commands:
        other = _words(list(command.commands))
    else:
        other = _argument(prog, command.arguments)
    pattern = shlex.quote(_path(command))
    return (
        f"    {pattern})\n"
        f"      if [[ $current == -* ]]; then\n        {options}\n      else\n        {other}\n"
        "      fi ;;"
    )


def _argument(prog: str, arguments: Sequence[Argument]) -> str:
    for argument in arguments:
        if argument.kind == "choice":
            return _words(argument.choices)
        if argument.kind in ("file", "folder"):
            return _files(prog, [name for one in arguments for name in one.choices])
    return ":"
