"""The Python of docs/prediction.md gives what `ul2q predict` does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ul2q.nets.deploy import deploy_net

if TYPE_CHECKING:
    from tests.prediction.conftest import Animals

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prediction.md"


def test_the_python_of_the_page(animals: Animals, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    net = animals.net()
    # Another net under the names that the page has.
    for folder in ("prototxt/cifarnet", "runs/2bit", "photos"):
        Path(folder).mkdir(parents=True)
    animals.weights(net).rename("runs/2bit/cifarnet_2bit_iter_20.caffemodel")
    deploy = deploy_net(net, {"data": (3, 10, 12)})
    Path("prototxt/cifarnet/deploy_2bit.prototxt").write_text(deploy)
    Path(net).rename("prototxt/cifarnet/train_test_2bit.prototxt")
    Path("test/ant/0.png").rename("cat.jpg")  # told by its content, not its name
    Path("test").rename("photos/test")
    names: dict[str, Any] = {}
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
