"""Tables read back by other readers give what was written."""

from __future__ import annotations

import csv
import io

import pytest

from ul2q.util.tables import csv_table, markdown_table

CELLS = ["plain", 'has, a "quote"', "two\nlines", "µ"]


@pytest.mark.parametrize("cell", CELLS)
def test_csv_comes_back(cell: str) -> None:
    content = csv_table(("a", "b", "c"), [(cell, 0.1 + 0.2, None)])
    assert list(csv.reader(io.StringIO(content.decode(), newline=""))) == [
        ["a", "b", "c"],
        [cell, "0.30000000000000004", ""],
    ]


def test_markdown() -> None:
    assert markdown_table(("a", "b"), [("x|y", None), (1, "z")]) == (
        "| a | b |\n| --- | --- |\n| x\\|y |  |\n| 1 | z |"
    )
