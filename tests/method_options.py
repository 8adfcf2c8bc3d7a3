"""The options that each registered method takes: what the tests' tables are made of."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.reference import Options
from ul2q import Quantized, dequantize, quantize
from ul2q.quantizers import Method, method_table

if TYPE_CHECKING:
    from collections.abc import Iterator

DTYPES = (np.float32, np.float64)
METHODS = {method.name: method for method in method_table()}


def options_of(method: Method) -> Iterator[Options]:
    """All that a method takes, but for the rounding."""
    widths = [None] if method.bits_are_fixed else range(method.min_bits, method.max_bits + 1)
    for bits, fit in itertools.product(widths, ("exact", "paper", "empirical")):
        if fit != "paper" or method.has_paper_fit:
            yield Options(method.name, bits, fit, "zero")
            if method.has_mean_shift:
                yield Options(method.name, bits, fit, "mean")
        if fit != "paper" and method.has_unsigned:
            yield Options(method.name, bits, fit, "zero", signed=False)


ALL_OPTIONS = [options for method in METHODS.values() for options in options_of(method)]


def run(w: Any, o: Options, **others: Any) -> Quantized:
    """ul2q.quantize with these options."""
    return quantize(w, o.bits, o.method, o.fit, shift=o.shift, signed=o.signed, **others)


def run_back(codes: Any, got: Quantized, o: Options, dtype: Any) -> Any:
    """ul2q.dequantize with the options and the fit of `got`, of `codes` as they are or laid out."""
    return dequantize(codes, got.scale, got.shift, o.bits, o.method, signed=o.signed, dtype=dtype)


def channels_along(axis: int | None) -> dict[str, Any]:
    """Arguments of quantize for channels along `axis`; None is for the array as a whole."""
    return {} if axis is None else {"granularity": "channel", "axis": axis}
