"""Finds the folders of runs, at any depth, and says which folders it has left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ul2q.runs.layout import LOG, RECORD, has_training, is_run
from ul2q.util.input_file import require_there

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class FoundRuns:
    """What has been found.

    Attributes:
        runs: the folders of runs by what they really are, so that none is there twice.
        left_out: the folders that were not looked into or are no runs, and why.
    """

    runs: dict[Path, Path] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)


def find_runs(folders: Sequence[Path]) -> FoundRuns:
    """The runs in folders, and in all folders that these hold.

    A folder is a run if it holds a run.json, a log.csv or a .caffemodel. One that holds nothing but
    .caffemodel files is none if there are runs below it. Left out are folders whose names begin
    with a dot, links to folders that have been looked into, and what cannot be read.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    found = FoundRuns()
    seen: dict[Path, Path] = {}
    for folder in folders:
        require_there(folder, "the folder of runs")
        _look_into(folder, found, seen)
    return found


def _look_into(folder: Path, found: FoundRuns, seen: dict[Path, Path]) -> None:
    pending = [folder]
    weights_alone: list[Path] = []
    while pending:
        here = pending.pop()
        real = here.resolve()
        if real in seen:
            if here != seen[real] and here not in found.left_out and here.is_symlink():
                found.left_out[here] = f"a link to {seen[real]}"
            continue
        seen[real] = here
        try:
            children = sorted(child for child in here.iterdir() if child.is_dir())
        except OSError as error:
            found.left_out[here] = f"it cannot be read: {error.strerror}"
            continue
        found.left_out |= {child: "hidden" for child in children if child.name.startswith(".")}
        pending += (child for child in reversed(children) if not child.name.startswith("."))
        if any((here / name).is_file() for name in (LOG, RECORD)):
            found.runs.setdefault(real, here)
        elif is_run(here):
            weights_alone.append(here)
        elif has_training(here):
            found.left_out[here] = "it holds snapshots, but no log.csv, run.json or .caffemodel"
    _judge(weights_alone, found)


def _judge(weights_alone: Sequence[Path], found: FoundRuns) -> None:
    """Take folders of .caffemodel files alone for runs, but for those that hold runs."""
    for here in weights_alone:
        real = here.resolve()
        if any(real in run.parents for run in found.runs):
            found.left_out[here] = "it holds .caffemodel files alone, and runs below it"
        else:
            found.runs.setdefault(real, here)
