"""The package's nets in C: how they are quantised, which compilers build them, and what differs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.deploy.compiled import SANITIZED, compiled
from tests.deploy.runtimes.packages import COMPILERS
from tests.deploy.trained import bundled, inputs_of

if TYPE_CHECKING:
    from pathlib import Path

BITS = (1, 2, 3, 4, 8)
# A key of results for each compiler.
COMPILED = {f"c · {name}": name for name in COMPILERS}
# All that C takes: no float activations, and the last layer quantised, too.
FORMS: list[dict[str, Any]] = [
    {
        "weight_bits": bits,
        "granularity": granularity,
        "shift": shift,
        "activation_bits": 8,
        "last_bits": 8,
    }
    for bits, granularity, shift in itertools.product(BITS, ("tensor", "channel"), ("mean", "zero"))
]


def builds(net: str, compiler: str) -> list[list[str]]:
    """Without optimisation and with all; of small nets also with what finds undefined behaviour."""
    sanitized = [SANITIZED] if net in ("lenet", "cifarnet") else []
    return [[compiler, *words] for words in (["-O0"], ["-O3"], *sanitized)]


def differences(name: str, options: dict[str, Any], folder: Path) -> dict[str, tuple[int, int]]:
    """How many output integers are others than NumPy's, and how many there are, by COMPILED."""
    net = bundled(name, **options)
    made = {key: builds(name, compiler) for key, compiler in COMPILED.items()}
    wanted, found = compiled(net, inputs_of(net), folder, list(itertools.chain(*made.values())))
    assert all(np.unique(array).size > 1 for array in wanted.values())
    for got in found:
        assert {b: a.shape for b, a in got.items()} == {b: a.shape for b, a in wanted.items()}
    counts, results = {}, iter(found)
    for key, own in made.items():
        wrong = [
            np.not_equal(got[blob], array)
            for got in itertools.islice(results, len(own))
            for blob, array in wanted.items()
        ]
        counts[key] = (
            sum(int(np.count_nonzero(array)) for array in wrong),
            sum(array.size for array in wrong),
        )
    return counts
