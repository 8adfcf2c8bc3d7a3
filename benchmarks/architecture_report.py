"""Tables of what architectures.py measured."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS, BVLC, OPENCV, ONNXRUNTIME, TORCH = "ul2q", "BVLC", "OpenCV", "onnxruntime", "PyTorch"
RIVALS = (BVLC, OPENCV, ONNXRUNTIME, TORCH)
TASKS = ("test 1", "test 16", "train 1", "train 16")
# The ratio to a rival that is aimed at.
GOALS = {
    ("test 1", BVLC): 0.6,
    ("test 1", OPENCV): 1.0,
    ("test 16", BVLC): 0.45,
    ("test 16", OPENCV): 0.9,
    ("train 1", BVLC): 0.5,
    ("train 16", BVLC): 0.5,
}
WHOLE, LAYERS = "whole", "layers"

Result = dict[str, Any]  # a line of the results
Key = tuple[str, str, str]


def key(result: Result) -> Key:
    """What a line is about: net, task, and WHOLE or LAYERS."""
    return result["net"], result["task"], result["of"]


def read_results(path: Path) -> dict[Key, Result]:
    """The lines of a file, if there is one; the last of those with the same key."""
    if not path.exists():
        return {}
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {key(line): line for line in lines}


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _markdown(rows: list[list[str]], names: int) -> str:
    """A table; the first row is the heading, and so many columns are text."""
    width = len(rows[0])
    lines = [rows[0], ["---"] * names + ["--:"] * (width - names), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def nets(results: list[Result]) -> str:
    """A row a net and task: milliseconds, and ratios, in bold where they miss a goal."""
    rows = [["net", "task", OURS, *RIVALS, *(f"{OURS} / {rival}" for rival in RIVALS)]]
    for result in results:
        if result["of"] != WHOLE:
            continue
        seconds, task = result["seconds"], result["task"]
        row = [result["net"], task]
        row += [
            f"{1000 * median(seconds[name]):.4g}" if name in seconds else ""
            for name in (OURS, *RIVALS)
        ]
        for rival in RIVALS:
            text = ""
            if rival in seconds:
                value = ratio(seconds[OURS], seconds[rival])
                text = f"{value:.2f}"
                if value > GOALS.get((task, rival), float("inf")):
                    text = f"**{text}**"
            row.append(text)
        rows.append(row)
    return _markdown(rows, 2)


def goals(results: list[Result]) -> str:
    """A row a goal: how many nets reach it, and the worst."""
    rows = [["task", "against", "goal", "reached by", "worst"]]
    for (task, rival), goal in GOALS.items():
        found = [
            (ratio(result["seconds"][OURS], result["seconds"][rival]), result["net"])
            for result in results
            if result["of"] == WHOLE and result["task"] == task and rival in result["seconds"]
        ]
        if found:
            reached = sum(value <= goal for value, _ in found)
            value, net = max(found)
            rows.append(
                [task, rival, f"{goal}", f"{reached} of {len(found)}", f"{value:.2f}, {net}"]
            )
    return _markdown(rows, 2)


def _profiles(results: list[Result], kind: str) -> Iterator[tuple[Result, str, int, list[Any]]]:
    """Each layer or step: its result, direction, number and description."""
    for result in results:
        if result["of"] == LAYERS:
            for direction in result["milliseconds"][OURS][kind]:
                for i, description in enumerate(result[kind]):
                    yield result, direction, i, description


def _rounds(result: Result, name: str, kind: str, direction: str, i: int) -> list[float]:
    return [of_round[i] for of_round in result["milliseconds"][name][kind][direction]]


def _summed(results: list[Result]) -> dict[tuple[str, str, str, str], dict[str, list[float]]]:
    """By net, task, direction and type: the sum of the type's layers, a round each."""
    sums: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    for result, direction, i, (_, layer, _) in _profiles(results, "layers"):
        of_type = sums.setdefault((result["net"], result["task"], direction, layer), {})
        for name in (OURS, BVLC):
            rounds = _rounds(result, name, "layers", direction, i)
            before = of_type.get(name, [0.0] * len(rounds))
            of_type[name] = [a + b for a, b in zip(before, rounds, strict=True)]
    return sums


def types(results: list[Result]) -> str:
    """A row a layer type: for each task and direction the net where it is slowest against BVLC."""
    worst: dict[str, dict[str, tuple[float, str]]] = defaultdict(dict)
    columns: list[str] = []
    for (net, task, direction, layer), of_type in _summed(results).items():
        column = task if task.startswith("test") else f"{task} {direction}"
        if column not in columns:
            columns.append(column)
        value = ratio(of_type[OURS], of_type[BVLC])
        times = (f"{median(of_type[name]):.3g}" for name in (OURS, BVLC))
        cell = (value, f"{value:.2f} ({' / '.join(times)}, {net})")
        worst[layer][column] = max(worst[layer].get(column, cell), cell)
    rows = [
        [layer, *(worst[layer].get(column, (0, ""))[1] for column in columns)]
        for layer in sorted(worst)
    ]
    return _markdown([["type", *columns], *rows], 1 + len(columns))


def worst_steps(results: list[Result], count: int = 10) -> str:
    """The steps that are slowest against BVLC's layers."""
    found = []
    for result, direction, i, (name, kinds, shape) in _profiles(results, "steps"):
        ours, bvlc = (_rounds(result, of, "steps", direction, i) for of in (OURS, BVLC))
        row = [result["net"], result["task"], direction, f"{name}: {kinds}", shape]
        row += [f"{median(ours):.3g}", f"{median(bvlc):.3g}", f"{ratio(ours, bvlc):.2f}"]
        found.append((ratio(ours, bvlc), row))
    found.sort(key=lambda pair: pair[0], reverse=True)
    heading = ["net", "task", "pass", "layers", "bottom", OURS, BVLC, f"{OURS} / {BVLC}"]
    return _markdown([heading, *(row for _, row in found[:count])], 5)


def slower_steps(results: list[Result]) -> tuple[int, int]:
    """How many steps take more than BVLC's layers, and how many there are, in both directions."""
    ratios = [
        ratio(*(_rounds(result, of, "steps", direction, i) for of in (OURS, BVLC)))
        for result, direction, i, _ in _profiles(results, "steps")
    ]
    return sum(value > 1 for value in ratios), len(ratios)
