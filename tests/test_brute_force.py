"""fit: EMPIRICAL against the best of all codes, which few elements leave time to try.

The error is the sum of squared errors over that of the array itself (about its mean where the
shift is free): 0 is a perfect result, 1 no better than one level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests import reference
from tests.method_options import METHODS, run
from tests.reference import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

DRAWS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "Laplace": lambda rng, n: rng.laplace(0.5, 1, n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "bimodal": lambda rng, n: rng.choice([-1, 1], n) + rng.normal(0, 0.2, n),
    "one outlier": lambda rng, n: rng.normal(0, 1, n) + 50 * (np.arange(n) == 0),
    "one sign": lambda rng, n: np.abs(rng.normal(0, 1, n)),
}


# What the documentation says of arrays of up to ten elements: the error above the best one, as a
# share of the mean square (ul2q with shift MEAN: of the variance).
LARGEST_GAP = 0.02
LARGEST_TERNARY_QUANTIZED_GAP = 0.1
MEAN_GAP = 0.0005


def options_with_few_codes() -> Iterator[Options]:
    for method in METHODS.values():
        few = [n for n in (1, 2, 3) if method.min_bits <= n <= method.max_bits]
        for bits in [None] if method.bits_are_fixed else few:
            for shift in ("zero", "mean") if method.has_mean_shift else ("zero",):
                yield Options(method.name, bits, "empirical", shift)
            if method.has_unsigned:
                yield Options(method.name, bits, "empirical", "zero", signed=False)


OPTIONS = list(options_with_few_codes())


def arrays(o: Options, sizes: range, seeds: int) -> Iterator[Array]:
    for name, draw in DRAWS.items():
        for n in sizes:
            for seed in range(seeds):
                w = draw(np.random.default_rng([seed, n, len(name)]), n)
                yield w if o.signed else np.maximum(w, 0)


def total(w: Array, o: Options) -> float:
    """The error of the best single level (0 where the shift is no choice)."""
    return float(np.sum((w - w.mean() if o.has_mean else w) ** 2))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_best_codes_rise_with_the_values(options: Options) -> None:
    # It is enough to try those: no other assignment has a smaller error.
    count = len(reference.codes_of(options).numbers)
    for w in arrays(options, range(1, 6 if count < 8 else 5), 1):
        rising = reference.least_error(w, options, reference.monotone_assignments(w, options))
        best = reference.least_error(w, options, reference.all_assignments(w, options))
        assert rising == pytest.approx(best, rel=1e-9, abs=1e-12 * total(w, options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_empirical_is_no_further_from_the_best_than_documented(options: Options) -> None:
    count = len(reference.codes_of(options).numbers)
    gaps = []
    for w in arrays(options, range(1, 11 if count < 8 else 8), 4):
        error = run(w, options).loss * w.size
        best = reference.least_error(w, options, reference.monotone_assignments(w, options))
        gaps.append((error - best) / (total(w, options) or 1))
    assert min(gaps) > -1e-9  # the oracle's own sanity: nothing is better than the best
    is_ternary = options.method == "ternary_quantized"
    assert max(gaps) < (LARGEST_TERNARY_QUANTIZED_GAP if is_ternary else LARGEST_GAP)
    assert np.mean(gaps) < MEAN_GAP
