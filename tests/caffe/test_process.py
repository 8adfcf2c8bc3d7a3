"""What `import caffe` does to the process: memory, output, documentation and the end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import caffe

from tests.caffe.process_memory import growth, measures_memory
from tests.processes import run_python
from tests.small_nets import LINEAR, datum, lmdb_net, solver_message, write_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.small_nets import NetMaker, SolverMaker


@measures_memory
def test_dropped_nets_give_their_memory_back(make_net: NetMaker, make_solver: SolverMaker) -> None:
    # The blobs of each net take about 1 MB.
    text = LINEAR.replace("dim: 4", "dim: 20000")

    def use() -> None:
        net = make_net(text)
        net.forward()
        net.blobs["x"].diff[...] = 1
        views = [blob.data for blob in net.blobs.values()]
        solver = make_solver()
        solver.step(1)
        del views

    assert growth(use, warm_up=20, calls=300) < 20e6


def test_import_is_light_and_quiet() -> None:
    code = "import sys, json, caffe; print(json.dumps(sorted(sys.modules)))"
    result = run_python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    loaded = {name.partition(".")[0] for name in json.loads(result.stdout)}
    assert "caffe" in loaded
    assert not loaded & {"skimage", "scipy", "matplotlib", "PIL", "pydot", "pandas", "lmdb"}


def test_caffe_logs_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "solver.prototxt"
    path.write_text(str(solver_message(tmp_path, display=1)), encoding="utf-8")
    train = f"import caffe\nsolver = caffe.get_solver({str(path)!r})\nsolver.solve()\n"
    asked = train.replace("solver =", "caffe.init_log()\nsolver =")
    warnings = train.replace("solver =", "caffe.init_log(1)\nsolver =")
    quiet = run_python("-c", train)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert run_python("-c", warnings).stderr == ""
    for loud in (run_python("-c", asked), run_python("-c", train, GLOG_minloglevel="0")):
        assert loud.returncode == 0
        assert "Iteration 3" in loud.stderr
        assert "loss = " in loud.stderr


def bound_callables(scope: Any, path: str) -> Iterator[tuple[str, str | None]]:
    """Yield path and docstring of each class, function, method and property that C++ defines."""
    for name, value in vars(scope).items():
        if isinstance(value, type) and value.__module__ == "caffe._caffe":
            yield f"{path}.{name}", value.__doc__
            yield from bound_callables(value, f"{path}.{name}")
        bound = value.__func__ if isinstance(value, staticmethod) else value
        bound = getattr(bound, "fget", bound)
        if name.startswith("__") and name != "__init__":
            continue
        if type(bound).__name__ in ("builtin_function_or_method", "instancemethod"):
            yield f"{path}.{name}", value.__doc__ if isinstance(value, property) else bound.__doc__


def test_all_of_the_module_says_what_it_does() -> None:
    docs = dict(bound_callables(caffe._caffe, "_caffe"))
    assert {"_caffe.Net.__init__", "_caffe.Net.save", "_caffe.Blob.data", "_caffe.log"} <= set(docs)
    signature = re.compile(r"^(\d+\. )?\w+\(.*\)( -> .*)?$|^Overloaded function\.$|^\s*$")
    for path, doc in docs.items():
        if path.endswith("_pybind11_conduit_v1_"):
            continue
        words = [line for line in (doc or "").splitlines() if not signature.match(line)]
        assert words, path
        assert not re.search(r"\barg\d", doc or ""), path


def test_the_process_ends_with_nets_alive(tmp_path: Path) -> None:
    write_records(tmp_path / "lmdb", [datum(i) for i in range(4)])
    (tmp_path / "keep_layer.py").write_text(
        "import caffe\n"
        "class Keep(caffe.Layer):\n"
        "    def setup(self, bottom, top): self.kept = bottom, top\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): self.view = bottom[0].data\n"
        "    def __del__(self): print('gone')\n",
        encoding="utf-8",
    )
    layer = (
        'layer { name: "k" type: "Python" bottom: "data" top: "k" '
        'python_param { module: "keep_layer" layer: "Keep" } }'
    )
    text = lmdb_net(tmp_path / "lmdb")
    code = f"""
import caffe, sys
sys.path.insert(0, {str(tmp_path)!r})
nets = [caffe.Net.from_proto({text!r} + tail, caffe.TRAIN) for tail in ("", {layer!r})]
nets[0].after_forward(lambda _: nets)
for net in nets:
    net.forward()
sys.modules["keep_layer"].nets = nets
nets[1].layers[1].net = nets[1]
"""
    result = run_python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_uncaught_caffe_error_is_a_python_traceback() -> None:
    result = run_python("-c", "import caffe; caffe.set_mode_gpu()", CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert "caffe.CaffeError: Cannot use the GPU" in result.stderr
