"""Where the boxes of a layered drawing stand: every arrow goes down, none behind a box.

The method is Sugiyama's: rows by the longest path, one bend in each row that an arrow crosses,
the order in a row by the means of the neighbours, places by least squares.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Edge: TypeAlias = "tuple[str, str]"
Rows: TypeAlias = "list[list[str]]"

ORDERINGS = 24  # sweeps over the rows, to find an order with few crossings
PLACINGS = 200  # sweeps to find places; each moves a row at a time
# How much a line's being upright counts: of a box and a box, a box and a bend, two bends.
UPRIGHT = (1.0, 2.0, 8.0)


@dataclass(frozen=True)
class Layout:
    """The rows from top to bottom, and where everything stands in them.

    Attributes:
        rows: boxes and bends, from left to right.
        x: the middle of each box and bend.
        paths: for each edge its box, the bends on its way, and the other box.
    """

    rows: Rows
    x: dict[str, float]
    paths: dict[Edge, list[str]]


def without_implied(edges: Collection[Edge]) -> list[Edge]:
    """The edges that no way over other boxes stands for: the transitive reduction.

    Raises:
        ValueError: the edges run in a circle, which is named.
    """
    targets = _targets(edges)
    reachable: dict[str, set[str]] = {}

    def reach(node: str, way: list[str]) -> set[str]:
        if node in way:
            raise ValueError(f"a circle of imports: {' → '.join([*way[way.index(node) :], node])}")
        if node not in reachable:
            found = {node}
            for target in sorted(targets[node]):
                found |= reach(target, [*way, node])
            reachable[node] = found
        return reachable[node]

    return [
        (source, target)
        for source, target in sorted(edges)
        if reach(source, [])
        and not any(target in reach(other, []) for other in targets[source] - {target})
    ]


def lay_out(
    groups: Sequence[Sequence[str]],
    edges: Collection[Edge],
    widths: Mapping[str, float],
    gap: float,
) -> Layout:
    """Place boxes in rows, the groups below each other.

    Args:
        groups: boxes, in the order in which they stand where nothing else decides.
        edges: (upper, lower), without those that others imply.
        widths: of each box.
        gap: between two boxes of a row, and the room that a bend takes.
    """
    rank = _ranks(groups, edges)
    rows: Rows = [[] for _ in range(max(rank.values()) + 1)]
    for group in groups:
        for box in group:
            rows[rank[box]].append(box)
    paths = {}
    for source, target in edges:
        bends = [f"{source} {target} {r}" for r in range(rank[source] + 1, rank[target])]
        for row, bend in enumerate(bends, start=rank[source] + 1):
            rows[row].append(bend)
        paths[source, target] = [source, *bends, target]
    segments = [pair for path in paths.values() for pair in pairwise(path)]
    rows = _ordered(rows, segments)
    return Layout(rows, _places(rows, segments, widths, gap), paths)


def _targets(edges: Iterable[Edge]) -> defaultdict[str, set[str]]:
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in edges:
        targets[source].add(target)
    return targets


def _ranks(groups: Sequence[Sequence[str]], edges: Collection[Edge]) -> dict[str, int]:
    """The row of each box: below all that it hangs from, and as near to them as it serves."""
    rank: dict[str, int] = {}
    first = 0
    for group in groups:
        within = [(a, b) for a, b in edges if a in group and b in group]
        sources, targets = _targets((b, a) for a, b in within), _targets(within)
        height = dict.fromkeys(group, 0)
        for _ in group:  # the longest way down has fewer steps than there are boxes
            for box in group:
                height[box] = max((height[t] + 1 for t in targets[box]), default=0)
        top = max(height.values())
        for box in sorted(group, key=lambda box: -height[box]):
            if any(b == box and a in rank for a, b in edges) and not sources[box]:
                height[box] = top  # the groups above hang from it
            elif sources[box] and len(sources[box]) > len(targets[box]):
                height[box] = min(height[s] for s in sources[box]) - 1
        rank |= {box: first + top - height[box] for box in group}
        first += top + 1
    return rank


def _ordered(rows: Rows, segments: Collection[Edge]) -> Rows:
    """The order of the fewest crossings that some sweeps down and up find."""
    below, above = _targets(segments), _targets((b, a) for a, b in segments)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(ORDERINGS):
        rows = [list(row) for row in rows]
        neighbours = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            place = {name: (i + 0.5) / len(r) for r in rows for i, name in enumerate(r)}
            row.sort(key=lambda name: _mean([place[n] for n in neighbours[name]], place[name]))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: Rows, below: Mapping[str, set[str]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        place = {name: i for i, name in enumerate(lower)}
        lines = [(i, place[t]) for i, name in enumerate(upper) for t in below[name] if t in place]
        count += sum((a - c) * (b - d) < 0 for a, b in lines for c, d in lines) // 2
    return count


def _mean(values: Sequence[float], otherwise: float) -> float:
    return fsum(values) / len(values) if values else otherwise  # whatever the order of a set


def _places(
    rows: Rows, segments: Collection[Edge], widths: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Each box near the mean of its neighbours, in its row's order and clear of the next."""
    neighbours: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for a, b in segments:
        weight = UPRIGHT[(a not in widths) + (b not in widths)]
        neighbours[a].append((b, weight))
        neighbours[b].append((a, weight))
    x: dict[str, float] = {}
    offsets: list[list[float]] = []  # of a row that is as narrow as it can be
    for row in rows:
        offset = [0.0]
        for left, right in pairwise(row):
            offset.append(offset[-1] + (widths.get(left, 0) + widths.get(right, 0)) / 2 + gap)
        offsets.append(offset)
        x |= {name: o - offset[-1] / 2 for name, o in zip(row, offset, strict=True)}
    down = list(zip(rows, offsets, strict=True))
    for row, offset in (down + down[::-1]) * PLACINGS:
        weights = [sum(weight for _, weight in neighbours[name]) for name in row]
        wish = [
            fsum(x[n] * weight for n, weight in neighbours[name]) / total - o
            for name, total, o in zip(row, weights, offset, strict=True)
        ]
        for name, o, place in zip(row, offset, _rising(wish, weights), strict=True):
            x[name] = place + o
    return x


def _rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The numbers of the least weighted squared distance to `values` that do not fall."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, total, count = pools.pop()
            both = total + pool[1]
            pool = ((mean * total + pool[0] * pool[1]) / both, both, count + pool[2])
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]
