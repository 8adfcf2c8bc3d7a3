"""What stands in run.json, and what is refused there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ul2q.runs.record import DONE, Record, read_record, read_records
from ul2q.runs.run_file import RecordError

if TYPE_CHECKING:
    from pathlib import Path


def record(name: str = "a", **fields: Any) -> Record:
    entries: dict[str, Any] = {
        "run": name,
        "net": "lenet",
        "method": "ul2q",
        "bits": 2,
        "seed": 1,
        "variant": "",
        "options": {"solver": {"base_lr": 0.1}},
        "float_run": None,
        **fields,
    }
    return Record(**entries)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = {
        "a": record("a"),
        "b": record("b", status=DONE, accuracy=0.75, loss=1.5, iterations=20, seconds=2.5),
        "c": record("c", bits=None, method="float", error="no µ", status="failed"),
    }
    for name, one in written.items():
        (tmp_path / name).mkdir()
        one.save(tmp_path)
    (tmp_path / "no run").mkdir()
    assert json.loads((tmp_path / "b" / "run.json").read_text())["accuracy"] == 0.75
    assert read_records(tmp_path) == written
    assert read_record(tmp_path / "no run") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "lost"}, r"a/run\.json is damaged: status is 'lost'; mend or remove it"),
        ({"status": "unfinished"}, "status is 'unfinished'"),  # what the report calls others
        ({"accuracy": float("nan")}, "accuracy is nan"),
        ({"loss": float("inf")}, "loss is inf"),
        ({"seconds": None}, "seconds is None"),
        ({"bits": "2"}, "bits is '2'"),
        ({"iterations": 1.5}, "iterations is 1.5"),
        ({"net": None}, "net is None"),
        ({"float_run": 1}, "float_run is 1"),
        ({"colour": "red"}, r"a/run\.json is damaged: .*colour.*; mend it, or remove "),
        ({"run": "b"}, r"a/run\.json is that of a run 'b', but stands in "),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    record().save(tmp_path)
    assert read_record(folder) == record()
    entries = json.loads((folder / "run.json").read_text()) | change
    (folder / "run.json").write_text(json.dumps(entries))
    with pytest.raises(RecordError, match=message):
        read_record(folder)
