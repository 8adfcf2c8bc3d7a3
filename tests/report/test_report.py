"""What a report says of runs, against logs and weights read and computed once more."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests import reference
from tests.report.report_runs import LOG, QUANTIZATION, model, weights, write_run
from ul2q.errors import UserError
from ul2q.report.layers import LayerWeights, channels_first, read_layers
from ul2q.report.runs import Run, read_runs
from ul2q.report.summary import summarise
from ul2q.report.tables import all_tables
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace

TWO_BITS = {"bits": 2}


def tables(runs: tuple[Run, ...]) -> dict[str, list[dict[str, str]]]:
    """The CSV files, read back."""
    return {
        table.name: list(csv.DictReader(table.csv().decode().splitlines()))
        for table in all_tables(summarise(runs), runs)
    }


def test_a_trained_run(workspace: Workspace) -> None:
    workspace.net(
        ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
        ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
    )
    folder = workspace.folder / "runs" / "mini"
    solver = workspace.solver(name="runs/mini/solver.prototxt")
    result = train(solver, run=folder)
    found = tables(read_runs([workspace.folder / "runs"]))

    with (folder / "log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    (run,) = found["runs"]
    assert (run["run"], run["net"], run["method"], run["bits"]) == ("mini", "mini", "ul2q", "2")
    assert (run["status"], run["seed"], run["notes"]) == ("done", "3", "")
    assert (run["iterations"], run["max_iterations"]) == ("20", "20")
    assert float(run["accuracy"]) == float(last["test_accuracy"])
    assert float(run["loss"]) == pytest.approx(float(last["test_loss"]), rel=1e-6)  # 7 digits
    assert float(run["seconds"]) == float(last["seconds"])

    assert result.weights is not None
    net = caffe_pb2.NetParameter()
    net.ParseFromString(result.weights.read_bytes())
    (layer,) = (one for one in net.layer if one.name == "ip")
    w = np.array(layer.blobs[0].data, np.float32).reshape(4, 64)
    options = reference.Options(bits=2)
    fitted = reference.fit(w, options)
    codes = reference.encode(w, fitted, options)
    error = np.mean((reference.quantize(w, options).astype(float) - w.astype(float)) ** 2)
    (row,) = found["layers"]
    assert (row["layer"], row["type"], row["shape"]) == ("ip[0]", "InnerProduct", "4x64")
    assert (row["method"], row["bits"], row["count"]) == ("ul2q", "2", "256")
    assert float(row["mean"]) == pytest.approx(w.mean(dtype=float), rel=5e-7)  # seven digits
    assert float(row["sigma"]) == pytest.approx(w.std(dtype=float))
    assert float(row["scale"]) == pytest.approx(fitted.scale, rel=1e-6)
    assert float(row["loss"]) == pytest.approx(error, rel=1e-5)
    assert float(row["share_of_variance"]) == pytest.approx(error / w.var(dtype=float), rel=1e-5)
    assert (int(row["codes_used"]), row["codes"]) == (len(np.unique(codes)), "4")
    counts = {int(one["code"]): int(one["count"]) for one in found["codes"]}
    assert counts == {int(c): int(np.sum(codes == c)) for c in np.unique(codes)}
    assert [one["share"] for one in found["codes"]] == [f"{n / 256:.7g}" for n in counts.values()]
    with (folder / "quantization.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))[-1]["ip[0].loss"]
    assert row["logged_loss"] == f"{float(logged):.7g}"


def test_the_summary(tmp_path: Path) -> None:
    for seed, accuracy in ((1, 0.95), (2, 0.97)):
        write_run(
            tmp_path / f"lenet-float-seed{seed}",
            record={"method": "float", "bits": None, "seed": seed, "accuracy": accuracy},
        )
    for seed, accuracy, status in ((1, 0.93, "done"), (2, 0.98, "done"), (3, 0.1, "failed")):
        write_run(
            tmp_path / f"lenet-ul2q-2bit-seed{seed}",
            record={
                "seed": seed,
                "accuracy": accuracy,
                "status": status,
                "float_run": f"lenet-float-seed{seed}",
            },
        )
    write_run(tmp_path / "b", record={"variant": "channel", "accuracy": 0.9})
    write_run(tmp_path / "c", record={"net": "other", "accuracy": 0.5})
    rows = {
        (row["net"], row["method"], row["bits"], row["variant"]): row
        for row in tables(read_runs([tmp_path]))["summary"]
    }
    assert list(rows) == [
        ("lenet", "float", "", ""),
        ("lenet", "ul2q", "2", ""),
        ("lenet", "ul2q", "2", "channel"),
        ("other", "ul2q", "2", ""),
    ]
    two = rows["lenet", "ul2q", "2", ""]
    assert (two["runs"], two["finished"]) == ("3", "2")
    assert float(two["accuracy"]) == pytest.approx(95.5)
    assert float(two["deviation"]) == pytest.approx(statistics.stdev([93, 98]))
    assert (two["accuracy"], two["deviation"]) == ("95.5", "3.535534")  # rounded, for people
    assert (float(two["lowest"]), float(two["highest"])) == (93, 98)
    # Each against its own float run: 93 - 95 and 98 - 97.
    assert float(two["difference_to_float"]) == pytest.approx(-0.5)
    assert two["paper"] == "99.12"
    assert float(two["difference_to_paper"]) == pytest.approx(95.5 - 99.12)
    # From no float run: against that of the same schedule and seed, 95.
    assert float(rows["lenet", "ul2q", "2", "channel"]["difference_to_float"]) == pytest.approx(-5)
    assert rows["lenet", "float", "", ""]["difference_to_float"] == ""
    assert rows["lenet", "float", "", ""]["paper"] == "99.1"
    alone = rows["other", "ul2q", "2", ""]
    assert (alone["difference_to_float"], alone["paper"], alone["deviation"]) == ("", "", "")


QUANTIZERS: list[dict[str, Any]] = [
    {"bits": 1},
    {"bits": 3, "shift": "ZERO"},
    {"bits": 2, "fit": "PAPER"},
    {"bits": 12},
    {"method": "BINARY"},
    {"method": "TERNARY"},
    {"method": "TERNARY_QUANTIZED", "bits": 4},
    {"method": "FIXED_POINT", "bits": 1},
    {"method": "FIXED_POINT", "bits": 4},
    {"method": "CLIP", "bits": 4},
]


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_each_method(quantizer: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.caffemodel"
    net = model(quantizer)
    path.write_bytes(net.SerializeToString())
    layer, last = read_layers(path, net)
    lower: dict[str, Any] = {
        name: value.lower() if isinstance(value, str) else value
        for name, value in quantizer.items()
    }
    options = reference.Options(**lower)
    w = weights()
    codes = reference.encode(w, reference.fit(w, options), options)
    error = np.mean((reference.quantize(w, options).astype(float) - w.astype(float)) ** 2)
    assert layer.quantized is not None
    assert layer.quantized.loss == pytest.approx(error, rel=1e-5)
    numbers, counts = np.unique(codes, return_counts=True)
    assert np.array_equal(layer.quantized.codes, numbers)
    assert np.array_equal(layer.quantized.counts, counts)
    possible = reference.codes_of(options).numbers
    assert layer.quantized.possible == len(possible)
    assert layer.quantized.lowest_code == possible[0]
    assert layer.quantized.highest_code == possible[-1]
    assert last.quantized is not None
    assert last.quantized.bits == 8
    # The lines' areas are the shares of the levels.
    assert layer.histogram is not None
    levels, density = layer.histogram.levels, layer.histogram.level_density
    assert levels is not None
    assert density is not None
    values, shares = np.unique(reference.quantize(w, options), return_counts=True)
    assert levels == pytest.approx((values - w.mean(dtype=float)) / w.std(dtype=float), abs=1e-5)
    step = abs(
        np.diff(reference.decode(np.array(possible[:2]), reference.fit(w, options), options, float))
    )
    assert density * step / w.std(dtype=float) == pytest.approx(shares / w.size, rel=1e-5)


LAYERS = {
    "Convolution": ("convolution_param { num_output: 6 kernel_size: 3 group: 2 }", "1 4 8 8"),
    "Deconvolution": ("convolution_param { num_output: 6 kernel_size: 3 group: 2 }", "1 4 8 8"),
    "InnerProduct": ("inner_product_param { num_output: 6 }", "1 5"),
    "transposed InnerProduct": ("inner_product_param { num_output: 6 transpose: true }", "1 5"),
    "Embed": ("embed_param { num_output: 6 input_dim: 5 }", "1 5"),
}


@pytest.mark.parametrize("granularity", ["TENSOR", "CHANNEL"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_against_caffes(name: str, granularity: str, tmp_path: Path) -> None:
    options, shape = LAYERS[name]
    kind = name.rsplit(maxsplit=1)[-1]
    filler = "weight_filler { type: 'gaussian' std: 1 }"
    text = (
        f"layer {{ name: 'in' type: 'Input' top: 'in' input_param {{ shape {{ "
        f"{' '.join(f'dim: {n}' for n in shape.split())} }} }} }}\n"
        f"layer {{ name: 'l' type: 'Quantized{kind}' bottom: 'in' top: 'l' "
        f"{options.replace('{', '{ ' + filler, 1)} "
        f"quantization_param {{ weight {{ bits: 3 granularity: {granularity} }} }} }}"
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    # Channels of different sizes, so that it matters which weights are one.
    blob = net.params["l"][0]
    blob.data[...] *= np.arange(1, 1 + blob.data.size).reshape(blob.data.shape) ** 0.5
    path = tmp_path / "x.caffemodel"
    net.save(str(path))
    message = caffe_pb2.NetParameter()
    message.ParseFromString(path.read_bytes())
    (layer,) = read_layers(path, message)
    (wanted,) = net.layers[list(net._layer_names).index("l")].quantized_blobs()
    assert layer.quantized is not None
    assert layer.quantized.loss == pytest.approx(wanted.loss, rel=1e-6)
    codes, counts = np.unique(wanted.codes, return_counts=True)
    assert np.array_equal(layer.quantized.codes, codes)
    assert np.array_equal(layer.quantized.counts, counts)
    assert layer.quantized.scale == pytest.approx(float(np.mean(wanted.scale)), rel=1e-5)
    (found,) = (one for one in message.layer if one.name == "l")
    assert len(channels_first(found, blob.data)) == 6


def test_recurrent_layers_weights_are_those_with_two_axes(tmp_path: Path) -> None:
    net = caffe_pb2.NetParameter()
    layer = net.layer.add(name="lstm", type="QuantizedLSTM")
    layer.quantization_param.weight.bits = 2
    for values in (weights(1, (8, 3)), np.ones(8), weights(2, (8, 2))):
        layer.blobs.add(shape={"dim": values.shape}, data=values.ravel())
    path = tmp_path / "x.caffemodel"
    path.write_bytes(net.SerializeToString())
    found = read_layers(path, net)
    assert [one.name for one in found] == ["lstm[0]", "lstm[2]"]
    assert all(one.quantized for one in found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_noted(value: float, tmp_path: Path) -> None:
    net = model(TWO_BITS)
    net.layer[0].blobs[0].data[3] = value
    (run,) = read_runs([write_run(tmp_path / "run", net=net, quantization=QUANTIZATION)])
    assert run.layers[0] == LayerWeights("conv[0]", "Convolution", (6, 4, 3, 3))
    assert run.notes == ("the weights conv[0] are none, or not finite",)


# Single runs: the options of write_run, and what is read of it.
SINGLE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "finished": (
        {"net": model(TWO_BITS), "quantization": QUANTIZATION},
        {
            "net": "lenet",
            "method": "ul2q",
            "bits": 2,
            "seed": 7,
            "status": "done",
            "accuracy": 0.625,
            "loss": 0.875,
            "iterations": 30,
            "seconds": 3.5,
            "notes": (),
        },
    ),
    "half": (
        {"log": LOG[: LOG.index("30,")] + "30,3.5", "net": model(TWO_BITS)},
        {
            "status": "unfinished",
            "accuracy": 0.5,
            "iterations": 20,
            "max_iterations": 30,
            "notes": (
                "the weights are those after iteration 30, of 20 done",
                "there is no quantization.csv: no quantisation loss over the iterations",
            ),
        },
    ),
    "stopped early": (
        {
            "log": LOG[: LOG.index("30,")],
            "net": model(None),
            "early_stop": '{"iteration": 20, "reason": "the last test was no better"}',
        },
        {
            "status": "done",
            "accuracy": 0.5,
            "iterations": 20,
            "notes": (
                "stopped early, after iteration 20: the last test was no better",
                "the weights are those after iteration 30, of 20 done",
            ),
        },
    ),
    "gone on with after an early stop": (
        {
            "log": LOG[: LOG.index("30,")],
            "net": model(None),
            "early_stop": '{"iteration": 10, "reason": "the last test was no better"}',
        },
        {
            "status": "unfinished",
            "notes": ("the weights are those after iteration 30, of 20 done",),
        },
    ),
    "without a solver": (
        {"solver": None, "net": model(None, "vgg7-64-float")},
        {"status": "unknown", "net": "vgg7-64", "method": "float", "bits": None, "seed": None},
    ),
    "diverged": (
        {"log": LOG.replace("0.75,0.5,1.25", "nan,,")},
        {
            "status": "failed",
            "error": "training has diverged: train_loss is nan at iteration 20",
            "accuracy": 0.625,
        },
    ),
    "diverged in a test": (
        {"log": LOG.replace("0.625,0.875", "1.0,nan")},
        {
            "status": "failed",
            "error": "training has diverged: test_loss is nan at iteration 30",
            "accuracy": 0.5,
            "loss": 1.25,
            "is_finished": False,
        },
    ),
    "just begun": (
        {"log": LOG.splitlines()[0] + "\n"},
        {
            "status": "unfinished",
            "accuracy": None,
            "iterations": 0,
            "notes": (
                "log.csv has no rows yet",
                "there is no .caffemodel: no histograms, no codes",
            ),
        },
    ),
    "a model alone": (
        {"log": None, "solver": None, "net": model({"method": "TERNARY"}, "net_ternary")},
        {"net": "net", "method": "ternary", "bits": 2, "status": "unknown", "accuracy": None},
    ),
    "options": (
        {"net": model({"bits": 4, "granularity": "CHANNEL", "gradient": "CLIPPED"})},
        {"variant": "channel, clipped", "bits": 4},
    ),
    "another test net": (
        {"log": LOG.replace("test_accuracy", "test0_accuracy").replace("test_loss", "test1_loss")},
        {"accuracy": 0.625, "loss": 0.875},
    ),
    "no accuracy": (
        {"log": LOG.replace("test_accuracy", "test_hits"), "net": model(None)},
        {"accuracy": None, "loss": 0.875, "notes": ("log.csv has no test accuracy",)},
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_runs(name: str, tmp_path: Path) -> None:
    options, wanted = SINGLE[name]
    (run,) = read_runs([write_run(tmp_path / name, **options)])
    assert run.name == name
    assert {key: getattr(run, key) for key in wanted} == wanted


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"status": "waiting", "accuracy": None}, {"status": "waiting", "notes": ()}),
        ({"status": "running", "accuracy": None}, {"status": "running", "accuracy": None}),
        ({"status": "failed", "error": "no <memory>"}, {"error": "no <memory>"}),
        ({"status": "done", "accuracy": 0.75}, {"accuracy": 0.75, "seed": 1}),
    ],
)
def test_a_sweeps_run(record: dict[str, Any], wanted: dict[str, Any], tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / "run", record=record, log=None)])
    assert {key: getattr(run, key) for key in wanted} == wanted


@pytest.mark.parametrize("status", ["running", "done"])
def test_a_log_that_diverged_counts_more_than_the_record(status: str, tmp_path: Path) -> None:
    """As where the sweep was killed before it took note."""
    write_run(tmp_path / "good", record={"accuracy": 0.75})
    log = LOG.replace("0.625,0.875", "1.0,nan")
    write_run(tmp_path / "bad", log=log, record={"status": status, "accuracy": 1.0, "seed": 2})
    runs = {run.name: run for run in read_runs([tmp_path])}
    assert (runs["bad"].status, runs["good"].status) == ("failed", "done")
    assert "diverged" in str(runs["bad"].error)
    (row,) = tables(tuple(runs.values()))["summary"]
    assert (row["runs"], row["finished"], float(row["highest"])) == ("2", "1", 75)


def test_metrics_are_those_of_the_nets_layers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Top 5 first, and names that tell nothing; wherever the report is made."""
    workspace.net(
        (
            'layer { name: "accuracy"',
            'layer { name: "5" type: "Accuracy" bottom: "drop" bottom: "label" top: "accuracy5" '
            'accuracy_param { top_k: 2 } include { phase: TEST } } layer { name: "accuracy"',
        ),
        ('bottom: "label" top: "accuracy"\n', 'bottom: "label" top: "loss3/top-1"\n'),
        ('bottom: "label" top: "loss" }', 'bottom: "label" top: "xent" }'),
        name="nets/net.prototxt",
    )
    train(workspace.solver(net='"nets/net.prototxt"'), run=Path("runs/mini"))
    with Path("runs/mini/log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]

    def numbers() -> list[float | None]:
        (run,) = read_runs([workspace.folder / "runs"])
        return [run.accuracy, run.loss]

    wanted = [float(last["test_loss3/top-1"]), float(last["test_xent"])]
    assert numbers() == wanted
    assert float(last["test_accuracy5"]) > wanted[0]
    monkeypatch.chdir("/")
    assert numbers() == wanted
    # run.json has the net's text; without it and the net, names are all there is.
    (workspace.folder / "nets" / "net.prototxt").unlink()
    assert numbers() == wanted
    (workspace.folder / "runs" / "mini" / "run.json").unlink()
    assert numbers() == [float(last["test_accuracy5"]), float(last["test_loss3/top-1"])]


def test_an_unfinished_sweep_run_shows_its_log(tmp_path: Path) -> None:
    record = {"status": "running", "accuracy": None, "loss": None, "iterations": 0}
    (run,) = read_runs([write_run(tmp_path / "run", record=record)])
    assert (run.accuracy, run.iterations, run.is_finished) == (0.625, 30, False)
    assert tables((run,))["summary"][0]["accuracy"] == ""


def test_folders_in_folders_and_equal_names(tmp_path: Path) -> None:
    for place in ("a/one", "a/two", "b/one", "c/d/e/f/g/deep"):
        write_run(tmp_path / place, net=model(None))
    (tmp_path / "log.txt").write_text("no run")
    runs = read_runs([tmp_path, tmp_path / "a"])
    assert [run.name for run in runs] == ["a/one", "b/one", "deep", "two"]
    # Not seeds of one another: what tells them apart is not known.
    assert [run.variant for run in runs] == ["a/one", "b/one", "deep", "two"]


def test_the_newest_model_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", net=model(TWO_BITS))
    for name, bits in (("x_iter_4", 4), ("x_iter_100", 3), ("x_best", 5)):
        content = model({"bits": bits}).SerializeToString()
        (folder / f"{name}.caffemodel").write_bytes(content)
    (run,) = read_runs([folder])
    assert run.layers[0].quantized is not None
    assert run.layers[0].quantized.bits == 3
    assert run.notes[0] == "the weights are those after iteration 100, of 30 done"


def test_the_net_beside_tells_what_no_model_does(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "train_test.prototxt").write_text(
        'name: "cifarnet" layer { name: "c" type: "QuantizedConvolution" '
        "quantization_param { weight { method: CLIP bits: 4 } } } "
        'layer { name: "q" type: "QuantizedActivation" '
        "quantization_param { activation { bits: 8 } } }"
    )
    (run,) = read_runs([folder])
    assert (run.net, run.method, run.bits) == ("cifarnet", "clip", 4)
    assert run.variant == "activations 8 bit"


DAMAGED: dict[str, list[tuple[Any, str]]] = {
    "log.csv": [
        (LOG.replace("10,1.000", "ten,1.000"), r"log\.csv:3: not a row of this log"),
        (LOG.replace("1.5,,", "1.5,"), r"log\.csv:3: not a row of this log"),
        (LOG.replace("0.75", "O.75"), r"log\.csv:4: not a row of this log"),
        ("a,b\n1,2\n", r"log\.csv:1: not the columns"),
        ("iteration,seconds,\xff\n".encode("latin-1"), r"log\.csv is damaged: byte 18"),
    ],
    "run.json": [
        ("{", r"run\.json is damaged"),
        ("[]", r"run\.json is damaged"),
        ({"accuracy": "good"}, r"run\.json is damaged: accuracy is 'good'"),
        ({"status": "lost"}, r"run\.json is damaged: status is 'lost'"),
        ({"loss": float("nan")}, r"run\.json is damaged: loss is nan"),
        ({"run": "another"}, r"run\.json is that of a run 'another'"),
    ],
    "x_iter_30.caffemodel": [(b"\x00damaged", r"x_iter_30\.caffemodel is damaged")],
    "solver.prototxt": [("max_itr: 3", r"solver\.prototxt:1:\d+: .*did you mean 'max_iter'")],
}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [(name, *case) for name, cases in DAMAGED.items() for case in cases],
)
def test_damaged_files_are_named(name: str, content: Any, message: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", net=model(TWO_BITS), record={})
    if isinstance(content, dict):
        content = json.dumps(json.loads((folder / name).read_text()) | content)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        read_runs([tmp_path])


def test_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no runs there; give a folder of `ul2q sweep`"):
        read_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder"):
        read_runs([tmp_path / "nowhere"])
