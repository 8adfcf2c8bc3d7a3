"""The documentation of the methods follows from their registry, and the proto has the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto.quantization_pb2 import QuantizerParameter

from ul2q import cli, methods
from ul2q.nets.method_docs import methods_markdown

if TYPE_CHECKING:
    import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_docs_have_the_table_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods"]) == 0
    table = capsys.readouterr().out
    assert table == methods_markdown() + "\n"
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == list(methods())
    assert table in (DOCS / "methods.md").read_text(encoding="utf-8")


def test_the_proto_has_the_methods_of_the_registry() -> None:
    assert {name.lower() for name in QuantizerParameter.Method.keys()} == set(methods())  # noqa: SIM118


def test_the_example_runs() -> None:
    (example,) = re.findall(
        r"^```python\n(.*?)^```$",
        (DOCS / "methods.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    exec(compile(example, "methods.md", "exec"), {})
