"""Adaptive rounding: each weight up or down so that the layer's output is closest.

Rounding to the nearest level makes each weight's error the least, not that of the sums that the
layer computes, in which errors of correlated inputs add up. With H = E[x xᵀ] of the inputs that the
images bring, an output's expected squared error for weights w and quantised ones v is
(v - w)ᵀ H (v - w). From the nearest levels on, one weight at a time takes the level that makes this
least, until none changes: it never grows. The problem is that of Nagel et al., "Up or Down?
Adaptive Rounding for Post-Training Quantization", ICML 2020; descent by coordinates is what solves
it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SWEEPS = 20


def round_to_output(
    weights: NDArray[Any],
    nearest: NDArray[Any],
    moments: NDArray[Any],
    scale: NDArray[Any],
    lowest: NDArray[Any],
    highest: NDArray[Any],
) -> NDArray[np.float64]:
    """Levels for weights by what they do to the outputs.

    Args:
        weights: N x K, a row for each output.
        nearest: the nearest levels, N x K.
        moments: H, K x K.
        scale: the step between levels, N x 1.
        lowest: the outermost levels, N x 1.
        highest: likewise.

    Returns:
        N x K: the rows of `nearest` moved by whole steps.
    """
    levels = np.array(nearest, np.float64)
    diagonal = np.diag(moments)
    step = np.broadcast_to(np.asarray(scale, np.float64).ravel(), (len(levels),))
    least, most = (
        np.broadcast_to(np.asarray(one, np.float64).ravel(), (len(levels),))
        for one in (lowest, highest)
    )
    order = [int(k) for k in np.argsort(-diagonal, kind="stable") if diagonal[k] > 0]
    gradient = (levels - weights) @ moments  # half of it
    safe = np.where(step > 0, step, 1.0)
    for _ in range(_SWEEPS):
        changed = False
        for k in order:
            steps = np.round(-gradient[:, k] / diagonal[k] / safe)
            moved = levels[:, k] + steps * step
            # A move beyond the ends is cut to whole steps that stay within.
            over = np.ceil(np.maximum(moved - most, 0) / safe - 1e-6)
            under = np.ceil(np.maximum(least - moved, 0) / safe - 1e-6)
            change = (steps - over + under) * step
            rows = np.flatnonzero(change)
            if rows.size:
                levels[rows, k] += change[rows]
                gradient[rows] += change[rows, np.newaxis] * moments[k]
                changed = True
        if not changed:
            break
    return levels


def output_error(
    weights: NDArray[Any], levels: NDArray[Any], moments: NDArray[Any]
) -> NDArray[np.float64]:
    """(v - w)ᵀ H (v - w) of each row."""
    difference = np.asarray(levels, np.float64) - weights
    return np.asarray(np.einsum("nk,nk->n", difference @ moments, difference))
