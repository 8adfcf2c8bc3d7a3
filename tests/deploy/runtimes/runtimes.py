"""The runtimes that exported files are run in, each in a process of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.deploy.runtimes.packages import FOLDER
from ul2q.deploy.batch import what_fixes_batch
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy import Graph

Values = dict[str, "NDArray[Any]"]


class RuntimeFailedError(Exception):
    """A runtime has not computed what it was given; the message is its own."""


@dataclass
class Worker:
    """A runtime in a process, which begins with the first job and anew after a crash.

    Attributes:
        kind: the function of worker.py.
        folder: of the packages, in build/runtimes; None: those of this process.
    """

    kind: str
    folder: str | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def is_installed(self) -> bool:
        """Whether `make test-runtimes` has installed it."""
        return self.folder is None or (FOLDER / self.folder / "installed").is_file()

    def compute(self, path: Path, inputs: Values, outputs: list[str]) -> Values:
        """The outputs of a file.

        Raises:
            RuntimeFailedError: there are none.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((str(path), inputs, outputs), process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError) as error:
            self._process = None
            raise RuntimeFailedError(f"ended with status {process.wait()}") from error
        if isinstance(answer, str):
            raise RuntimeFailedError(answer)
        found: Values = answer
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        path = {} if self.folder is None else {"PYTHONPATH": str(FOLDER / self.folder)}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), self.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **path},
        )
        return self._process


@dataclass(frozen=True)
class Way:
    """A target, and a runtime that its files are run in.

    Attributes:
        target: a key of TARGETS.
        worker: None: the target's own `run`.
        options: of the target.
        takes_levels: whether the runtime takes nets with quantised activations.
        is_swept: whether it runs the 500 nets by chance.
    """

    target: str
    worker: Worker | None = None
    options: TargetOptions = field(default_factory=TargetOptions)
    takes_levels: bool = True
    is_swept: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether `make test-runtimes` has installed the runtime."""
        return self.worker is None or self.worker.is_installed

    def takes(self, options: Mapping[str, Any]) -> bool:
        """Whether nets with these options of NetQuantization can go this way."""
        return self.takes_levels or options.get("activation_bits") is None

    @property
    def folds(self) -> bool:
        """Whether the target takes the graph folded."""
        return TARGETS[self.target].FOLDS

    def takes_any_batch(self, graph: Graph) -> bool:
        """Whether the file for a graph takes other batches than the graph's."""
        return "any_batch" in TARGETS[self.target].OPTIONS and not what_fixes_batch(graph)

    def write(self, graph: Graph, folder: Path) -> Path:
        """Write the files for a graph; the one that is named.

        Raises:
            DeployError: the target refuses the graph.
        """
        target = TARGETS[self.target]
        path = folder / f"net{target.SUFFIX}"
        options = replace(self.options, any_batch=self.takes_any_batch(graph))
        for file, content in target.write(graph, path, options).files.items():
            file.write_bytes(content)
        return path

    def run(self, graph: Graph, path: Path, values: Values) -> Values:
        """What the runtime gives for the files of a graph.

        Raises:
            RuntimeFailedError: nothing.
        """
        if self.worker is None:
            return TARGETS[self.target].run(graph, path, values)
        return self.worker.compute(path, values, list(graph.outputs))


_FOR_OPENVINO, _FOR_OPENCV = TargetOptions(runtime="openvino"), TargetOptions(runtime="opencv")

# The ways out. A target adds its own here: matrix and tests of layers take them all, the sweep of
# nets by chance those that are marked.
WAYS = {
    "onnx · onnxruntime 1.32": Way("onnx", Worker("onnxruntime"), is_swept=True),
    "onnx · onnxruntime 1.20": Way(
        "onnx", Worker("onnxruntime", "onnxruntime-1.20"), is_swept=True
    ),
    "onnx · OpenVINO": Way("onnx", Worker("openvino", "extras"), _FOR_OPENVINO),
    "onnx · OpenCV 4.14": Way(
        "onnx", Worker("opencv", "opencv-4"), TargetOptions(runtime="opencv")
    ),
    "onnx · OpenCV 5": Way("onnx", Worker("opencv", "opencv-5"), _FOR_OPENCV),
    "openvino · OpenVINO": Way("openvino", Worker("openvino", "extras")),
    "qonnx · qonnx": Way("qonnx", Worker("qonnx", "extras")),
    "caffe · Caffe": Way("caffe", takes_levels=False),
    "caffe · OpenCV 4.14": Way("caffe", Worker("opencv_caffe", "opencv-4"), takes_levels=False),
    "caffe · MNN": Way("caffe", Worker("mnn", "mnn"), takes_levels=False),
    "npz · NumPy": Way("npz"),
}
