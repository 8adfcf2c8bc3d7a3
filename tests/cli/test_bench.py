"""`ul2q bench` and `ul2q predict --engine runtime`: nets in integers from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from ul2q import NetQuantization, quantize_net
from ul2q.cli import main
from ul2q.nets.deploy import deploy_net
from ul2q.runtime import Model

if TYPE_CHECKING:
    from tests.conftest import Workspace

CONVOLUTION = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv\""""


@pytest.fixture
def _trained(workspace: Workspace) -> None:
    """net8.prototxt and deploy8.prototxt with quantised activations, and their net8.caffemodel."""
    options = NetQuantization(weight_bits=2, activation_bits=8)
    deeper = workspace.net(
        ('layer { name: "ip" type: "InnerProduct" bottom: "data"', CONVOLUTION), name="deeper"
    )
    Path("net8.prototxt").write_text(quantize_net(deeper, options).text)
    Path("deploy8.prototxt").write_text(
        deploy_net("net8.prototxt", {"data": workspace.test_images[0].shape})
    )
    caffe.set_random_seed(3)
    caffe.Net("net8.prototxt", caffe.TEST).save("plain.caffemodel")
    assert main(["calibrate", "net8.prototxt", "plain.caffemodel", "-o", "net8.caffemodel"]) == 0
    assert len(workspace.test_images) == 20


def _count_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The batch and threads of each call of a model from now on."""
    calls: list[Any] = []
    call = Model.__call__

    def counted(model: Model, inputs: Any, *, threads: int = 0) -> Any:
        batch = len(next(iter(inputs.values()))) if isinstance(inputs, dict) else len(inputs)
        calls.append((batch, threads))
        return call(model, inputs, threads=threads)

    monkeypatch.setattr(Model, "__call__", counted)
    return calls


@pytest.mark.usefixtures("_trained")
def test_times_each_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    calls = _count_calls(monkeypatch)
    call = ["bench", "deploy8.prototxt", "net8.caffemodel", "--batch", "2,7", "--seconds", "0"]
    assert main([*call, "--threads", "1", "--steps"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("step, batch 2")
    assert "conv: convolution of floats" in output
    *_, headings, first, second = output.splitlines()
    assert headings.split()[:3] == ["batch", "median", "ms"]
    for row, batch in ((first, 2), (second, 7)):
        told, median, p90, p99, throughput, timed = row.split()
        assert (told, timed) == (str(batch), "5")
        assert float(median) <= float(p90) <= float(p99)
        # The median is printed to a thousandth of a millisecond.
        expected = batch / (float(median) / 1000)
        assert float(throughput.replace(",", "")) == pytest.approx(expected, rel=0.2)
    # Three calls are not timed.
    assert calls == [(2, 1)] * 8 + [(7, 1)] * 8


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("batch", ["0", "a", "1,", "-1"])
def test_refuses_a_batch_that_is_none(batch: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "net.prototxt", "net.caffemodel", f"--batch={batch}"]) == 2
    assert "argument --batch: invalid" in capsys.readouterr().err


@pytest.mark.usefixtures("_trained")
def test_predicts_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    call = ["predict", "net8.prototxt", "net8.caffemodel", "data/test_lmdb"]
    assert main([*call, "--json-lines", "floats.jsonl"]) == 0
    calls = _count_calls(monkeypatch)
    assert main([*call, "--engine", "runtime", "--json-lines", "integers.jsonl"]) == 0
    assert sum(batch for batch, _ in calls) >= 20
    floats, integers = (
        [json.loads(line) for line in Path(f"{name}.jsonl").read_text().splitlines()]
        for name in ("floats", "integers")
    )
    assert [one["image"] for one in floats] == [one["image"] for one in integers]
    for one, other in zip(floats, integers, strict=True):
        scores = [
            {candidate["label"]: candidate["score"] for candidate in side["candidates"]}
            for side in (one, other)
        ]
        # A code at the border between two levels may be the next one.
        assert np.allclose(
            [scores[0][label] for label in sorted(scores[0])],
            [scores[1][label] for label in sorted(scores[0])],
            atol=0.02,
        )
