"""Completion in zsh: a function for each command, with the specs of `_arguments`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.util.completion.commands import Argument, Command

_HEAD = """\
#compdef {prog}
# Completion of {prog} in zsh: eval "$({prog} completion zsh)" behind compinit, or a file _{prog}
# of this in a folder of fpath.
"""
# As a file of fpath it is run as the function itself; by eval it is registered.
_TAIL = """
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _{prog} "$@"
else
  compdef _{prog} {prog}
fi
"""


def zsh_script(prog: str, commands: Sequence[Command]) -> str:
    """The script for a program."""
    functions = [_function(prog, command) for command in commands]
    return "\n".join([_HEAD.format(prog=prog), *functions, _TAIL.format(prog=prog)])


def _name(prog: str, path: Sequence[str]) -> str:
    return "_".join(["", prog, *(word.replace("-", "_") for word in path)])


def _function(prog: str, command: Command) -> str:
    specs = [spec for option in command.options for spec in _option(option)]
    name = _name(prog, command.path)
    if not command.commands:
        specs += [_place(number, one) for number, one in enumerate(command.arguments, 1)]
        return f"{name}() {{\n  _arguments -s{_lines(specs)}\n}}\n"
    described = " \\\n      ".join(
        _quoted(f"{word.replace(':', chr(92) + ':')}:{text}")
        for word, text in command.commands.items()
    )
    cases = "\n".join(
        f"        {word}) {_name(prog, (*command.path, word))} ;;" for word in command.commands
    )
    specs += ["'1: :->command'", "'*:: :->rest'"]
    return f"""{name}() {{
  local context state state_descr line known
  typeset -A opt_args
  _arguments -C{_lines(specs)}
  case $state in
    command)
      known=({described})
      _describe -t commands command known ;;
    rest)
      case $words[1] in
{cases}
      esac ;;
  esac
}}
"""


def _lines(specs: Sequence[str]) -> str:
    return "".join(f" \\\n    {spec}" for spec in specs)


def _option(option: Argument) -> Iterator[str]:
    """The specs of an option: one for each of its flags, which exclude each other."""
    others = "" if option.repeats else f"({' '.join(option.flags)})"
    star = "*" if option.repeats else ""
    text = re.sub(r"([\\\[\]:])", r"\\\1", option.help)
    for flag in option.flags:
        # --option VALUE and --option=VALUE
        sign = "=" if flag.startswith("--") and option.kind != "none" else ""
        action = _action(option).replace(":", r"\:")  # another value would stand behind a colon
        value = "" if option.kind == "none" else f":{_metavar(option)}:{action}"
        yield _quoted(f"{others}{star}{flag}{sign}[{text}]{value}")


def _place(number: int, argument: Argument) -> str:
    place = "*" if argument.repeats else str(number)
    return _quoted(f"{place}:{_metavar(argument)}:{_action(argument)}")


def _metavar(argument: Argument) -> str:
    return argument.metavar.replace(":", r"\:")


def _action(argument: Argument) -> str:
    words = f"({' '.join(argument.choices)})"
    if argument.kind == "choice":
        return words
    if argument.choices:
        return f'{{_alternative "files:file:_files" "names:name:{words}"}}'
    return {"file": "_files", "folder": "_files -/"}.get(argument.kind, " ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
