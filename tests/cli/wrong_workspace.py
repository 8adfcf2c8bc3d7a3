"""A folder with one of everything that a command can be given by mistake for another."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from tests.conftest import NET, SOLVER
from ul2q.cli import main
from ul2q.nets.deploy import deploy_net

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

# What no message may show: BVLC's own expressions without words, and Python's names.
_INTERNALS = re.compile(r"Check failed|blobs_size|registry\.count|Traceback|Error\(|\[Errno")

SPEC = """\
nets:
  mini: {net: net.prototxt, solver: solver.prototxt}
methods: {float: , ul2q: [2]}
"""


def fill(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the files; the working directory is `folder`."""
    (folder / "data").symlink_to(data["folder"])
    write("net.prototxt", NET)
    solver = "".join(f"{key}: {value}\n" for key, value in SOLVER.items())
    write("solver.prototxt", solver)
    write("wide_solver.prototxt", solver.replace("net.prototxt", "wide.prototxt"))
    write("wide.prototxt", NET.replace("num_output: 4", "num_output: 7"))
    write("twins.prototxt", NET.replace('name: "drop"', 'name: "ip"'))
    write("twins_solver.prototxt", solver.replace("net.prototxt", "twins.prototxt"))
    write("deploy.prototxt", deploy_net("net.prototxt", {"data": (1, 8, 8)}))
    for name, old, new in (
        ("mini", "4", "4"),
        ("renamed", 'name: "ip"', 'name: "ip_1"'),
        ("wide", "num_output: 4", "num_output: 7"),
        ("nobias", "num_output: 4", "num_output: 4 bias_term: false"),
    ):
        text = NET.replace(old, new)
        weights = caffe.Net.from_proto(text, caffe.TEST)
        weights.save(f"{name}.caffemodel")
        weights.save_hdf5(f"{name}.caffemodel.h5")
    model = Path("mini.caffemodel").read_bytes()
    Path("cut.caffemodel").write_bytes(model[:500])
    Path("empty.caffemodel").write_bytes(b"")
    weights = caffe.Net("net.prototxt", caffe.TEST)
    weights.params["ip"][0].data[...] = np.nan
    weights.save("nan.caffemodel")
    for name, run in (("solver", "done"), ("wide_solver", "other")):
        assert main(["train", f"{name}.prototxt", "--set", "max_iter=2", "--run", run]) == 0
    shutil.copy("other/mini_iter_2.solverstate", "other.solverstate")
    shutil.copy("other/mini_iter_2.caffemodel", "mini_iter_2.caffemodel")
    write("spec.yaml", SPEC)
    write("open.yaml", "nets: [\n")
    write("key.yaml", SPEC + "seed: 3\n")
    write("bits.yaml", SPEC.replace("[2]", "[17]"))
    write("net.yaml", SPEC.replace("net: net.", "net: nett."))
    write("method.yaml", SPEC.replace("ul2q", "ulq2"))
    write("empty.yaml", "")
    Path("images").mkdir()


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Refusal:
    """What a wrong command came to.

    Attributes:
        status: the exit status.
        message: the last line on stderr.
        left: the files and folders that it has made.
    """

    status: int
    message: str
    left: list[str]


def refusal_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Run a command in the working directory; what it has made is removed again."""
    before = _tree()
    capsys.readouterr()
    status = main(arguments)
    made = sorted(_tree() - before)
    for path in reversed(made):
        Path(path).rmdir() if Path(path).is_dir() else Path(path).unlink()
    lines = capsys.readouterr().err.splitlines()
    return Refusal(status, lines[-1] if lines else "", made)


def check(refusal: Refusal, words: tuple[str, ...]) -> None:
    """Assert that a refusal says all of the words, shows no internals and has left nothing."""
    assert refusal.status in (1, 2), refusal
    assert refusal.message.startswith("ul2q"), refusal
    for word in words:
        assert word in refusal.message, refusal
    shown = re.sub(r"\[[\w.]+:\d+[^\]]*\]$", "", refusal.message)  # the place in Caffe's source
    assert not _INTERNALS.search(shown), refusal
    assert refusal.left == []


def _tree() -> set[str]:
    return {str(path) for path in Path().rglob("*")}
