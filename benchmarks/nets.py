"""How long nets take to train and to test: ul2q, BVLC's own layers, PyTorch with Brevitas.

    python benchmarks/nets.py [--nets vgg7_64 …] [--rounds N] [--threads N] [-o DIR]

Every contestant is a process of its own, kept through the run; they take turns, so that what
else the machine does hits all alike. Times are medians over the rounds, ratios medians of the
ratios within a round, with their quartiles. BVLC's layers are those of the same libcaffe, by
UL2Q_ENGINE=CAFFE; PyTorch takes part where `make bench-environment` has installed it.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from contestants import Contestant, Worker, processor

HERE = Path(__file__).resolve().parent
TORCH = HERE.parent / "build" / "bench" / "bin" / "python"
NETS = ("lenet", "cifarnet", "vgg7_64")
TASKS = {
    "train": ("train {n}", 1.0),
    "test 100": ("test 100 {n}", 0.5),
    "test 1": ("test 1 {n}", 0.2),
}
OURS = "ul2q 2 bit"
BVLC = "BVLC float"
BREVITAS = "Brevitas 2 bit"


def contestants() -> list[Contestant]:
    """Those that are installed."""
    here = Path(sys.executable)
    found = [
        Contestant(OURS, here, "caffe_worker.py", ("2",)),
        Contestant("ul2q float", here, "caffe_worker.py", ("0",)),
        Contestant(BVLC, here, "caffe_worker.py", ("0",), {"UL2Q_ENGINE": "CAFFE"}),
    ]
    if TORCH.exists():
        found += [
            Contestant("PyTorch float", TORCH, "torch_worker.py", ("0",)),
            Contestant(BREVITAS, TORCH, "torch_worker.py", ("2",)),
        ]
    return found


@dataclass
class Result:
    """What a contestant did on a net: seconds by task, one a round; peak bytes of training."""

    seconds: dict[str, list[float]]
    memory: float


def measure(net: str, rounds: int, threads: int) -> dict[str, Result]:
    """All contestants on one net."""
    results = {}
    workers = {c.name: Worker(c, net, threads) for c in contestants()}
    for name, worker in workers.items():
        worker.ask("train 2")
        results[name] = Result({task: [] for task in TASKS}, worker.ask("memory"))
    for task, (command, least_seconds) in TASKS.items():
        # As many repetitions as fill the time, as far as a try tells when all is set up.
        for worker in workers.values():
            worker.ask(command.format(n=2))
        repetitions = {
            name: max(1, round(least_seconds / worker.ask(command.format(n=2))))
            for name, worker in workers.items()
        }
        for _ in range(rounds):
            for name, worker in workers.items():
                taken = worker.ask(command.format(n=repetitions[name]))
                results[name].seconds[task].append(taken)
    for worker in workers.values():
        worker.close()
    return results


def ratio(results: dict[str, Result], task: str, rival: str) -> str:
    """E.g. "0.42 (0.41 to 0.44)"; "" where the rival is not installed."""
    if rival not in results:
        return ""
    pairs = zip(results[OURS].seconds[task], results[rival].seconds[task], strict=True)
    ratios = [ours / theirs for ours, theirs in pairs]
    low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table(results: dict[str, dict[str, Result]]) -> str:
    """Markdown: a row a net and task, in milliseconds."""
    names = list(next(iter(results.values())))
    headings = ["net", "task", *names, f"{OURS} / {BVLC}", f"{OURS} / {BREVITAS}"]
    rows = [headings, ["---"] * 2 + ["--:"] * (len(headings) - 2)]
    for net, of_net in results.items():
        for task in TASKS:
            times = [f"{1000 * median(of_net[name].seconds[task]):.3g}" for name in names]
            rows.append(
                [net, task, *times, ratio(of_net, task, BVLC), ratio(of_net, task, BREVITAS)]
            )
        memory = [f"{of_net[name].memory / 2**20:.0f}" for name in names]
        rows.append([net, "peak MiB", *memory, "", ""])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(results: dict[str, dict[str, Result]], path: Path) -> None:
    """Bars: training time as a share of BVLC's."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    names = list(next(iter(results.values())))
    figure, axes = plt.subplots(figsize=(8, 4))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        shares = [
            median(of_net[name].seconds["train"]) / median(of_net[BVLC].seconds["train"])
            for of_net in results.values()
        ]
        places = [net + i * width for net in range(len(results))]
        bars = axes.bar(places, shares, width, label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks([net + 0.4 - width / 2 for net in range(len(results))], list(results))
    axes.set_ylabel("seconds an iteration, BVLC float = 1")
    axes.set_title("Training, batch 100")
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    results = {net: measure(net, arguments.rounds, arguments.threads) for net in arguments.nets}
    text = (
        f"Batch 100, milliseconds: `make bench-nets`. {processor()}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds in turn; medians, ratios with their quartiles.\n\n"
        f"{table(results)}\n"
    )
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "nets.md").write_text(text, encoding="utf-8")
    try:
        draw(results, arguments.output / "nets.svg")
    except ImportError:
        print("no chart: matplotlib is not installed (pip install '.[bench]')")


if __name__ == "__main__":
    main()
