"""`ul2q sweep`: nets × methods × bits × seeds, from one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import (
    add_untrusted_option,
    print_table,
)

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 30  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q sweep`."""
    parser = commands.add_parser("sweep", help="train nets × methods × bits × seeds")
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q sweep docs/results/lenet.yaml --dry-run",
        "ul2q sweep lenet.yaml --runs runs/lenet --jobs 2 --table lenet.md",
        "ul2q sweep lenet.yaml --only 'lenet-ul2q-2bit-*' --retry-failed",
    )
    parser.description = (
        "Do the runs that a file asks for. Those that are done are not done again; those that were "
        "interrupted go on from their newest snapshots. docs/sweep.md describes the file."
    )
    parser.add_argument("spec", metavar="SPEC.yaml", type=Path, help="what to run")
    parser.add_argument(
        "--runs",
        metavar="DIR",
        type=Path,
        help="the folder for the runs (default: runs/SPEC)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        default=1,
        help="runs at a time, which share the threads (default: %(default)s)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of a Dask scheduler do the runs, e.g. tcp://node1:8786; local:N for "
        "N workers here",
    )
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        action="append",
        default=[],
        help="runs of these names alone, * for anything; may be given again",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list the runs and where they are; do nothing"
    )
    parser.add_argument("--retry-failed", action="store_true", help="go on with runs that failed")
    parser.add_argument(
        "--redo",
        action="store_true",
        help="throw away what is there of runs whose options are others now, and do them anew",
    )
    parser.add_argument(
        "--table", metavar="FILE", type=Path, help="write the results there, too, in Markdown"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_untrusted_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`ul2q sweep`."""
    from ul2q.runs.layout import RESULTS
    from ul2q.sweep.plan import SweepError, plan_runs, select
    from ul2q.sweep.results import results_markdown, results_table, runs_table
    from ul2q.sweep.runner import require_done, run_sweep
    from ul2q.sweep.spec import read_spec
    from ul2q.util.output_file import refuse_existing, write_file

    if arguments.cluster is not None and arguments.jobs != 1:
        raise SweepError(
            "give --jobs or --cluster: the cluster's workers say how many run at a time"
        )
    spec = read_spec(arguments.spec)
    all_runs = plan_runs(spec)
    plan = select(all_runs, arguments.only)
    runs = arguments.runs or Path("runs") / arguments.spec.stem
    if arguments.dry_run:
        print_table(*runs_table(plan, runs))
        return
    if arguments.table:
        refuse_existing(arguments.table, force=arguments.force)
    records = run_sweep(
        plan,
        runs,
        order=[run.name for run in all_runs],
        spec=spec.text,
        jobs=arguments.jobs,
        cluster=arguments.cluster,
        retry_failed=arguments.retry_failed,
        redo=arguments.redo,
        stream=sys.stdout,
    )
    print()
    print_table(*results_table(records))
    print(f"results: {runs / RESULTS}")
    if arguments.table:
        markdown = results_markdown(plan, records, arguments.spec)
        write_file(arguments.table, markdown.encode(), force=arguments.force)
        print(f"table: {arguments.table}")
    require_done(records)
