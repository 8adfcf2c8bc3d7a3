"""What the fork's methods computed, by its formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fixed_point_of_the_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    step = 2.0 ** (np.floor(np.log2(np.abs(w).max())) - (bits - 2))
    limit = 2 ** (bits - 1) - 1
    return np.asarray(np.clip(half_away(w / step), -limit, limit) * step)


def fixed_point_of_the_older_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    """That of 2018, in which `bits` does not count the sign."""
    step = 2.0 ** (np.floor(np.log2(np.abs(w).max())) - (bits - 1))
    limit = 2**bits - 1
    return np.asarray(np.clip(half_away(w / step), -limit, limit) * step)


def ternary_of_the_older_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    codes = np.where(np.abs(w) > 0.7 * np.abs(w).mean(), np.sign(w), 0)
    scale = np.array([(codes * w).sum() / np.abs(codes).sum()])
    return np.asarray(codes * fixed_point_of_the_older_fork(scale, bits))


def half_away(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.trunc(x + np.copysign(0.5, x)))


def ternary_of_the_fork(w: NDArray[Any], bits: int | None) -> NDArray[Any]:
    codes = np.where(np.abs(w) > 0.7 * np.abs(w).mean(), np.sign(w), 0)
    scale = np.array([(codes * w).sum() / np.abs(codes).sum()])
    return np.asarray(codes * (scale if bits is None else fixed_point_of_the_fork(scale, bits)))


def clip_of_the_fork(w: NDArray[Any]) -> NDArray[Any]:
    step = np.abs(w).max() / 127
    return np.asarray(half_away(w / step) * step)


def ulq_of_the_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    steps = [1.595016, 0.995290, 0.587221, 0.335890, 0.189442, 0.105709, 0.057083, 0.030482]
    alpha = steps[bits - 1] * w.std()
    half = 2 ** (bits - 1)
    codes = half_away(np.clip((w - w.mean()) / alpha + 0.5, 1 - half, half))
    return np.asarray((codes - 0.5) * alpha + w.mean())
