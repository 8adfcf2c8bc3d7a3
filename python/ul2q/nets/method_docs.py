"""The table of quantisation methods, from the registry that the layers use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.quantizers import method_table
from ul2q.util.tables import markdown_table

if TYPE_CHECKING:
    from ul2q.quantizers import Method


def methods_markdown() -> str:
    """A row a method: its name in Python and in a prototxt, its levels, bits and options."""
    heading = ("method", "in a prototxt", "bits", "levels", "takes besides", "what it does")
    return markdown_table(heading, map(_row, method_table()))


def _row(method: Method) -> tuple[str, ...]:
    bits = f"{method.min_bits} to {method.max_bits}"
    if method.min_bits == method.max_bits:
        bits = f"{method.min_bits}, may be left out"
    options = {
        "fit PAPER": method.has_paper_fit,
        "shift MEAN (default)": method.has_mean_shift,
        "rounding STOCHASTIC": method.has_stochastic_rounding,
        "signed: false": method.has_unsigned,
    }
    takes = ", ".join(name for name, known in options.items() if known)
    return (
        f"`{method.name}`",
        f"`{method.name.upper()}`",
        bits,
        method.levels,
        takes,
        method.summary,
    )
