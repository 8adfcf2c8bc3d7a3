"""How long nets take in integers: ul2q's runtime, Caffe's floats, onnxruntime and OpenVINO in int8.

    python benchmarks/inference.py [--nets vgg7_64 …] [--bits 4 8] [--rounds N] [--threads N]

Weights have 2 bits, activations those asked for. The rivals run an int8 model of the same net
(rival_worker.py), where `make bench-inference-environment` has installed them. Every contestant is
a process of its own; they take turns. Times are medians over the rounds, ratios medians of the
ratios within a round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from contestants import Contestant, Worker, processor
from inference_nets import NETS, describe

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
OURS, FLOAT = "ul2q integers", "ul2q float"
RIVALS = {
    "onnxruntime int8": "onnxruntime",
    "OpenVINO int8": "openvino",
    "onnxruntime 2 bits": "matmulnbits",  # of weights, for an inner product alone
}
BATCHES = {1: 0.2, 100: 1.0}  # and about how many seconds a round takes
ALONE = {"resnet18", "inner_product"}  # at batch 1 only

Seconds = dict[str, list[float]]  # by contestant, one a round


def contestants(rivals: Path, instructions: str, clock: str) -> list[Contestant]:
    """Those that are installed."""
    here = Path(sys.executable)
    found = [
        (OURS, here, "integer_worker.py", instructions),
        (FLOAT, here, "integer_worker.py", "float"),
    ]
    if rivals.exists():
        found += [(name, rivals, "rival_worker.py", how) for name, how in RIVALS.items()]
    return [
        Contestant(name, python, script, (), {"INFERENCE": how, "CLOCK": clock})
        for name, python, script, how in found
    ]


def enters(contestant: str, net: str) -> bool:
    """Whether a contestant can be timed on a net."""
    return RIVALS.get(contestant) != "matmulnbits" or net == "inner_product"


def interpreter_bytes(python: Path) -> float:
    """Peak memory of a Python that has loaded NumPy alone."""
    program = "import numpy, worker; print(worker.peak_bytes())"
    return float(subprocess.check_output([python, "-c", program], cwd=HERE))


def measure(
    net: str, bits: int, entrants: list[Contestant], rounds: int, threads: int
) -> tuple[dict[int, Seconds], dict[str, float]]:
    """Seconds by batch and contestant, and by how much the peak memory of each grew by batch 1."""
    folder = BUILD / "inference"
    folder.mkdir(parents=True, exist_ok=True)
    describe(net, bits, folder / f"{net}_{bits}.pickle")
    workers = {
        one.name: Worker(replace(one, arguments=(str(bits),)), net, threads)
        for one in entrants
        if enters(one.name, net)
    }
    results: dict[int, Seconds] = {}
    memory: dict[str, float] = {}
    for batch, seconds in BATCHES.items():
        if batch > 1 and net in ALONE:
            continue
        repetitions = {}
        for name, worker in workers.items():
            worker.ask(f"test {batch} 2")
            repetitions[name] = max(1, round(seconds / worker.ask(f"test {batch} 2")))
        results[batch] = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                results[batch][name].append(worker.ask(f"test {batch} {repetitions[name]}"))
        if not memory:
            memory = {
                one.name: workers[one.name].ask("memory") - interpreter_bytes(one.python)
                for one in entrants
                if one.name in workers
            }
    for worker in workers.values():
        worker.close()
    return results, memory


def ratio(seconds: Seconds, rivals: list[str]) -> str:
    """Of ours to the best of the rivals, round by round."""
    if not rivals:
        return ""
    best = [min(times) for times in zip(*(seconds[name] for name in rivals), strict=True)]
    return f"{median(a / b for a, b in zip(seconds[OURS], best, strict=True)):.2f}"


def memory_ratios(memory: dict[str, float]) -> list[str]:
    """Ours to float's, and to the least of the rivals'."""
    of_rivals = [memory[name] for name in RIVALS if name in memory]
    others = [memory[FLOAT], min(of_rivals, default=0)]
    return [f"{memory[OURS] / other:.2f}" if other else "" for other in others]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 4])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="of all threads of a process, where other programs run beside",
    )
    parser.add_argument(
        "--instructions",
        default="integers",
        help="of ul2q's runtime: a name of ul2q._runtime.instruction_sets()",
    )
    parser.add_argument(
        "--rivals",
        type=Path,
        default=BUILD / "bench-inference" / "bin" / "python",
        help="the Python that has onnx, onnxruntime and openvino",
    )
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    clock = "process_time" if arguments.processor_time else "perf_counter"
    entrants = contestants(arguments.rivals, arguments.instructions, clock)
    names = [one.name for one in entrants]
    rivals = [name for name in names if name in RIVALS]
    headings = ["net", "activations", "batch", *names, "of float", "of the better rival"]
    rows = [headings, [*["---"] * 2, *["--:"] * (len(headings) - 2)]]
    peaks = [
        ["net", "activations", *names, *headings[-2:]],
        ["---"] * 2 + ["--:"] * (len(names) + 2),
    ]
    for net in arguments.nets:
        for bits in arguments.bits:
            results, memory = measure(net, bits, entrants, arguments.rounds, arguments.threads)
            for batch, seconds in results.items():
                times = [
                    f"{1000 * median(seconds[name]):.3g}" if name in seconds else ""
                    for name in names
                ]
                ratios = [
                    ratio(seconds, [FLOAT]),
                    ratio(seconds, [r for r in rivals if r in seconds]),
                ]
                rows.append([net, f"{bits} bits", str(batch), *times, *ratios])
                print(*rows[-1], flush=True)
            megabytes = [f"{memory[name] / 2**20:.0f}" if name in memory else "" for name in names]
            peaks.append([net, f"{bits} bits", *megabytes, *memory_ratios(memory)])
    tables = ["\n".join(f"| {' | '.join(row)} |" for row in table) for table in (rows, peaks)]
    of_processor = " of processor time" if arguments.processor_time else ""
    text = (
        f"Weights of 2 bits, milliseconds{of_processor} a batch: `make bench-inference`. "
        f"{processor()}, "
        f"{arguments.threads} thread(s), {arguments.rounds} rounds in turn; medians of times, and "
        f"of the ratios within a round.\n\n{tables[0]}\n\n"
        f"Peak memory of a process of its own that has run batch 1 (VmHWM), less that of a Python "
        f"with NumPy alone, MiB; libraries count. ul2q's integers come from packed weights by "
        f"ul2q.load, which builds the net in Caffe, too:\n\n{tables[1]}\n"
    )
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "inference.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
