"""Which images of a data set are imported, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ul2q.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


def alternating(labels: Sequence[int], limit: int | None = None) -> list[int]:
    """The images' indices with the classes taking turns, the first of each class first.

    Each class keeps its order, and a class that has no more images drops out, so that the first N
    indices are a balanced subset for every N.

    Args:
        labels: the label of each image.
        limit: the number of indices; None, or more than there are: all.

    Raises:
        DataError: `limit` is less than 1.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit}; it must be 1 image or more")
    counts: dict[int, int] = {}
    turns = []
    for label in labels:
        turns.append(counts.get(label, 0))
        counts[label] = turns[-1] + 1
    return sorted(range(len(labels)), key=lambda i: (turns[i], labels[i]))[:limit]


def shuffled(indices: Sequence[int], seed: int) -> list[int]:
    """The indices in an order that depends on `seed` and their number alone.

    The order is that of raw draws of PCG64, whose stream NumPy keeps the same in all releases.

    Raises:
        DataError: `seed` is negative.
    """
    if seed < 0:
        raise DataError(f"seed {seed}; it must be 0 or more")
    draws = np.random.PCG64(seed).random_raw(len(indices))
    return [indices[i] for i in np.argsort(draws, kind="stable")]


def drawn(labels: Sequence[int], share: float, seed: int) -> set[int]:
    """The indices of a share of each class's images, drawn at random.

    The draw depends on the labels, the share and `seed` alone, by the same numbers as `shuffled`.

    Args:
        labels: the label of each image; at least two of each.
        share: more than 0 and less than 1. Of n images share * n are drawn, rounded to the nearest,
            half to even, but at least 1 and at most n - 1.
        seed: 0 or more.

    Raises:
        DataError: `seed` is negative.
    """
    members: dict[int, list[int]] = {}
    for i in shuffled(range(len(labels)), seed):
        members.setdefault(labels[i], []).append(i)
    return {
        i
        for indices in members.values()
        for i in indices[: min(max(round(share * len(indices)), 1), len(indices) - 1)]
    }
