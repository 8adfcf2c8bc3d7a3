"""What users are told of the quantisation methods, from the registry that the layers use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.quantizers import method_table
from ul2q.util.tables import markdown_table

if TYPE_CHECKING:
    from ul2q.quantizers import Method


def methods_markdown() -> str:
    """A Markdown table, a row for each method.

    The columns are its name in Python and in a prototxt, its bits, levels, options and summary.
    """
    heading = ("method", "in a prototxt", "bits", "levels", "takes besides", "what it does")
    return markdown_table(heading, map(_row, method_table()))


def methods_help() -> str:
    """A paragraph for a help text: each method with its bits and options."""
    methods = [
        f"{method.name} ({'; '.join(['bits ' + _bits(method), *_options(method)]).lower()})"
        for method in method_table()
    ]
    return f"The methods: {', '.join(methods)}. `ul2q methods` tells more of each."


def _row(method: Method) -> tuple[str, ...]:
    return (
        f"`{method.name}`",
        f"`{method.name.upper()}`",
        _bits(method),
        method.levels,
        ", ".join(_options(method)),
        method.summary,
    )


def _bits(method: Method) -> str:
    """The widths that a method takes."""
    if method.bits_are_fixed:
        return f"{method.min_bits}, may be left out"
    widths = f"{method.min_bits} to {method.max_bits}"
    return f"{widths}, its codes have {method.code_bits}" if method.code_bits else widths


def _options(method: Method) -> list[str]:
    """The values of options that not every method takes."""
    options = {
        "fit PAPER": method.has_paper_fit,
        "shift MEAN (default)": method.has_mean_shift,
        "rounding STOCHASTIC": method.has_stochastic_rounding,
        "signed: false": method.has_unsigned,
    }
    return [option for option, is_taken in options.items() if is_taken]
