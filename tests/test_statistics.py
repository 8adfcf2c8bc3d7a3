"""Statistics of quantised blobs, against NumPy on the masters."""

from __future__ import annotations

import csv
import gc
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from ul2q import quantize
from ul2q.statistics import QuantizationStatistics, record_statistics
from ul2q.training import TrainingError, train

if TYPE_CHECKING:
    from tests.conftest import Workspace

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 dim: 5 dim: 5 } } }
layer { name: "conv" type: "QuantizedConvolution" bottom: "x" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3
    weight_filler { type: "gaussian" std: 0.3 mean: 0.05 }
    bias_filler { type: "uniform" min: -1 max: 2 } }
  quantization_param { weight { bits: 2 granularity: CHANNEL } bias { bits: 3 } } }
layer { name: "float" type: "InnerProduct" bottom: "conv" top: "float"
  inner_product_param { num_output: 3 } }
layer { name: "up" type: "QuantizedDeconvolution" bottom: "conv" top: "up"
  convolution_param { num_output: 4 group: 2 kernel_size: 2
    weight_filler { type: "gaussian" std: 0.1 } }
  quantization_param { weight { bits: 4 granularity: CHANNEL } } }
layer { name: "ip" type: "QuantizedInnerProduct" bottom: "float" top: "ip"
  inner_product_param { num_output: 5 transpose: true weight_filler { type: "gaussian" std: 0.2 } }
  quantization_param { weight { method: TERNARY granularity: CHANNEL } } }
"""


@pytest.fixture
def net() -> Any:
    caffe.set_random_seed(5)
    return caffe.Net.from_proto(NET, caffe.TRAIN)


def test_rows_are_those_of_the_masters(net: Any) -> None:
    rows = net.quantization_statistics()
    assert [(row.layer, row.field, row.bits) for row in rows] == [
        ("conv", "weight", 2),
        ("conv", "bias", 3),
        ("up", "weight", 4),
        ("ip", "weight", 2),
    ]
    conv = quantize(net.params["conv"][0].data, 2, granularity="channel")
    assert rows[0].loss == pytest.approx(conv.loss)
    assert rows[0].scale == pytest.approx(conv.scale.mean())
    assert rows[0].shift == pytest.approx(conv.shift.mean())
    assert rows[0].lowest_share == np.mean(conv.codes == -1)
    assert rows[0].highest_share == np.mean(conv.codes == 2)
    bias = quantize(net.params["conv"][1].data, 3)
    assert (rows[1].scale, rows[1].shift) == (bias.scale, bias.shift)
    # A group's output channels lie on axis 1 of its own slices.
    halves = np.split(net.params["up"][0].data, 2)
    up = [quantize(half, 4, granularity="channel", axis=1) for half in halves]
    assert rows[2].loss == pytest.approx(np.mean([half.loss for half in up]))
    ip = quantize(net.params["ip"][0].data, method="ternary", granularity="channel", axis=1)
    assert rows[3].loss == pytest.approx(ip.loss)
    assert rows[3].lowest_share == np.mean(ip.codes == -1)


def test_blobs_have_scales_that_broadcast(net: Any) -> None:
    for layer in net.layers:
        for blob in layer.quantized_blobs():
            level = 0.5 if blob.field == "bias" or layer.type != "QuantizedInnerProduct" else 0
            plain = blob.scale * (blob.codes - level) + blob.shift
            np.testing.assert_allclose(blob.values, plain, rtol=1e-5, atol=1e-7)
    (up,) = net.layer_dict["up"].quantized_blobs()
    assert up.scale.shape == (6, 2, 1, 1)
    assert len(np.unique(up.scale)) == 4
    assert net.layer_dict["float"].quantized_blobs() == []
    assert repr(up) == "<caffe.QuantizedBlob weight, 4 bits>"


def test_flips_count_from_the_last_call(net: Any) -> None:
    statistics = QuantizationStatistics(net)
    assert {row.sign_flips for row in statistics()} == {None}
    assert {row.sign_flips for row in statistics()} == {0}
    weights = net.params["ip"][0].data  # about 0: ternary has no shift
    weights.flat[[0, 3, 4]] *= -1
    assert [row.sign_flips for row in statistics()] == [0, 0, 0, 3]
    # Another instance, the net's own, has not been called yet.
    assert net.quantization_statistics()[3].sign_flips is None
    weights.flat[0] *= -1
    assert net.quantization_statistics()[3].sign_flips == 1
    assert statistics()[3].sign_flips == 1


def test_activations_tell_of_their_last_pass() -> None:
    net = caffe.Net.from_proto(
        """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 50 } } }
        layer { name: "q" type: "QuantizedActivation" bottom: "x" top: "q"
          quantization_param { activation { method: FIXED_POINT bits: 3 } } }
        layer { name: "in_place" type: "QuantizedActivation" bottom: "q" top: "q"
          quantization_param { activation { method: BINARY } } }
        """,
        caffe.TRAIN,
    )
    assert net.quantization_statistics() == []
    x = np.random.default_rng(1).standard_normal((4, 50)).astype(np.float32)
    net.blobs["x"].data[...] = x
    net.forward(end="q")
    quantised = quantize(x, 3, "fixed_point")
    (row,) = net.quantization_statistics()
    assert (row.layer, row.field, row.index, row.bits) == ("q", "activation", None, 3)
    assert (row.scale, row.shift) == (quantised.scale, 0)
    assert row.loss == pytest.approx(quantised.loss)
    assert row.lowest_share == np.mean(quantised.codes == -4)
    assert row.highest_share == np.mean(quantised.codes == 3) > 0
    net.forward(start="in_place")
    row = net.quantization_statistics()[1]
    assert (row.bits, row.loss, row.sign_flips) == (1, None, None)
    assert row.lowest_share == np.mean(net.blobs["q"].data < 0)
    assert row.lowest_share + row.highest_share == 1


def test_a_bad_blob_is_named(net: Any) -> None:
    net.params["up"][0].data.flat[7] = np.nan
    with pytest.raises(ValueError, match=r"layer 'up': the weight blob holds NaN at element 7 of"):
        net.quantization_statistics()


def test_statistics_do_not_keep_the_net() -> None:
    net = caffe.Net.from_proto(NET, caffe.TEST)
    net.quantization_statistics()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


def test_the_example_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "layers.md").read_text(encoding="utf-8")
    section = text.split("## Statistics\n", 1)[1]
    example = section.split("```python\n", 1)[1].split("```", 1)[0]
    caffe.set_random_seed(1)
    exec(compile(example, "layers.md", "exec"), {})
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert rows == [[name, "weight", bits] for name, bits in LENET.items()]


LENET = {"conv1": "2", "conv2": "2", "ip1": "2", "ip2": "8"}


def quantised(workspace: Workspace) -> None:
    workspace.net(
        ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
        ("num_output: 4", "num_output: 4 bias_term: false"),
        (
            'layer { name: "drop"',
            'layer { name: "ip2" type: "QuantizedInnerProduct" bottom: "ip" top: "ip2" '
            'inner_product_param { num_output: 4 weight_filler { type: "xavier" } } '
            "quantization_param { weight { bits: 3 } } }\n"
            'layer { name: "drop"',
        ),
        ("std: 0.1 } } }", "std: 0.1 } } quantization_param { weight { bits: 2 } } }"),
    )


def test_a_solver_records_them(workspace: Workspace) -> None:
    quantised(workspace)
    solver = caffe.get_solver(str(workspace.solver()))
    records = record_statistics(solver, every=4)
    masters = []
    for _ in range(2):
        masters.append(solver.net.params["ip"][0].data.copy())
        solver.step(4)
    assert [iteration for iteration, _ in records] == [0, 4]
    for master, (_, rows) in zip(masters, records, strict=True):
        assert [row.layer for row in rows] == ["ip", "ip2"]
        assert rows[0].loss == pytest.approx(quantize(master, 2).loss)
    shifts = [master.mean(dtype=np.float64) for master in masters]
    flips = (masters[0] >= np.float32(shifts[0])) != (masters[1] >= np.float32(shifts[1]))
    assert records[1][1][0].sign_flips == flips.sum()
    with pytest.raises(ValueError, match="every is 0"):
        record_statistics(solver, every=0)


def read(path: Any) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_logs_them(workspace: Workspace) -> None:
    quantised(workspace)
    solver = workspace.solver(display=5, max_iter=12, snapshot=6)
    run = workspace.folder / "run"
    train(solver, run=run)
    rows = read(run / "quantization.csv")
    assert [row["iteration"] for row in rows] == ["0", "5", "10"]
    assert list(rows[0])[:4] == ["iteration", "seconds", "ip[0].scale", "ip[0].shift"]
    assert all(row["ip[0].sign_flips"].isdigit() for row in rows)
    assert all(float(row["ip2[0].loss"]) > 0 for row in rows)
    plain = caffe.get_solver(str(solver))
    plain.step(6)
    expected = quantize(plain.net.params["ip"][0].data, 2)
    assert float(rows[1]["ip[0].scale"]) == pytest.approx(expected.scale)
    # Going on from iteration 6 drops the rows from there on and writes them anew.
    state = next(run.glob("*_iter_6.solverstate"))
    train(solver, run=run, snapshot=state)
    again = read(run / "quantization.csv")
    assert [row["iteration"] for row in again] == ["0", "5", "10"]
    assert again[:2] == rows[:2]
    assert all(again[2].values())


def test_a_run_logs_activations(workspace: Workspace) -> None:
    workspace.net(
        (
            'layer { name: "drop"',
            'layer { name: "q" type: "QuantizedActivation" bottom: "ip" top: "q" '
            "quantization_param { activation { bits: 4 } } }\n"
            'layer { name: "drop"',
        ),
        ('"Dropout" bottom: "ip"', '"Dropout" bottom: "q"'),
    )
    run = workspace.folder / "run"
    train(workspace.solver(display=2, max_iter=4), run=run)
    rows = read(run / "quantization.csv")
    assert [float(row["q.scale"]) > 0 for row in rows] == [True] * 3
    assert rows[0]["q.sign_flips"] == ""


def test_a_float_net_has_no_such_log(workspace: Workspace) -> None:
    run = workspace.folder / "run"
    train(workspace.solver(max_iter=2), run=run)
    assert not (run / "quantization.csv").exists()


def test_no_log_is_overwritten(workspace: Workspace) -> None:
    quantised(workspace)
    run = workspace.folder / "run"
    run.mkdir()
    (run / "quantization.csv").write_text("precious")
    with pytest.raises(Exception, match=r"quantization\.csv"):
        train(workspace.solver(max_iter=2), run=run)
    assert (run / "quantization.csv").read_text() == "precious"
    assert not (run / "log.csv").exists()


def test_training_that_diverges_says_so(workspace: Workspace) -> None:
    quantised(workspace)
    solver = workspace.solver(base_lr="1e38", clip_gradients=None, display=1)
    with pytest.raises(TrainingError, match="diverged"):
        train(solver, run=workspace.folder / "run")
