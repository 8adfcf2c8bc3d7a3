"""What each runtime makes of each exported net -> the tables of docs/export.md.

    python -m tests.deploy.runtimes.matrix [--nets NAME…] [--ways WAY…]

LeNet, CifarNet, VGG7-64 and ResNet-18 of random weights, at 1, 2, 3, 4 and 8 bits, by tensor and by
channel, with shifts MEAN and ZERO, with float activations and with those of 8 bits, by every way in
runtimes.WAYS; and those that C takes, as gcc and clang compile them. Each result is a line of JSON
in build/runtimes/matrix.jsonl; a second run goes on behind those that are there already. A cell of
the tables stays as docs/export.md has it until all of its cases are measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.deploy.runtimes.c_matrix import BITS, COMPILED, FORMS, differences
from tests.deploy.runtimes.packages import FOLDER
from tests.deploy.runtimes.runtimes import WAYS, RuntimeFailedError
from tests.deploy.trained import BUNDLED, bundled, distance, inputs_of
from ul2q.deploy import lower
from ul2q.deploy.levels import error_given_levels, has_levels, with_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.deploy.runtimes.runtimes import Way
    from ul2q.deploy import Graph
    from ul2q.deploy.targets.target import TargetOptions

PAGE = Path(__file__).resolve().parents[3] / "docs" / "export.md"
RESULTS = FOLDER / "matrix.jsonl"
BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"
CASES_OF_A_CELL = 4
NAMES = {"lenet": "LeNet", "cifarnet": "CifarNet", "vgg7_64": "VGG7-64", "resnet18": "ResNet-18"}

Options = dict[str, Any]


def cases() -> Iterator[Options]:
    """Options of NetQuantization."""
    for granularity, shift, activation, bits in itertools.product(
        ("tensor", "channel"), ("mean", "zero"), (None, 8), BITS
    ):
        yield {
            "weight_bits": bits,
            "granularity": granularity,
            "shift": shift,
            "activation_bits": activation,
        }


class Errors:
    """How wrong runtimes are for one net, as a share of the largest value.

    With float activations the distance from Caffe's outputs; where activations are rounded, that
    from what follows from the runtime's own levels.
    """

    def __init__(self, net: Any, folder: Path) -> None:
        """Run it in Caffe; files of the targets go to the folder."""
        self._net = net
        self._folder = folder
        self._values = inputs_of(net)
        found = net.forward(**self._values)
        self._want = {blob: array.copy() for blob, array in found.items()}
        self._graphs: dict[bool, Graph] = {}
        self._written: dict[tuple[str, TargetOptions], Path] = {}

    def of(self, way: Way) -> float:
        """The error.

        Raises:
            RuntimeFailedError, DeployError: as Way raises them.
        """
        if way.folds not in self._graphs:
            self._graphs[way.folds] = with_levels(lower(self._net, fold=way.folds))
        graph = self._graphs[way.folds]
        key = (way.target, way.options)
        if key not in self._written:
            folder = self._folder / str(len(self._written))
            folder.mkdir()
            self._written[key] = way.write(graph, folder)
        got = way.run(graph, self._written[key], self._values)
        if has_levels(graph):
            return error_given_levels(graph, self._values, got)
        return max(distance(got[name], self._want[name]) for name in self._want)


def measure(nets: list[str], keys: list[str]) -> None:
    """Append what is not measured yet of these nets and WAYS."""
    known = _known()
    for name, options in itertools.product(nets, cases()):
        ways = {
            key: WAYS[key]
            for key in keys
            if (name, key, json.dumps(options)) not in known and WAYS[key].takes(options)
        }
        if not ways:
            continue
        with tempfile.TemporaryDirectory() as folder:
            errors = Errors(bundled(name, **options), Path(folder))
            for key, way in ways.items():
                try:
                    error = errors.of(way)
                except RuntimeFailedError as failure:
                    print(f"{name} {options} {key}: {failure}", file=sys.stderr)
                    error = float("inf")
                _append({"net": name, "way": key, "options": options, "error": error})
                print(f"{name:9} {key:26} {error:.1e} {options}", flush=True)


def measure_compiled(nets: list[str], keys: list[str]) -> None:
    """Append what is not measured yet of these nets and COMPILED."""
    known = _known()
    for name, options in itertools.product(nets, FORMS):
        wanted = [key for key in keys if (name, key, json.dumps(options)) not in known]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            counts = differences(name, options, Path(folder))
        for key in wanted:
            count, of = counts[key]
            _append({"net": name, "way": key, "options": options, "different": count, "of": of})
            print(f"{name:9} {key:26} {count} of {of:,} {options}", flush=True)


def results() -> list[dict[str, Any]]:
    """All that was measured."""
    if not RESULTS.is_file():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def _known() -> set[tuple[str, str, str]]:
    return {(r["net"], r["way"], json.dumps(r["options"])) for r in results()}


def _append(result: dict[str, Any]) -> None:
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def tables(found: list[dict[str, Any]], standing: str) -> str:
    """Three tables in Markdown; a cell is of four cases.

    Args:
        found: the results.
        standing: the tables so far, which have the cells of cases that are not in the results.
    """
    text = ""
    for activation, title in ((None, "Float activations"), (8, "Activations of 8 bits")):
        chosen = [r for r in found if r["options"]["activation_bits"] == activation]
        text += _table(f"{title}:", WAYS, chosen, _worst, standing)
    title = "C, with activations and a last layer of 8 bits: integers that are others than NumPy's:"
    return text + _table(title, COMPILED, found, _count, standing)


def _table(
    title: str,
    ways: Iterable[str],
    found: list[dict[str, Any]],
    cell: Callable[[list[dict[str, Any]]], str],
    standing: str,
) -> str:
    text = f"{title}\n\n| net | target · runtime | "
    text += " | ".join(f"{b} bit{'s' * (b > 1)}" for b in BITS)
    text += " |\n|---|---|" + "---|" * len(BITS) + "\n"
    _, _, rest = standing.partition(f"{title}\n\n")
    rows = [row[2:-2].split(" | ") for row in rest.partition("\n\n")[0].splitlines()]
    old = {(net, way): cells for net, way, *cells in rows[2:]}
    for net, way in itertools.product(NAMES, ways):
        cells = list(old.get((NAMES[net], way), [""] * len(BITS)))
        for place, bits in enumerate(BITS):
            these = [
                r
                for r in found
                if (r["net"], r["way"]) == (net, way) and r["options"]["weight_bits"] == bits
            ]
            if len(these) == CASES_OF_A_CELL:
                cells[place] = cell(these)
        if any(cells):
            text += f"| {NAMES[net]} | {way} | " + " | ".join(cells) + " |\n"
    return text + "\n"


def _worst(found: list[dict[str, Any]]) -> str:
    worst = max(r["error"] for r in found)
    if worst == float("inf"):
        return "**fails**"
    text = f"{worst:.0e}".replace("e-0", "e-").replace("0e+00", "0")
    return text if worst <= 1e-4 else f"**{text}**"


def _count(found: list[dict[str, Any]]) -> str:
    count = sum(r["different"] for r in found)
    text = f"{count:,} of {sum(r['of'] for r in found):,}"
    return f"**{text}**" if count else text


def write_tables() -> None:
    """Put what was measured into docs/export.md."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    standing, _, after = rest.partition(END)
    text = tables(results(), standing)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nets", nargs="+", choices=BUNDLED, default=list(BUNDLED))
    ways = [*WAYS, *COMPILED]
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways, metavar="WAY")
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        measure(args.nets, [key for key in args.ways if key in WAYS])
        measure_compiled(args.nets, [key for key in args.ways if key in COMPILED])
    finally:  # of a run that was stopped, too
        write_tables()


if __name__ == "__main__":
    main()
