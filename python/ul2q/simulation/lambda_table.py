"""The step λ of least squared error for N(0, 1): found anew, the paper's, the library's.

μL2Q's levels at k bits are ±λ/2, ±3λ/2, ... up to (2**k - 1) λ/2 on either side, the bounds between
them 0, ±λ, ±2λ, ... With x ~ N(0, 1), Q(x) = λ y and n = 2**(k-1), summing by parts gives

    E[x y] = 2 (φ(0)/2 + Σ φ(jλ))        E[y²] = 2 (1/8 + Σ 2j T(jλ))        j = 1 ... n - 1

where φ is the density and T(z) = P(x > z). So the mean squared error (the paper's L2 loss) is

    E[(x - Q(x))²] = 1 - 2λ E[x y] + λ² E[y²]

and its derivative 2 (λ E[y²] - E[x y]): where λ changes, the bounds stay midway between the levels,
so that y is constant to first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ul2q.quantizers import quantize

# Table I of Gong et al., IJCNN 2019: λ and its loss for 1, 2, ... bits.
PAPER = (
    (1.5959, 0.3625),
    (0.9894, 0.1189),
    (0.5838, 0.0374),
    (0.3327, 0.0115),
    (0.1897, 0.0035),
    (0.1043, 0.0010),
    (0.0563, 0.0003),
    (0.0304, 0.0001),
)


@dataclass(frozen=True)
class Step:
    """λ at one width, in units of σ. Losses are mean squared errors as shares of the variance.

    Attributes:
        bits: the width.
        paper: of the paper's Table I.
        found: of the least loss, found here.
        library: what `quantize` uses, fit "exact".
        paper_loss: as Table I prints it.
        loss_of_paper: of `paper`, computed here.
        loss: of `found`.
    """

    bits: int
    paper: float
    found: float
    library: float
    paper_loss: float
    loss_of_paper: float
    loss: float


def lambda_table() -> tuple[Step, ...]:
    """A row for each width of the paper's Table I, 1 to 8 bits."""
    return tuple(
        Step(
            bits=bits,
            paper=paper,
            found=(found := best_step(bits)),
            # Mean 0, standard deviation 1: the scale is λ.
            library=quantize(np.array([-1.0, 1.0]), bits).scale,
            paper_loss=paper_loss,
            loss_of_paper=expected_loss(paper, bits),
            loss=expected_loss(found, bits),
        )
        for bits, (paper, paper_loss) in enumerate(PAPER, start=1)
    )


def expected_loss(step: float, bits: int) -> float:
    """The mean squared error E[(x - Q(x))²] for x ~ N(0, 1).

    Args:
        step: λ, above 0.
        bits: the width.
    """
    product, square = _moments(step, bits)
    return 1 - 2 * step * product + step**2 * square


def best_step(bits: int) -> float:
    """The λ of the least squared error, by bisection of its derivative as far as doubles go."""
    low, high = 0.0, 2.0  # at steps of 2σ the error grows with the step at any width
    while low < (middle := (low + high) / 2) < high:
        product, square = _moments(middle, bits)
        if middle * square < product:
            low = middle
        else:
            high = middle
    return middle


def _moments(step: float, bits: int) -> tuple[float, float]:
    """The moments E[x y] and E[y²] of the formula at the head of this file."""
    bounds = [j * step for j in range(1, 2 ** (bits - 1))]
    densities = math.fsum(math.exp(-(z**2) / 2) for z in bounds)
    tails = math.fsum(j * math.erfc(z / math.sqrt(2)) for j, z in enumerate(bounds, start=1))
    return (1 + 2 * densities) / math.sqrt(2 * math.pi), 0.25 + 2 * tails
