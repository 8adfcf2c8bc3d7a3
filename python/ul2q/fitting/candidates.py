"""The fits and granularities that a method has, and which of them to take for measured errors."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.quantizers import method_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ul2q.nets.quantization import NetQuantization

AUTO = ("fit", "granularity", "activation_method", "activation_fit")
"""The fields of NetQuantization that can be chosen by measurement."""

# An option that is no better than this is not worth what it costs: EMPIRICAL's search in each
# training pass, CHANNEL's many scales in hardware.
_WORTH = 1.1


class FittingError(UserError, ValueError):
    """What cannot be measured as it is asked for."""


@dataclass(frozen=True)
class Candidate:
    """An option and what it does.

    All errors are relative: the root of the squared error's sum, over that of the squared values.

    Attributes:
        fit: as `ul2q.quantize` takes it.
        granularity: likewise.
        weight_errors: by layer, the error of its weights.
        output_errors: by layer, the error of what it puts out for the float net's inputs of it;
            empty without inputs.
        net_error: of all outputs of the net; None without inputs.
    """

    fit: str
    granularity: str
    weight_errors: dict[str, float] = field(default_factory=dict)
    output_errors: dict[str, float] = field(default_factory=dict)
    net_error: float | None = None

    @property
    def name(self) -> str:
        """E.g. "empirical channel"."""
        return f"{self.fit} {self.granularity}"

    @property
    def error(self) -> float:
        """What is compared: the net's error, or the root mean square of those of the weights."""
        if self.net_error is not None:
            return self.net_error
        squares = [error**2 for error in self.weight_errors.values()]
        return float((sum(squares) / max(len(squares), 1)) ** 0.5)


def fits_of(method: str) -> list[str]:
    """The fits that a method takes, the simplest first."""
    has_paper_fit = {row.name: row.has_paper_fit for row in method_table()}
    return ["exact", *(["paper"] if has_paper_fit.get(method) else []), "empirical"]


def quantizations(options: NetQuantization) -> list[NetQuantization]:
    """The options with each fit and each granularity of weights, the simplest first."""
    return [
        replace(options, fit=fit, granularity=granularity)
        for granularity, fit in itertools.product(("tensor", "channel"), fits_of(options.method))
    ]


def activation_quantizations(
    options: NetQuantization, free: Collection[str]
) -> list[NetQuantization]:
    """The options with each method and fit of activations that may be chosen.

    The methods with as many levels as the bits allow, and the fits that they have for values
    without a sign, too.
    """
    methods = (
        ("ul2q", "clip") if "activation_method" in free else (options.activation_method or "ul2q",)
    )
    fits = ("exact", "empirical") if "activation_fit" in free else (options.activation_fit,)
    return [
        replace(options, activation_method=method, activation_fit=fit)
        for method, fit in itertools.product(methods, fits)
    ]


def choose(
    candidates: Sequence[Candidate], options: NetQuantization, free: Collection[str]
) -> Candidate:
    """The candidate to take.

    Args:
        candidates: all of them, the simplest first.
        options: what is asked for.
        free: the fields of `options` that may be chosen; the others are kept.

    Returns:
        The simplest one whose error is at most 1.1 times the least.
    """
    allowed = [
        one
        for one in candidates
        if ("fit" in free or one.fit == options.fit)
        and ("granularity" in free or one.granularity == options.granularity)
    ]
    least = min(one.error for one in allowed)
    return next(one for one in allowed if one.error <= _WORTH * least)
