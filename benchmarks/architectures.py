"""How long published architectures take to test and to train: ul2q and its rivals.

    python benchmarks/architectures.py [--nets "MobileNet v1" …] [--tasks "test 1" …]
        [--parts whole layers] [--rounds N]

The nets are those of published_nets.py with random weights, on one thread. Every contestant is a
process of its own, kept through a net; they take turns. A time is that of the processor, so that
other programs count little: the median over the rounds. A ratio is the median of those within a
round. BVLC's layers are those of the same libcaffe, by UL2Q_ENGINE=CAFFE. OpenCV reads the same
prototxt and caffemodel, onnxruntime what `ul2q export` makes of them, PyTorch runs the same layers
as its own modules; they take part where `make bench-environment` has installed them.

Of ul2q and BVLC's layers each layer is timed as well, and each step: a layer with those that work
in place on its blob, which ul2q may run as one pass.

Each net and task is two lines of build/architectures.jsonl, for the whole and for the layers. What
has a line is not timed again: a run that was stopped goes on where it was. `--again` times what was
asked for all the same, and its last line counts; delete the file to begin anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import architecture_report as report
import numpy as np
from architecture_files import write_files
from architecture_report import BVLC, LAYERS, ONNXRUNTIME, OPENCV, OURS, TASKS, TORCH, WHOLE
from contestants import Contestant, Worker, processor
from published_nets import NETS

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
RIVALS = BUILD / "bench" / "bin" / "python"
RESULTS = BUILD / "architectures.jsonl"
# A rival's package and script.
INSTALLED = {
    OPENCV: ("opencv-python-headless", "opencv_worker.py"),
    ONNXRUNTIME: ("onnxruntime", "onnxruntime_worker.py"),
    TORCH: ("torch", "graph_torch_worker.py"),
}
TRAIN = (OURS, BVLC, TORCH)  # those that do
PARTS = (WHOLE, LAYERS)
TOLERANCE = 1e-4  # of an output, as a share of the largest number in it
LEAST_SECONDS = 0.05  # that a measurement takes
SLOW_SECONDS = 1.0  # a first pass that takes these is not tried twice


def versions() -> dict[str, str]:
    """Of the rivals that are installed."""
    if not RIVALS.exists():
        return {}
    program = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps({d.name: d.version for d in distributions()}))"
    )
    ran = subprocess.run([RIVALS, "-c", program], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(ran.stdout)
    return {rival: found[package] for rival, (package, _) in INSTALLED.items() if package in found}


def contestants() -> list[Contestant]:
    """Those that are installed."""
    here = Path(sys.executable)
    return [
        Contestant(OURS, here, "architecture_worker.py"),
        Contestant(BVLC, here, "architecture_worker.py", environment={"UL2Q_ENGINE": "CAFFE"}),
        *(Contestant(rival, RIVALS, INSTALLED[rival][1]) for rival in versions()),
    ]


class Measurement:
    """A net's contestants, at work on the files in a folder."""

    def __init__(self, net: str, folder: Path, rounds: int) -> None:
        """Start them."""
        self._net, self._folder, self._rounds = net, folder, rounds
        self._workers = {one.name: Worker(one, str(folder), 1) for one in contestants()}

    def close(self) -> None:
        """End them."""
        for worker in self._workers.values():
            worker.close()

    def whole(self, task: str) -> dict[str, Any]:
        """The seconds of each contestant, one a round, and how far its outputs are from ours."""
        kind, batch = task.split()
        line: dict[str, Any] = {}
        workers = self._workers
        if kind == "train":
            workers = {name: worker for name, worker in workers.items() if name in TRAIN}
            for worker in workers.values():
                worker.ask(f"call prepare {batch}")
        else:
            line["differences"] = self._compare(int(batch))
        command = "train" if kind == "train" else f"test {batch}"
        repetitions = {}
        for name, worker in workers.items():
            taken = worker.ask(f"{command} 1")  # and what the first pass sets up
            if taken < SLOW_SECONDS:
                taken = worker.ask(f"{command} 1")
            repetitions[name] = max(1, round(LEAST_SECONDS / taken))
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(self._rounds):
            for name, worker in workers.items():
                seconds[name].append(worker.ask(f"{command} {repetitions[name]}"))
        return {"seconds": seconds, **line}

    def layers(self, task: str) -> dict[str, Any]:
        """What the layers and steps are, and the milliseconds of both engines, by round."""
        kind, batch = task.split()
        workers = {name: self._workers[name] for name in (OURS, BVLC)}
        line: dict[str, Any] = {}
        milliseconds: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
        for name, worker in workers.items():
            worker.ask(f"call prepare {batch}")
            line |= self._read(worker, f"describe {kind} {batch}")
            self._read(worker, f"profile {kind} {batch}")
            milliseconds[name] = {}
        for _ in range(self._rounds):
            for name, worker in workers.items():
                for part, directions in self._read(worker, f"profile {kind} {batch}").items():
                    for direction, times in directions.items():
                        of_part = milliseconds[name].setdefault(part, {})
                        rounded = [round(time, 5) for time in times]
                        of_part.setdefault(direction, []).append(rounded)
        return {**line, "milliseconds": milliseconds}

    def _read(self, worker: Worker, command: str) -> dict[str, Any]:
        file = self._folder / "answer.json"
        worker.ask(f"call {command} {file}")
        answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return answer

    def _compare(self, batch: int) -> dict[str, float]:
        """How far the rivals' outputs are from ours; SystemExit where that is too far."""
        outputs: dict[str, dict[str, np.ndarray]] = {}
        for name, worker in self._workers.items():
            file = self._folder / f"{name}_{batch}.npz"
            worker.ask(f"call save {batch} {file}")
            with np.load(file) as arrays:
                outputs[name] = dict(arrays)
        differences = {
            name: max(
                relative_difference(of_rival[output], ours)
                for output, ours in outputs[OURS].items()
            )
            for name, of_rival in outputs.items()
        }
        for name, difference in differences.items():
            if not difference <= TOLERANCE:
                raise SystemExit(
                    f"{self._net}: the outputs of {name} differ from ours by {difference:.2g}"
                )
        return differences


def relative_difference(output: np.ndarray, ours: np.ndarray) -> float:
    """The largest difference, as a share of the largest number."""
    return float(np.abs(output.reshape(ours.shape) - ours).max() / np.abs(ours).max())


def measure(net: str, tasks: list[str], parts: list[str], rounds: int, again: bool) -> None:
    """Append the lines of a net that there are none of."""
    found = {} if again else report.read_results(RESULTS)
    missing = [(task, of) for task in tasks for of in parts if (net, task, of) not in found]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        write_files(net, Path(folder))
        measurement = Measurement(net, Path(folder), rounds)
        for task, of in missing:
            made = measurement.whole(task) if of == WHOLE else measurement.layers(task)
            line = {"net": net, "task": task, "of": of, **made}
            with RESULTS.open("a", encoding="utf-8") as file:
                print(json.dumps(line), file=file)
            if of == WHOLE:
                print(report.nets([line]).splitlines()[-1], flush=True)
        measurement.close()


def text(results: list[dict[str, Any]]) -> str:
    """What results/architectures.md says."""
    whole = [result for result in results if result["of"] == WHOLE]
    rounds = min(len(result["seconds"][OURS]) for result in whole)
    farthest = max(max(result.get("differences", {OURS: 0.0}).values()) for result in whole)
    installed = ", ".join(f"{rival} {version}" for rival, version in versions().items())
    slower, steps = report.slower_steps(results)
    return (
        f"Milliseconds of the processor, one thread: `make bench-architectures`. {processor()} of "
        f"{os.cpu_count()} cores with {instructions()}, shared with other programs; {installed}. "
        f"Medians of at least {rounds} rounds in turn, ratios within the rounds. Outputs differ by "
        f"at most {farthest:.1g} of the largest number.\n\n"
        "`test` is a forward pass in phase TEST of 1 or 16 images, `train` forward, backward and "
        "update. onnxruntime and OpenCV only test. onnxruntime runs what `ul2q export` wrote, "
        "PyTorch the same layers as modules, eagerly. Ratios in bold miss the goal.\n\n"
        f"{report.goals(results)}\n\n{report.nets(results)}\n\n"
        "## Layer by layer\n\n"
        "Each layer type alone, unfused: the net where the sum of its layers is slowest against "
        f"BVLC's, as ratio ({OURS} / BVLC in milliseconds, net). Split, Concat and Dropout when "
        "testing are BVLC's own code in both, so their ratio shows the noise.\n\n"
        f"{report.types(results)}\n\n"
        "A step is a layer with those that work in place behind it, as ul2q runs them: "
        f"{slower} of {steps} take more than BVLC's layers. The ten worst:\n\n"
        f"{report.worst_steps(results)}\n"
    )


def instructions() -> str:
    """The widest vectors that the processor has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return next((n for f, n in {"avx512f": "AVX-512", "avx2": "AVX2"}.items() if f in flags), "SSE")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--again", action="store_true", help="also what has been timed before")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    for net in arguments.nets:
        measure(net, arguments.tasks, arguments.parts, arguments.rounds, arguments.again)
    found = report.read_results(RESULTS)
    order = [(net, task, of) for net in NETS for task in TASKS for of in PARTS]
    written = text([found[one] for one in order if one in found])
    print(written)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "architectures.md").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
