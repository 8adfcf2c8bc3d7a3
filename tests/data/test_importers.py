"""The table of importers: each row goes with its function, its help and docs/data.md."""

from __future__ import annotations

import argparse
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ul2q.data
from ul2q.cli import main
from ul2q.data import IMPORTERS, DataError
from ul2q.data.importer import importers_markdown
from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ul2q.data.importer import Importer, Option

DOCS = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text(encoding="utf-8")

importers = pytest.mark.parametrize("importer", IMPORTERS, ids=lambda importer: importer.name)


def _given(options: Iterable[Option]) -> list[str]:
    """A command line that gives these options."""
    line: list[str] = []
    for option in options:
        line.append(option.flags[-1])
        if option.settings.get("action") not in ("store_true", argparse.BooleanOptionalAction):
            choices = option.settings.get("choices", ("5",))
            line.append("3x4" if option.argument == "size" else choices[-1])
    return line


def _required(importer: Importer) -> list[Option]:
    return [option for option in importer.options if option.settings.get("required")]


@importers
def test_the_function_takes_every_option(importer: Importer) -> None:
    function = getattr(ul2q.data, importer.function)
    assert function.__module__ == f"ul2q.data.{importer.module}"
    for options in (_required(importer), importer.all_options):
        parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
        importer.add_arguments(parser)
        values = vars(parser.parse_args(_given(options)))
        inspect.signature(function).bind(**importer.adapt(values), progress=None)


@importers
def test_what_is_not_given_is_left_to_the_function(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[dict[str, object]] = []

    def function(**arguments: object) -> None:
        given.append(arguments)
        raise DataError("no data")

    module = importlib.import_module(f"ul2q.data.{importer.module}")
    monkeypatch.setattr(module, importer.function, function)
    required = _required(importer)
    assert main(["data", importer.name, *_given(required)]) == 1
    assert capsys.readouterr().err == "ul2q: error: no data\n"
    (arguments,) = given
    more = {"imagenet": {"resize"}, "folder": {"test"}}.get(importer.name, set())
    names = {option.argument for option in required}
    assert set(arguments) == names | more | {"output", "progress"}
    assert all(arguments[name] == Path("5") for name in names)
    assert arguments.get("test") is None
    assert arguments["output"] == Path("data", importer.name)


def test_the_help_lists_every_importer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{importer.name} {importer.help}" in text for importer in IMPORTERS)


@importers
def test_the_help_of_an_importer_names_its_options(
    importer: Importer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", importer.name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: ul2q data {importer.name} ")
    assert all(option.flags[-1] in text for option in importer.all_options)


def test_the_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from ul2q.cli import main; main(['data', 'imagenet', '--help']);"
        "print({'caffe', 'numpy', 'PIL', 'lmdb', 'tqdm'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_the_docs_have_the_table() -> None:
    assert importers_markdown(IMPORTERS) in DOCS


def test_the_functions_are_in_the_package() -> None:
    assert {importer.function for importer in IMPORTERS} == {
        name for name in ul2q.data.__all__ if name.startswith("import_")
    }


def test_a_data_error_is_one_that_a_user_can_mend() -> None:
    assert issubclass(DataError, UserError)
    assert issubclass(DataError, ValueError)
