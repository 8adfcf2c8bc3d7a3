"""Writes a report: reads the runs, draws, composes the page, and puts all into files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.report.artist import Artist
from ul2q.report.errors import ReportError
from ul2q.report.folders import find_runs
from ul2q.report.page import page
from ul2q.report.runs import read_runs
from ul2q.report.summary import summarise
from ul2q.report.tables import all_tables
from ul2q.util.figures import require_matplotlib
from ul2q.util.output_file import OutputExistsError, refuse_existing, write_file
from ul2q.util.paths import as_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.report.runs import Run
    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class Report:
    """What `write_report` has read and written.

    Attributes:
        runs: the runs, in the page's order.
        page: the HTML file.
        files: the folder with the figures and tables.
        left_out: the folders that are not in the report, and why.
    """

    runs: tuple[Run, ...]
    page: Path
    files: Path
    left_out: dict[Path, str]


def write_report(
    folders: StrPath | Sequence[StrPath],
    output: StrPath,
    *,
    files: StrPath | None = None,
    force: bool = False,
) -> Report:
    """Write a page on the runs in `folders`, and its figures and tables beside it.

    The same runs give the same bytes. Nothing is written before all has been drawn.

    Args:
        folders: of `ul2q sweep`, or of `ul2q train --run`; see `ul2q.report.runs.read_runs`.
        output: the page, .html or .htm.
        files: a folder for each figure as PNG and SVG and each table as CSV, made if there is
            none; by default beside the page, report_files for report.html.
        force: replace files that are there.

    Raises:
        FiguresError: matplotlib is missing.
        FileNotFoundError: a folder is missing.
        OutputExistsError: the page, or a folder for the files that is not empty, is there, and
            `force` is not set.
        ReportError: `output` is called otherwise, or there are no runs.
        RunLogError, RecordError, WeightsError, PrototxtError: a log, a run.json, a .caffemodel or a
            prototxt is damaged.
    """
    output = Path(output)
    files = None if files is None else Path(files)
    require_matplotlib()
    if output.suffix.lower() not in (".html", ".htm"):
        raise ReportError(f"{output}: the report is an HTML page: its name must end in .html")
    refuse_existing(output, force=force)
    files = files or output.with_name(f"{output.stem}_files")
    if not force and files.exists() and (not files.is_dir() or any(files.iterdir())):
        raise OutputExistsError(
            f"{files} exists already; choose another folder by --files, or replace what stands "
            "there with --force (force=True)"
        )
    roots = as_paths(folders)
    found = find_runs(roots)
    runs = read_runs(roots, found)
    groups = summarise(runs)
    artist = Artist()
    net_pictures = {}
    for title in dict.fromkeys(group.title for group in groups):
        alike = [group for group in groups if group.title == title]
        net_pictures[title] = artist.net(title, alike)
    run_pictures = {run.folder: artist.run(run) for run in runs}
    contents = {
        **artist.files,
        **{f"{table.name}.csv": table.csv() for table in all_tables(groups, runs)},
    }
    text = page(groups, runs, net_pictures, run_pictures, files.name, found.left_out)
    files.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_file(files / name, content, force=force)
    write_file(output, text.encode(), force=force)
    return Report(runs, output, files, found.left_out)
