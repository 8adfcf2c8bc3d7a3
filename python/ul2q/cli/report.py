"""`ul2q report`: a page on training runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 90  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q report`."""
    parser = commands.add_parser("report", help="make a page of training runs")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q report runs/lenet",
        "ul2q report runs/lenet runs/cifarnet -o both.html --force",
    )
    parser.description = (
        "Write one HTML page on runs: accuracy against bit width beside the paper's, training "
        "curves, weights before and after quantisation, codes and losses of each layer; beside "
        "it each figure as PNG and SVG, and each table as CSV. Needs matplotlib: "
        "pip install 'ul2q[figures]'."
    )
    parser.add_argument(
        "runs",
        metavar="RUNS",
        type=Path,
        nargs="+",
        help="a folder of `ul2q sweep`, of `ul2q train --run`, or one that holds such at any depth",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("report.html"),
        help="the page (default: %(default)s)",
    )
    parser.add_argument(
        "--files",
        metavar="DIR",
        type=Path,
        help="the folder for figures and tables (default: beside the page, report_files)",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q report`."""
    from ul2q.report import write_report

    report = write_report(
        arguments.runs, arguments.output, files=arguments.files, force=arguments.force
    )
    print(f"runs: {len(report.runs)}")
    for one in report.runs:
        for note in (*([one.error] if one.error else []), *one.notes):
            print(f"{one.name}: {note}")
    for folder, reason in report.left_out.items():
        print(f"left out: {folder} ({reason})")
    print(f"figures and tables: {report.files}")
    print(f"page: {report.page}")
