"""`ul2q import-fork`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from tests.quantization_caffe.fork_nets import NETS, fork_caffemodel, net_of
from ul2q.cli import main
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import import_net

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Workspace


def test_command(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    text = (NETS / "activations.prototxt").read_text()
    workspace.write("act.prototxt", text)
    assert main(["import-fork", "act.prototxt"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "layer  type                  weight  bias                 activations",
        "conv1  QuantizedConvolution  ul2q 8  ternary_quantized 7  clip 8",
        "relu1  ReLU                                               fixed_point 6",
        "sum    Eltwise                                            float",
        "fork: of 2019, in which maxbits counts the sign, by default: there are no codes that tell",
        "net: act_ul2q.prototxt",
    ]
    warnings = printed.err.splitlines()
    assert len(warnings) == 2
    assert all(line.startswith("ul2q: warning: act.prototxt:") for line in warnings)
    assert Path("act_ul2q.prototxt").read_text() == import_net(Document(text)).text
    assert main(["import-fork", "act.prototxt"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["import-fork", "act.prototxt", "--force", "--ulq-activations"]) == 0
    assert "ul2q 4" in capsys.readouterr().out
    assert main(["import-fork", "solver.prototxt"]) == 1
    assert "give the net" in capsys.readouterr().err


def test_command_with_weights(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    source = NETS / "methods_deploy.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    fork_caffemodel(built, Path("old.caffemodel"))
    workspace.write("deploy.prototxt", source.read_text())
    assert main(["import-fork", "deploy.prototxt", "old.caffemodel", "-o", "new.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    saved = Path("old.caffemodel").stat().st_size - Path("new.caffemodel").stat().st_size
    assert lines[-2:] == [
        "net: new.prototxt",
        f"weights: new.caffemodel ({saved:,} bytes smaller)",
    ]
