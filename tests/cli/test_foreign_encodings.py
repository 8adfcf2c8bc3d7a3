"""Nets whose comments are in an encoding of their own, by every command that reads a net's text."""

from __future__ import annotations

from pathlib import Path

import caffe
import pytest

from ul2q.cli import main

NET = """# %s
name: "net"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 1, 4, 4] } } }
layer {
  name: "ip"  # %s
  type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } }
}
"""
COMMENTS = {"gbk": "只对数据量化", "latin-1": "quantifié à 8 bits"}


@pytest.fixture(params=COMMENTS)
def comment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> bytes:
    """The comment of the net in the file net.prototxt of the working folder."""
    monkeypatch.chdir(tmp_path)
    comment = COMMENTS[request.param]
    Path("net.prototxt").write_bytes((NET % (comment, comment)).encode(request.param))
    return comment.encode(request.param)


@pytest.mark.parametrize(
    "command", ["quantize net.prototxt --weight-bits 2", "deploy-net net.prototxt"]
)
def test_commands_that_keep_comments_keep_their_bytes(comment: bytes, command: str) -> None:
    assert main([*command.split(), "-o", "new.prototxt"]) == 0
    assert Path("new.prototxt").read_bytes().count(comment) == 2
    caffe.Net("new.prototxt", caffe.TEST)


def test_other_readers(comment: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    del comment
    caffe.Net("net.prototxt", caffe.TEST).save("net.caffemodel")
    assert main(["inspect", "net.caffemodel", "--net", "net.prototxt"]) == 0
    assert "ip" in capsys.readouterr().out
    assert main(["upgrade", "net.prototxt"]) == 0
    assert "today's format" in capsys.readouterr().out
