"""How long published architectures take to test and to train: ul2q, BVLC's layers, OpenCV.

    python benchmarks/architectures.py [--nets "MobileNet v1" …] [--rounds N] [-o DIR]

The nets are those of published_nets.py with random weights, on one thread. Every contestant is a
process of its own, kept through a net; they take turns. A time is that of the processor, so that
other programs count little: the median over the rounds. A ratio is the median of those within a
round. BVLC's layers are those of the same libcaffe, by UL2Q_ENGINE=CAFFE; OpenCV takes part where
`make bench-environment` has installed it, and reads the same prototxt and caffemodel.

Each net's result is a line of build/architectures.jsonl. A net that has one there is not timed
again: a run that was stopped goes on where it was. Delete the file to begin anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import caffe
import numpy as np
from contestants import Contestant, Worker, processor
from published_nets import NETS, architecture

HERE = Path(__file__).resolve().parent
RIVALS = HERE.parent / "build" / "bench" / "bin" / "python"
RESULTS = HERE.parent / "build" / "architectures.jsonl"
BATCHES = (1, 16)
OURS, BVLC, OPENCV = "ul2q", "BVLC", "OpenCV"
TASKS = [f"{task} {batch}" for task in ("test", "train") for batch in BATCHES]
# The ratio to each rival that is aimed at.
GOALS = {
    ("test 1", BVLC): 0.6,
    ("test 1", OPENCV): 1.0,
    ("test 16", BVLC): 0.45,
    ("test 16", OPENCV): 0.9,
    ("train 1", BVLC): 0.5,
    ("train 16", BVLC): 0.5,
}
TOLERANCE = 1e-4  # of an output, as a share of the largest number in it


def contestants() -> list[Contestant]:
    """Those that are installed."""
    here = Path(sys.executable)
    found = [
        Contestant(OURS, here, "architecture_worker.py"),
        Contestant(BVLC, here, "architecture_worker.py", environment={"UL2Q_ENGINE": "CAFFE"}),
    ]
    if RIVALS.exists():
        has_opencv = subprocess.run([RIVALS, "-c", "import cv2"], check=False, capture_output=True)
        if has_opencv.returncode == 0:
            found.append(Contestant(OPENCV, RIVALS, "opencv_worker.py"))
    return found


def write_net(name: str, folder: Path) -> None:
    """The net's prototxt, weights and inputs.

    BatchNorm's averages are those of two batches, so that numbers keep their size from layer to
    layer.
    """
    param = architecture(name, BATCHES[0])
    (folder / "net.prototxt").write_text(str(param), encoding="utf-8")
    outputs = [top for layer in param.layer for top in layer.top if top.startswith("output")]
    (folder / "outputs.txt").write_text(" ".join(outputs), encoding="utf-8")
    rng = np.random.default_rng(1)
    for batch in BATCHES:
        shape = (batch, *NETS[name][1])
        np.save(folder / f"input_{batch}.npy", rng.standard_normal(shape).astype(np.float32))
    caffe.set_random_seed(1)
    net = caffe.Net.from_proto(architecture(name, 4), caffe.TRAIN)
    for _ in range(2):
        net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
        net.forward()
    net.save(str(folder / "net.caffemodel"))


def measure(name: str, rounds: int) -> dict[str, Any]:
    """A line of the results: seconds by task and contestant, one a round, and the profiles."""
    seconds: dict[str, dict[str, list[float]]] = {}
    profiles: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_net(name, Path(folder))
        workers = {c.name: Worker(c, folder, 1) for c in contestants()}
        differences = compare(workers, Path(folder))
        for task in TASKS:
            kind, batch = task.split()
            seconds[task] = {}
            if kind == "train":
                workers.pop(OPENCV, None)
            for worker in workers.values():
                if kind == "train":
                    worker.ask(f"call prepare {batch}")
                worker.ask("train 1" if kind == "train" else f"test {batch} 1")
            command = "train" if kind == "train" else f"test {batch}"
            repetitions = {
                contestant: max(1, round(0.05 / worker.ask(f"{command} 1")))
                for contestant, worker in workers.items()
            }
            for _ in range(rounds):
                for contestant, worker in workers.items():
                    taken = worker.ask(f"{command} {repetitions[contestant]}")
                    seconds[task].setdefault(contestant, []).append(taken)
        for contestant, worker in workers.items():
            file = Path(folder, f"{contestant}.json")
            worker.ask(f"call profile {BATCHES[0]} {file}")
            profiles[contestant] = json.loads(file.read_text(encoding="utf-8"))
            worker.close()
    return {"net": name, "seconds": seconds, "profiles": profiles, "differences": differences}


def compare(workers: dict[str, Worker], folder: Path) -> dict[str, float]:
    """How far the rivals' outputs are from ours; SystemExit where that is too far."""
    differences: dict[str, float] = {}
    for batch in BATCHES:
        outputs: dict[str, dict[str, np.ndarray]] = {}
        for name, worker in workers.items():
            file = folder / f"{name}_{batch}.npz"
            worker.ask(f"call save {batch} {file}")
            with np.load(file) as arrays:
                outputs[name] = dict(arrays)
        for name, of_rival in outputs.items():
            for output, ours in outputs[OURS].items():
                far = np.abs(of_rival[output].reshape(ours.shape) - ours).max()
                relative = float(far / np.abs(ours).max())
                differences[name] = max(differences.get(name, 0.0), relative)
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise SystemExit(f"the outputs of {name} differ from ours by {difference:.2g}")
    return differences


def ratio(seconds: dict[str, list[float]], rival: str) -> float:
    """The median of the rounds' ratios of our time to a rival's."""
    return median(a / b for a, b in zip(seconds[OURS], seconds[rival], strict=True))


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a net and task; ratios that miss their goal are bold."""
    rows = [
        ["net", "task", OURS, BVLC, OPENCV, f"{OURS} / {BVLC}", f"{OURS} / {OPENCV}"],
        ["---"] * 2 + ["--:"] * 5,
    ]
    for result in results:
        for task, seconds in result["seconds"].items():
            times = [
                f"{1000 * median(seconds[name]):.3g}" if name in seconds else ""
                for name in (OURS, BVLC, OPENCV)
            ]
            ratios = []
            for rival in (BVLC, OPENCV):
                value = ratio(seconds, rival) if rival in seconds else None
                misses = value is not None and value > GOALS.get((task, rival), 1.0)
                text = "" if value is None else f"{value:.2f}"
                ratios.append(f"**{text}**" if misses else text)
            rows.append([result["net"], task, *times, *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def slow_types(result: dict[str, Any], direction: str) -> str:
    """Where a net's time goes, e.g. "Convolution 12 of 16 (BVLC 40), …": milliseconds."""
    totals: dict[str, defaultdict[str, float]] = {}
    for contestant, profile in result["profiles"].items():
        totals[contestant] = defaultdict(float)
        for layer in profile.values():
            totals[contestant][layer["type"]] += layer[direction]
    whole = sum(totals[OURS].values())
    longest = sorted(totals[OURS], key=totals[OURS].__getitem__, reverse=True)[:5]
    parts = [
        f"{kind} {totals[OURS][kind]:.2g} (BVLC {totals[BVLC][kind]:.2g})"
        for kind in longest
        if totals[OURS][kind] > 0.02 * whole
    ]
    return f"{whole:.3g} ms: " + ", ".join(parts)


def profiles(results: list[dict[str, Any]]) -> str:
    """Of the nets that miss a goal at batch 1, where their time goes."""
    lines = []
    for result in results:
        for task, direction in (("test", "forward"), ("train", "backward")):
            missed = [
                f"{rival} {value:.2f} at {name}"
                for name, seconds in result["seconds"].items()
                for rival in (BVLC, OPENCV)
                if name.startswith(task) and rival in seconds
                for value in [ratio(seconds, rival)]
                if value > GOALS[name, rival]
            ]
            if missed:
                lines.append(
                    f"- {result['net']}, {task} ({'; '.join(missed)}), {direction} pass of one "
                    f"image, layer by layer, {slow_types(result, direction)}."
                )
    return "\n".join(lines)


def read_results() -> dict[str, dict[str, Any]]:
    """The lines that there are, by net."""
    if not RESULTS.exists():
        return {}
    lines = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {line["net"]: line for line in lines}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    for net in arguments.nets:
        if net in read_results():
            continue
        result = measure(net, arguments.rounds)
        with RESULTS.open("a", encoding="utf-8") as file:
            print(json.dumps(result), file=file)
        print(table([result]), flush=True)
    found = read_results()
    results = [found[net] for net in NETS if net in found]
    rounds = min(len(taken[OURS]) for result in results for taken in result["seconds"].values())
    farthest = max(value for result in results for value in result["differences"].values())
    text = (
        f"Milliseconds of the processor, one thread: `make bench-architectures`. {processor()}, "
        f"medians of {rounds} rounds or more in turn. Ratios in bold miss the goal: of BVLC's "
        "time 0.6 (test 1), 0.45 (test 16), 0.5 (train); of OpenCV's 1.0 and 0.9. Outputs differ "
        f"by at most {farthest:.1g} of the largest number.\n\n{table(results)}\n"
    )
    missed = profiles(results)
    if missed:
        text += f"\nWhere the time of those goes that miss a goal:\n\n{missed}\n"
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "architectures.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
