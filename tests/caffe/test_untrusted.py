"""Nets that are not trusted: no layer of theirs runs code or writes a file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import pytest

from tests.processes import CAFFE, UL2Q, run_process, run_python
from ul2q.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Workspace

# Either would leave a file behind.
PYTHON = """layer { name: "evil" type: "Python" bottom: "label" top: "y"
  python_param { module: "evil" layer: "Evil" } }"""
OUTPUT = """layer { name: "evil" type: "HDF5Output" bottom: "data" bottom: "label"
  hdf5_output_param { file_name: "made" } }"""
EVIL = "import pathlib, caffe\npathlib.Path('made').touch()\nclass Evil(caffe.Layer): pass\n"
LAYERS = pytest.mark.parametrize(
    ("layer", "does"), [(PYTHON, "runs Python code"), (OUTPUT, "writes a file")], ids=["P", "H"]
)


def theirs(workspace: Workspace, layer: str) -> Path:
    workspace.write("evil.py", EVIL)
    net = workspace.net()
    net.write_text(net.read_text() + layer + "\n", encoding="utf-8")
    return net


@pytest.fixture
def untrusted() -> Iterator[None]:
    caffe.set_untrusted(True)
    yield
    caffe.set_untrusted(False)


@LAYERS
@pytest.mark.usefixtures("untrusted")
def test_a_layer_that_does_something_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, layer: str, does: str
) -> None:
    monkeypatch.syspath_prepend(str(workspace.folder))
    net = theirs(workspace, layer)
    assert caffe.is_untrusted()
    for make in (
        lambda: caffe.Net(str(net), caffe.TEST),
        lambda: caffe.get_solver(str(workspace.solver())),
    ):
        with pytest.raises(caffe.CaffeError, match=rf"'evil'.* {does}.*not trusted.*trust the net"):
            make()
        assert not Path("made").exists()
    caffe.set_untrusted(False)
    with_effects(net)
    assert Path("made").exists(), "the test shows nothing"


def with_effects(net: Path) -> None:
    with suppress(NotImplementedError):  # the Python layer has no setup: its module has run
        caffe.Net(str(net), caffe.TEST)


@pytest.mark.usefixtures("untrusted")
def test_other_nets_are_taken(workspace: Workspace) -> None:
    caffe.get_solver(str(workspace.solver())).step(2)


@LAYERS
@pytest.mark.parametrize("tool", [UL2Q, CAFFE], ids=["ul2q", "caffe"])
def test_the_commands_refuse_it(
    workspace: Workspace, tool: tuple[str, ...], layer: str, does: str
) -> None:
    net = theirs(workspace, layer)
    Path("w.caffemodel").touch()
    environment = {"PYTHONPATH": str(workspace.folder)}
    arguments: tuple[Any, ...]
    if tool == UL2Q:
        arguments = ("train", workspace.solver(), "--run", "run", "--untrusted")
    else:
        arguments = ("train", f"--solver={workspace.solver()}")
        environment["UL2Q_UNTRUSTED"] = "1"
    done = run_process(*tool, *arguments, cwd=workspace.folder, environment=environment)
    assert done.returncode == 1
    assert net.is_file()
    assert does in done.stderr or (tool == CAFFE and "Python" in done.stderr)
    assert not Path("made").exists()


def test_each_command_that_takes_a_net_has_the_option() -> None:
    """Those of the others that read a prototxt change its text alone."""
    import argparse

    from ul2q.cli.common import NET, SOLVER, CommandParser

    text_alone = {"nets", "upgrade", "import-fork", "report", "methods"}
    parsers = CommandParser().add_subparsers(parser_class=CommandParser)
    assert isinstance(parsers, argparse._SubParsersAction)
    for command in commands():
        command.add_parser(parsers)
    for name, parser in parsers.choices.items():
        takes_net = any(action.type in (NET, SOLVER) for action in parser._actions)
        if takes_net and name not in text_alone:
            assert "--untrusted" in parser._option_string_actions, name


def test_the_environment_says_it_too() -> None:
    code = "import caffe; print(caffe.is_untrusted()); caffe.set_untrusted(False); "
    code += "print(caffe.is_untrusted())"
    done = run_python("-c", code, UL2Q_UNTRUSTED="1")
    assert done.stdout.split() == ["True", "False"]
    done = run_python("-c", "import caffe; caffe.is_untrusted()", UL2Q_UNTRUSTED="yes")
    assert "UL2Q_UNTRUSTED is 'yes'; must be 0 or 1" in done.stderr
