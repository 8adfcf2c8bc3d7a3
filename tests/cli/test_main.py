"""What holds for every command of `ul2q`: help, usage, errors, and how the commands are found."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ul2q.cli
from tests.processes import UL2Q, run_python
from ul2q.cli import command_parser, commands, main

if TYPE_CHECKING:
    from types import ModuleType

    from tests.conftest import Workspace

ROOT = Path(__file__).resolve().parents[2]

BAD_CALLS = [
    ("train gone.prototxt", ["gone.prototxt"]),
    ("train bad.prototxt", ["bad.prototxt:1:1", "'max_itr'", "'max_iter'"]),
    ("train solver.prototxt --snapshot a --weights b", ["--snapshot", "--weights", "both"]),
    ("train solver.prototxt --snapshot mini.caffemodel", ["--weights", ".solverstate"]),
    ("train solver.prototxt --data gone", ["gone/train_lmdb", "ul2q data fashion-mnist"]),
    ("train unknown.prototxt", ["SDG", "SGD"]),
    ("test net.prototxt gone.caffemodel", ["gone.caffemodel"]),
    ("test net.prototxt net.prototxt", ["net.prototxt", "is a prototxt", ".caffemodel"]),
    ("test net.prototxt solver.prototxt --iterations -1", ["at least 1", "-1"]),
    ("data mnist --from gone", ["gone"]),
    ("data fashion-mnist --from gone", ["gone"]),
]


@pytest.mark.parametrize(("line", "words"), BAD_CALLS)
def test_errors_are_one_line(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    words: list[str],
) -> None:
    workspace.write("bad.prototxt", "max_itr: 3")
    workspace.solver(type='"SDG"', name="unknown.prototxt")
    monkeypatch.delenv("UL2Q_TRACEBACK", raising=False)
    assert main(shlex.split(line)) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("ul2q: error: ")
    for word in words:
        assert word in message
    monkeypatch.setenv("UL2Q_TRACEBACK", "1")
    with pytest.raises(Exception, match=re.escape(words[0])):
        main(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "data",
        "data mnist",
        "data cifar",
        "train",
        "test net.prototxt",
        "train a --iterations 3",
    ],
)
def test_wrong_usage_is_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr().err.startswith("usage: ul2q")


WRONG_USAGE = [
    ("trian", "usage: ul2q [", "invalid choice: 'trian'; did you mean 'train'?"),
    ("xyz", "usage: ul2q [", "invalid choice: 'xyz' (choose from "),
    ("data cifar", "usage: ul2q data [", "did you mean 'cifar10'?"),
    (
        "train s.prototxt --epoch=3 --runs x",
        "usage: ul2q train [",
        "--runs x; did you mean '--run'",
    ),
    ("test a b --iteration 3 c", "usage: ul2q test [", "unrecognized arguments: c"),
    ("data mnist --from x --forse", "usage: ul2q data mnist [", "did you mean '--force'"),
    ("data imagenet --resize strech", "usage: ul2q data imagenet [", "did you mean 'stretch'"),
    ("--verzion", "usage: ul2q [", ""),
]


@pytest.mark.parametrize(("line", "usage", "words"), WRONG_USAGE)
def test_wrong_usage_shows_the_commands_own_usage_and_near_names(
    line: str, usage: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith(usage)
    assert words in message


def _parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of all commands, and of commands of commands, by what is typed."""
    found = {parser.prog: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= _parsers(inner)
    return found


@pytest.mark.parametrize("name", _parsers(command_parser()))
def test_the_help_ends_with_examples_that_the_command_takes(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")  # where argparse wraps all else
    monkeypatch.setenv("NO_COLOR", "1")
    assert main([*name.split()[1:], "--help"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    _, examples = text.split("\nexamples:\n")
    called: list[object] = []
    for command in commands():
        monkeypatch.setattr(command, "run", called.append)
    lines = examples.splitlines()
    for line in lines:
        assert line.startswith(f"  {name} ") or line == f"  {name}"
        if not line.endswith("--help"):
            assert main(shlex.split(line.partition(" > ")[0])[1:]) == 0
    assert called


def test_the_package_is_a_command(tmp_path: Path) -> None:
    run = run_python("-m", "ul2q", "train", cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ul2q train [")
    assert run_python("-m", "ul2q", "--version").stdout.startswith("ul2q ")


@pytest.mark.parametrize("line", ["--help", "train --help", "data mnist --help", "test --help"])
def test_help(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 0
    assert capsys.readouterr().out.startswith("usage: ul2q")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ul2q \d+\.\d+\S*\n", capsys.readouterr().out)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from ul2q.cli import main; main(['--help']);"
        "print({'caffe', 'numpy', 'google.protobuf', 'tqdm', 'lmdb'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_a_reader_that_has_seen_enough_gets_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [*UL2Q, "methods"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("command", commands(), ids=lambda module: module.__name__)
def test_a_file_of_the_folder_is_a_command_that_the_docs_name(
    command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    parsers = argparse.ArgumentParser().add_subparsers()
    command.add_parser(parsers)
    (name,) = parsers.choices
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: ul2q {name} ")
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    assert any(f"ul2q {name}" in page.read_text(encoding="utf-8") for page in pages)
    assert callable(command.run)


def test_the_help_follows_the_way_of_a_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = re.findall(r"^    ([\w-]+)", capsys.readouterr().out, re.MULTILINE)
    known = [
        *("nets", "data", "train", "sweep", "test", "predict", "quantize", "deploy-net"),
        *("methods", "inspect", "simulate", "report", "import-fork", "completion"),
    ]
    assert [name for name in listed if name in known] == known
    assert len(listed) == len(commands())


def test_a_new_file_is_a_new_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in Path(ul2q.cli.__file__).parent.glob("*.py"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "greet.py").write_text(
        "ORDER = 15\n"
        "def add_parser(commands):\n"
        "    commands.add_parser('greet').set_defaults(command=lambda _: print('hello'))\n"
    )
    monkeypatch.setattr(ul2q.cli, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(ul2q.cli, "__path__", [str(tmp_path)])
    commands.cache_clear()
    try:
        assert main(["greet"]) == 0
    finally:
        commands.cache_clear()
        sys.modules.pop("ul2q.cli.greet", None)
    assert capsys.readouterr().out == "hello\n"
