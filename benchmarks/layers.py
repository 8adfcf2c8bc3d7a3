"""Our float engine against BVLC's layers on layers of random shapes.

    python benchmarks/layers.py [--cases N] [--first N] [--seed N] [--rounds N] [-o DIR]

A case is a Convolution, Deconvolution or InnerProduct of random options, every other with a ReLU
in place behind it, and two tasks: a forward pass in phase TEST; forward and backward in phase
TRAIN. Both engines' nets are in one process and take turns; times are of the processor, not of the
clock, since other processes share the machine. Ratios are medians of the ratios within a round.

Each result is a line of JSON in build/bench/layers-SEED.jsonl. A second run goes on behind the
cases that are there already, so a long sweep can be stopped at any time. The table of the ten worst
cases goes to results/layers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
RAW = HERE.parent / "build" / "bench"
TASKS = ("test", "train")
OURS, BVLC = "ours", "bvlc"
# A larger case takes too long, one of less work is Python's overhead.
MOST_PRODUCTS = 4e8
LEAST_PRODUCTS = 2e4
MOST_ELEMENTS = 8e6
SHORTEST = 0.004  # seconds that a measurement takes at least
LIMIT = 1.1  # a case above is too slow


@dataclass(frozen=True)
class Case:
    """A layer: its type, the shape of what goes in, and its options in prototxt."""

    type: str
    shape: tuple[int, ...]
    options: str
    relu: bool

    def __str__(self) -> str:
        """Readable in a table."""
        shape = "x".join(map(str, self.shape))
        return f"{self.type} {shape}, {self.options}" + (" + ReLU" if self.relu else "")

    def net(self, engine: str, phase: str) -> str:
        """A net of the layer alone; a loss behind it gives it a gradient."""
        dims = " ".join(f"dim: {dim}" for dim in self.shape)
        field = "inner_product_param" if self.type == "InnerProduct" else "convolution_param"
        # The engine table reads `engine` of any layer's relu_param.
        by = "relu_param { engine: CAFFE }" if engine == BVLC else ""
        text = (
            f'force_backward: true layer {{ name: "x" type: "Input" top: "x" input_param {{ '
            f'shape {{ {dims} }} }} }} layer {{ name: "y" type: "{self.type}" bottom: "x" top: "y" '
            f'{field} {{ {self.options} weight_filler {{ type: "xavier" }} }} {by} }}'
        )
        if self.relu:
            text += f'layer {{ name: "r" type: "ReLU" bottom: "y" top: "y" {by} }}'
        if phase == "train":
            text += (
                'layer { name: "l" type: "Reduction" bottom: "y" top: "l" loss_weight: 1 '
                "reduction_param { operation: SUMSQ } }"
            )
        return text


def _between(rng: random.Random, low: int, high: int) -> int:
    """An integer, its logarithm uniform."""
    return min(high, int(low * ((high + 1) / low) ** rng.random()))


def _inner_product(rng: random.Random) -> Case | None:
    images, inputs = _between(rng, 1, 32), _between(rng, 1, 16384)
    outputs = _between(rng, 1, 4096)
    products = images * inputs * outputs
    if inputs * outputs > 2 * MOST_ELEMENTS or not LEAST_PRODUCTS <= products <= MOST_PRODUCTS:
        return None
    options = f"num_output: {outputs}"
    if rng.random() < 0.3:
        options += " transpose: true"
    if rng.random() < 0.2:
        options += " bias_term: false"
    return Case("InnerProduct", (images, inputs), options, rng.random() < 0.5)


def _convolution(rng: random.Random) -> Case | None:
    is_deconvolution = rng.random() < 0.4
    images, size = _between(rng, 1, 32), (_between(rng, 1, 128), _between(rng, 1, 128))
    if rng.random() < 0.7:
        size = (size[0], size[0])
    channels, outputs = _between(rng, 1, 2048), _between(rng, 1, 2048)
    kind = rng.random()
    if kind < 0.2:
        outputs = group = channels
    elif kind < 0.4:
        group = rng.choice((2, 3, 4, 8, 32))
        channels, outputs = (max(1, n // group) * group for n in (channels, outputs))
    else:
        group = 1
    kernel = rng.choice((1, 1, 2, 3, 3, 3, 4, 5, 7, 8, 11, 16))
    stride = rng.choice((1, 1, 1, 2, 2, 3, 4) + ((8, 16) if is_deconvolution else ()))
    dilation = rng.choice((1, 1, 1, 1, 1, 2, 3, 6)) if kernel > 1 else 1
    reach = dilation * (kernel - 1)
    pad = rng.choice((0, reach // 2, reach // 2, rng.randint(0, reach)))
    if is_deconvolution:
        top = [stride * (n - 1) + reach + 1 - 2 * pad for n in size]
        pixels = size[0] * size[1]
    else:
        top = [(n + 2 * pad - reach - 1) // stride + 1 if n + 2 * pad > reach else 0 for n in size]
        pixels = top[0] * top[1]
    products = images * pixels * channels * outputs // group * kernel**2
    elements = images * max(channels * size[0] * size[1], outputs * top[0] * top[1])
    if (
        min(top) < 1
        or max(elements, channels * outputs // group * kernel**2) > MOST_ELEMENTS
        or not LEAST_PRODUCTS <= products <= MOST_PRODUCTS
    ):
        return None
    options = f"num_output: {outputs} kernel_size: {kernel}"
    for name, value, default in (
        ("stride", stride, 1),
        ("pad", pad, 0),
        ("group", group, 1),
        ("dilation", dilation, 1),
    ):
        if value != default:
            options += f" {name}: {value}"
    if rng.random() < 0.2:
        options += " bias_term: false"
    layer = "Deconvolution" if is_deconvolution else "Convolution"
    return Case(layer, (images, channels, *size), options, rng.random() < 0.5)


def cases(seed: int) -> Iterator[Case]:
    """Endlessly many, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311
    while True:
        case = (_inner_product if rng.random() < 0.2 else _convolution)(rng)
        if case is not None:
            yield case


class Contestant:
    """A net of one engine."""

    def __init__(self, case: Case, engine: str, phase: str) -> None:
        """Make it, fill it, and run it once."""
        import caffe
        import numpy as np

        self._net = caffe.Net.from_proto(
            case.net(engine, phase), caffe.TRAIN if phase == "train" else caffe.TEST
        )
        self._last = 2 if case.relu else 1
        self._net.blobs["x"].data[...] = np.random.RandomState(0).randn(*case.shape)
        self._net.forward()
        if phase == "train":
            self._net.backward()

    def forward(self) -> None:
        """The layer, and its ReLU."""
        self._net._forward(1, self._last)

    def backward(self) -> None:
        """The same backwards."""
        self._net._backward(self._last, 1)


def seconds(action: Callable[[], None], repetitions: int) -> float:
    """Processor time of a call, the mean of some."""
    began = time.process_time()
    for _ in range(repetitions):
        action()
    return (time.process_time() - began) / repetitions


def measure(case: Case, task: str, rounds: int) -> dict[str, Any]:
    """Milliseconds of each pass and engine, and the ratio of all passes with its quartiles."""
    contestants = {engine: Contestant(case, engine, task) for engine in (OURS, BVLC)}
    passes = ("forward", "backward") if task == "train" else ("forward",)
    actions = {
        (name, engine): getattr(contestants[engine], name)
        for name in passes
        for engine in contestants
    }
    repetitions = {}
    for key, action in actions.items():
        action()
        repetitions[key] = max(1, min(200, round(SHORTEST / max(seconds(action, 1), 1e-6))))
    times: dict[tuple[str, str], list[float]] = {key: [] for key in actions}
    for _ in range(rounds):
        for key, action in actions.items():
            times[key].append(seconds(action, repetitions[key]))
    sums = {
        engine: [sum(of) for of in zip(*(times[name, engine] for name in passes), strict=True)]
        for engine in contestants
    }
    ratios = [ours / bvlc for ours, bvlc in zip(sums[OURS], sums[BVLC], strict=True)]
    low, middle, high = quantiles(ratios, n=4) if rounds > 1 else ratios * 3
    milliseconds = {
        f"{engine} {name}": round(1000 * median(taken), 4)
        for (name, engine), taken in times.items()
    }
    return {
        "ratio": round(middle, 4),
        "quartiles": [round(low, 4), round(high, 4)],
        "ms": milliseconds,
    }


def sweep(
    path: Path, seed: int, first: int, count: int, rounds: int, kind: str
) -> list[dict[str, Any]]:
    """The results of the cases from `first` on, those of earlier runs and new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = {(line["number"], line["task"]): line for line in map(json.loads, lines)}
    results = []
    with path.open("a", encoding="utf-8") as file:
        for number, case in enumerate(cases(seed)):
            if number >= first + count:
                break
            if number < first or not case.type.startswith(kind):
                continue
            for task in TASKS:
                result = found.get((number, task))
                if result is None:
                    measured = measure(case, task, rounds)
                    if measured["ratio"] > LIMIT:  # once more: was it the machine?
                        again = measure(case, task, 2 * rounds)
                        measured = min(measured, again, key=lambda of: of["ratio"])
                    result = {"number": number, "case": asdict(case), "task": task, **measured}
                    result["name"] = str(case)
                    print(json.dumps(result), file=file, flush=True)
                    print(f"{number:4} {task:5} {result['ratio']:.2f}  {case}", flush=True)
                results.append(result)
    return results


def row(result: dict[str, Any]) -> list[str]:
    """Of the table: case, task, milliseconds, ratio."""
    ours, bvlc = (
        sum(value for name, value in result["ms"].items() if name.startswith(engine))
        for engine in (OURS, BVLC)
    )
    low, high = result["quartiles"]
    return [
        str(result["number"]),
        result["name"],
        result["task"],
        f"{ours:.3g}",
        f"{bvlc:.3g}",
        f"{result['ratio']:.2f} ({low:.2f} to {high:.2f})",
    ]


def table(rows: list[list[str]]) -> str:
    """Markdown; the first row is the heading."""
    lines = [rows[0], ["---" if i in (1, 2) else "--:" for i in range(len(rows[0]))], *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(results: list[dict[str, Any]], seed: int) -> str:
    """What results/layers.md says."""
    kinds = [["cases", "type", "task", "median", "90 %", "worst", f"over {LIMIT}"]]
    for kind in ("Convolution", "Deconvolution", "InnerProduct"):
        for task in TASKS:
            ratios = sorted(
                result["ratio"]
                for result in results
                if result["case"]["type"] == kind and result["task"] == task
            )
            if ratios:
                numbers = (median(ratios), ratios[int(0.9 * (len(ratios) - 1))], ratios[-1])
                over = sum(ratio > LIMIT for ratio in ratios)
                kinds.append(
                    [str(len(ratios)), kind, task, *(f"{n:.2f}" for n in numbers), str(over)]
                )
    from ul2q.runs import environment

    versions = environment.versions()
    worst = sorted(results, key=lambda result: result["ratio"], reverse=True)[:10]
    heading = ["case", "layer", "task", "ours ms", "BVLC ms", "ours / BVLC"]
    return (
        "Layers of random shapes, our float engine against BVLC's layers: `make bench-layers`. "
        f"Seed {seed}, cases {results[0]['number']} to {results[-1]['number']}, one thread, "
        "processor time; ratios are medians within rounds, with their quartiles. `test` "
        "is a forward pass, `train` forward and backward. "
        f"OpenBLAS {versions['openblas']}, oneDNN {versions['onednn']}.\n\n"
        f"{table(kinds)}\n\nThe ten worst:\n\n{table([heading, *map(row, worst)])}\n"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--type", default="", help="only layers whose type begins so")
    parser.add_argument("--raw", type=Path, help="the file of JSON lines")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("set OMP_NUM_THREADS=1: processor time of several threads adds up")
    path = arguments.raw or RAW / f"layers-{arguments.seed}.jsonl"
    results = sweep(
        path, arguments.seed, arguments.first, arguments.cases, arguments.rounds, arguments.type
    )
    text = report(results, arguments.seed)
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "layers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
