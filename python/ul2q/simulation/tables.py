"""The tables of a simulation: for people, as Markdown, as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.util.tables import csv_table, markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.simulation.comparison import Outcome
    from ul2q.simulation.lambda_table import Step
    from ul2q.simulation.settings import Simulation


def loss_table(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, rounded: a row for data and method, a column for each width.

    A cell has the mean squared error and, in brackets, its share of the variance.
    """
    widths = sorted({outcome.bits for outcome in outcomes})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for outcome in outcomes:
        row = rows.setdefault((outcome.data, outcome.method), {})
        row[outcome.bits] = f"{outcome.loss:.4g} ({outcome.share:.4g})"
    return (
        ["data", "method", *(f"{bits} bit{'s' * (bits > 1)}" for bits in widths)],
        [[*key, *(row.get(bits, "") for bits in widths)] for key, row in rows.items()],
    )


def step_table(steps: Sequence[Step]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of `lambda_table`, with rounded numbers."""
    return (
        [
            "bits",
            "λ, Table I",
            "λ found",
            "λ of ul2q",
            "loss, Table I",
            "loss of Table I's λ",
            "loss of the found λ",
        ],
        [
            [
                str(step.bits),
                f"{step.paper:.4f}",
                f"{step.found:.9f}",
                f"{step.library:.9f}",
                f"{step.paper_loss:.4f}",
                f"{step.loss_of_paper:.7f}",
                f"{step.loss:.7f}",
            ]
            for step in steps
        ],
    )


def markdown(simulation: Simulation, outcomes: Sequence[Outcome], steps: Sequence[Step]) -> str:
    """Both tables in Markdown, with what they were made from."""
    return (
        "# Simulation\n\n"
        "## Mean squared error of each method\n\n"
        f"{simulation.samples:,} values of each distribution, mean {simulation.mean:g}, standard "
        f"deviation {simulation.sigma:g}, seed {simulation.seed}; layers' weights as they are.\n"
        "In brackets the share of the variance.\n\n"
        f"{markdown_table(*loss_table(outcomes))}\n\n"
        "## The step λ for N(0, 1)\n\n"
        f"{markdown_table(*step_table(steps))}\n"
    )


def loss_csv(outcomes: Sequence[Outcome]) -> bytes:
    """The mean squared errors in full, a row for each outcome."""
    return csv_table(
        ("data", "method", "bits", "loss", "share_of_variance"),
        [(o.data, o.method, o.bits, o.loss, o.share) for o in outcomes],
    )


def step_csv(steps: Sequence[Step]) -> bytes:
    """The rows of `lambda_table` in full."""
    return csv_table(
        ("bits", "paper", "found", "library", "paper_loss", "loss_of_paper", "loss"),
        [
            (s.bits, s.paper, s.found, s.library, s.paper_loss, s.loss_of_paper, s.loss)
            for s in steps
        ],
    )
