"""run.json, the file of what is known of a run: parts of it belong to different writers.

A sweep has the entries of `ul2q.runs.record.Record` at its top, training has `training`
(`ul2q.runs.training_record`). Each writer keeps the entries of the other. They do not write at the
same time: a sweep writes before its run's process begins and after it has ended.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ul2q.errors import UserError
from ul2q.runs.layout import RECORD
from ul2q.util.json_text import parse_json
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = "training"  # the entry that is of training


class RecordError(UserError, ValueError):
    """A damaged run.json."""


def read_run_file(folder: Path) -> dict[str, Any] | None:
    """The entries in a folder's run.json; None if there is none.

    Raises:
        RecordError: it is no JSON object.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}; mend it, or remove {folder}") from error
    if not isinstance(entries, dict):
        raise RecordError(f"{path} is damaged: no JSON object; mend it, or remove {folder}")
    return entries


def write_run_file(folder: Path, entries: dict[str, Any]) -> None:
    """Write a folder's run.json in place of the one that stands there."""
    text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
    write_file(folder / RECORD, text.encode(), force=True)
