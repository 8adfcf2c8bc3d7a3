"""Files that are missing or broken are errors that name them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import caffe
import pytest

from tests.small_nets import LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.small_nets import NetMaker, SolverMaker


@pytest.mark.parametrize(
    "use",
    [
        lambda path, _: caffe.Net(path, caffe.TEST),
        lambda path, solver: caffe.Net(solver.text, caffe.TEST, weights=path),
        lambda path, _: caffe.get_solver(path),
        lambda path, _: caffe.SGDSolver(path),
        lambda path, solver: solver.net.copy_from(path),
        lambda path, solver: solver.net.load_hdf5(path),
        lambda path, solver: solver.restore(path),
        lambda path, solver: solver.solve(path),
    ],
    ids=["Net", "weights", "get_solver", "SGDSolver", "copy_from", "load_hdf5", "restore", "solve"],
)
def test_files_that_cannot_be_read_are_named(
    use: Callable[[object, Any], object], make_solver: SolverMaker, tmp_path: Path
) -> None:
    solver = make_solver()
    solver.text = tmp_path / "train.prototxt"
    missing = tmp_path / "nöthing.here"
    for path, error in [(missing, FileNotFoundError), (tmp_path, IsADirectoryError)]:
        for name in (path, str(path)):
            with pytest.raises(error, match=re.escape(str(path))):
                use(name, solver)
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        use(3, solver)
    solver.step(1)


def test_files_that_cannot_be_written_are_named(make_net: NetMaker, tmp_path: Path) -> None:
    net = make_net()
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none" / "w"))):
        net.save(tmp_path / "none" / "w")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        net.save(tmp_path)
    with pytest.raises(caffe.CaffeError, match=re.escape(str(tmp_path / "none" / "w"))):
        net.save_hdf5(tmp_path / "none" / "w")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer {\n  nam: 'x'\n}", [":2:", 'no field named "nam"', "name"]),
        (LINEAR.replace("num_output: 2", "num_output: two"), [":5:", "(in layer 'ip')", "two"]),
        (LINEAR.replace("num_output: 2\n", "num_output: 2 }\n"), [":6:"]),
        ('name: "x"\nlayer {', [":2:"]),
        ("layer\n\n\n: 3", [":4:"]),
        ("\x00\x01", [":1:"]),
    ],
)
def test_a_prototxt_that_does_not_parse_is_named_with_line_and_column(
    text: str, words: list[str], make_net: NetMaker
) -> None:
    with pytest.raises(caffe.CaffeError, match=r"net0\.prototxt:\d+:\d+: ") as error:
        make_net(text)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LINEAR.replace('"InnerProduct"', '"Nothing"'), "Unknown layer type: Nothing"),
        (LINEAR.replace('bottom: "x"', 'bottom: "z"'), "Unknown bottom blob 'z'"),
        (LINEAR.replace("dim: 4 dim: 2", "dim: 4 dim: 5"), "Inputs must have the same dimension"),
        (LINEAR.replace('"gaussian"', '"nothing"'), "Unknown filler type: nothing"),
    ],
)
def test_a_net_that_makes_no_sense_is_refused(text: str, words: str, make_net: NetMaker) -> None:
    with pytest.raises(caffe.CaffeError, match=words):
        make_net(text)
    make_net()


def test_caffe_errors_are_runtime_errors() -> None:
    assert issubclass(caffe.CaffeError, RuntimeError)
    assert caffe.CaffeError.__module__ == "caffe"
