"""The Python of docs/prediction.md runs as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import pytest

from ul2q.nets.deploy import deploy_net

if TYPE_CHECKING:
    from tests.prediction.conftest import Animals

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prediction.md"


def test_the_python_of_the_page(animals: Animals, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    net = animals.net()
    animals.weights(net).rename("weights.caffemodel")
    Path("deploy.prototxt").write_text(deploy_net(net, {"data": (3, 10, 12)}))
    Path("test/ant/0.png").rename("cat.jpg")  # told by its content, not its name
    Path("test").rename("photos")
    names: dict[str, Any] = {"caffe": caffe}
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    image, name, score = lines[0].split(" ")
    assert image == "cat.jpg"
    best = int(names["scores"][0].argmax())
    assert name == ("ant", "bee", "cow", "dog")[best]
    assert float(score) == pytest.approx(float(names["scores"][0].max()), rel=1e-3)
