"""What each colour means, on the whole page.

A method has a colour, in which all that is of its runs is drawn: their curves, levels and codes.
What is float is black, what is the paper's grey. Within a colour, markers, dashes and opacity tell
lines apart, and the legend names them.
"""

from __future__ import annotations

from ul2q.quantizers import methods
from ul2q.runs.record import FLOAT
from ul2q.util.figures import COLOURS

PAPER = "#737373"
NORMAL = "#8c510a"  # the density of N(0, 1)
_FLOAT = "#000000"
# Behind those that colour-blind people tell apart, for more methods than there are now.
_MORE = ("#882255", "#999933", "#44AA99", "#332288")


def colour_of(method: str) -> str:
    """The colour of a method, or of "float"; black for one that is not registered."""
    return colour_key().get(method, _FLOAT)


def colour_key() -> dict[str, str]:
    """The colours of "float" and of all registered methods, by their names."""
    names = sorted(methods(), key=lambda name: name != "ul2q")
    return {FLOAT: _FLOAT, **dict(zip(names, (*COLOURS, *_MORE), strict=False))}
