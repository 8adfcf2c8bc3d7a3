"""Powers of positive numbers in integers: x^-beta by a table.

x = m · 2^e with m from 1 to 2 gives x^-beta = m^-beta · (2^-beta)^e. The second factor is in a
table, and so are, for each of 128 parts of the range of m, the coefficients of the parabola through
the first one's values at both ends and in the middle:

    m^-beta ≈ a - d (b - d c), d from 0 to 1 within the part

which is within 3 · 10⁻⁸ of it for beta up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PART_BITS = 7
_D_BITS = 24
ONE = 30  # bits behind the point of all tables


@dataclass(frozen=True, eq=False)
class PowerTable:
    """Integers for x^-beta, times 2^30 · smallest^beta, of an x of up to 62 bits.

    Attributes:
        point: how many bits of x are behind the point.
        parts: 128 × 3: a, b and c, times 2^30.
        exponents: what m^-beta is multiplied by, for the highest bit of x.
    """

    point: int
    parts: NDArray[np.int64]
    exponents: NDArray[np.int64]

    @classmethod
    def of(cls, beta: float, point: int, smallest: float) -> PowerTable:
        """The table for an x that is at least `smallest`, and beta of at most 1."""
        edges = np.arange(2**PART_BITS) / 2**PART_BITS
        width = 1 / 2**PART_BITS
        start, middle, end = ((1 + edges + place * width) ** -beta for place in (0.0, 0.5, 1.0))
        c = 2 * (start - 2 * middle + end)
        b = start - end + c
        parts = np.rint(np.stack([start, b, c], 1) * 2.0**ONE).astype(np.int64)
        exponents = (2.0 ** (np.arange(62) - point) / smallest) ** -beta
        exponents = np.minimum(np.rint(exponents * 2.0**ONE), 2.0**31 - 1)
        return cls(point, parts, exponents.astype(np.int64))

    def run(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """The powers times 2^30 · smallest^beta, as C computes them."""
        highest = np.zeros_like(x)
        for bits in (32, 16, 8, 4, 2, 1):
            highest += np.where(x >> (highest + bits) > 0, bits, 0)
        # The bits behind the highest one, 31 of them.
        fraction = np.where(
            highest > 31, x >> np.maximum(highest - 31, 0), x << np.maximum(31 - highest, 0)
        ) & (2**31 - 1)
        part = fraction >> _D_BITS
        d = fraction & (2**_D_BITS - 1)
        a, b, c = np.moveaxis(self.parts[part], -1, 0)
        mantissa = a - (d * (b - (d * c >> _D_BITS)) >> _D_BITS)
        return np.asarray(mantissa * self.exponents[highest] >> ONE)
