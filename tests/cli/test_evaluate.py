"""`ul2q test`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ul2q.cli import main

if TYPE_CHECKING:
    from tests.conftest import Workspace


@pytest.mark.usefixtures("workspace")
def test_test_prints_what_train_found(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "solver.prototxt"])
    trained = capsys.readouterr().out.splitlines()[-1]
    for extra in ([], ["--iterations", "4"], ["--data", "data"]):
        assert main(["test", "net.prototxt", "mini_iter_20.caffemodel", *extra]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == trained
        assert re.fullmatch(r"test loss: \d\.\d{4}", lines[0])
        assert len(lines) == 2


def test_warnings_of_a_test_look_like_all_others(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "solver.prototxt"]) == 0
    capsys.readouterr()
    workspace.net(("batch_size: 5", "batch_size: 8"))
    assert main(["test", "net.prototxt", "mini_iter_20.caffemodel"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("ul2q: warning: layer 'data': batch_size 8 does not divide 20")
