"""Training against plain pycaffe, and everything that can go wrong on the way."""

from __future__ import annotations

import csv
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.training import Interrupted, TrainingError, train
from ul2q.training.progress import Reporter, Step
from ul2q.util.stopping import StopRequested, stop_on_signals

if TYPE_CHECKING:
    from tests.conftest import Workspace


def read_log(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plain_losses(solver: Path, iterations: int) -> list[float]:
    """The train losses of Caffe's own solver, its own tests included, and that of the end."""
    caffe.set_mode_cpu()
    plain = caffe.get_solver(str(solver))
    losses = []
    for _ in range(iterations):
        plain.step(1)
        losses.append(float(plain.net.blobs["loss"].data))
    plain.net.forward()
    return [*losses, float(plain.net.blobs["loss"].data)]


def plain_tests(solver: Path, at: list[int], net: str, batches: int) -> dict[int, dict[str, float]]:
    """Mean outputs of a separate test net that loads the solver's weights at iterations `at`."""
    caffe.set_mode_cpu()
    tester = caffe.Net(net, caffe.TEST)  # draws random numbers, so before the solver's seed
    plain = caffe.get_solver(str(solver))
    results = {}
    for iteration in at:
        plain.step(iteration - plain.iter)
        plain.net.save("copy.caffemodel")
        tester.copy_from("copy.caffemodel")
        runs = [
            {name: float(blob) for name, blob in tester.forward().items()} for _ in range(batches)
        ]
        results[iteration] = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    return results


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"test_interval": 3, "test_initialization": "false"},
        {"lr_policy": '"poly"', "power": 1.0},
        {"lr_policy": '"cosine"', "warmup_iter": 5},
        {"lr_policy": '"multistep"', "stepvalue": [4, 9]},
        {"type": '"Adam"', "momentum2": 0.99, "base_lr": 0.01},
        {"solver_type": "NESTEROV"},
        {"test_iter": None, "test_interval": None},
    ],
    ids=lambda fields: " ".join(map(str, fields)) or "plain",
)
def test_losses_are_those_of_caffe(workspace: Workspace, fields: dict[str, Any]) -> None:
    """Dropout draws random numbers at every step, so one draw too many would show."""
    solver = workspace.solver(display=1, **fields)
    expected = plain_losses(solver, 20)

    result = train(solver, run=Path("run"))

    rows = read_log(Path("run/log.csv"))
    assert [int(row["iteration"]) for row in rows] == list(range(21))
    assert [np.float32(row["train_loss"]) for row in rows] == list(np.array(expected, np.float32))
    assert result.train_loss == expected[-1]
    assert expected[-1] < expected[0]


def test_log_has_the_test_outputs_and_rates(workspace: Workspace) -> None:
    solver = workspace.solver(test_iter=3)  # 15 of 20 images: each test begins elsewhere
    expected = plain_tests(solver, [0, 5, 10, 15, 20], "net.prototxt", 3)

    result = train(solver, run=Path("run"))

    rows = {int(row["iteration"]): row for row in read_log(Path("run/log.csv"))}
    assert list(rows) == [0, 2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18, 20]
    for iteration, row in rows.items():
        if iteration in expected:
            assert float(row["test_loss"]) == pytest.approx(expected[iteration]["loss"], rel=1e-5)
            assert float(row["test_accuracy"]) == pytest.approx(
                expected[iteration]["accuracy"], rel=1e-5
            )
        else:
            assert row["test_loss"] == row["test_accuracy"] == ""
        rate = 0.1 * 0.5 ** (iteration // 8)
        assert float(row["learning_rate"]) == pytest.approx(rate, rel=1e-6)
    seconds = [float(row["seconds"]) for row in rows.values()]
    assert seconds == sorted(seconds)
    assert result.test[0] == pytest.approx(expected[20], rel=1e-5)
    assert result.tested_at == result.iterations == 20
    assert result.data == (Path("data/train_lmdb"), Path("data/test_lmdb"))


@pytest.mark.parametrize(
    ("fields", "tested", "logged"),
    [
        ({"test_interval": 5}, [0, 5, 10], [0, 4, 5, 8, 10]),
        ({"test_interval": 5, "test_initialization": "false"}, [5, 10], [0, 4, 5, 8, 10]),
        ({"test_interval": 4}, [0, 4, 8, 10], [0, 4, 8, 10]),
        ({"test_interval": 4, "display": 0}, [0, 4, 8, 10], [0, 4, 8, 10]),
        ({"test_interval": 20}, [0, 10], [0, 4, 8, 10]),
        ({"test_interval": 20, "test_initialization": "false"}, [10], [0, 4, 8, 10]),
        ({"test_interval": 10, "display": 0}, [0, 10], [0, 10]),
        ({"test_interval": 10, "display": 5}, [0, 10], [0, 5, 10]),
    ],
)
def test_tests_come_when_solve_makes_them_and_at_the_end(
    workspace: Workspace, fields: dict[str, Any], tested: list[int], logged: list[int]
) -> None:
    result = train(workspace.solver(**({"max_iter": 10, "display": 4} | fields)), run=Path("run"))
    rows = read_log(Path("run/log.csv"))
    assert [int(row["iteration"]) for row in rows] == logged
    assert [int(row["iteration"]) for row in rows if row["test_loss"]] == tested
    assert result.tested_at == tested[-1]


def test_average_loss_is_a_mean_over_the_last_iterations(workspace: Workspace) -> None:
    solver = workspace.solver(display=1, average_loss=3)
    losses = plain_losses(solver, 20)
    train(solver, run=Path("run"))
    logged = [float(row["train_loss"]) for row in read_log(Path("run/log.csv"))]
    expected = [np.mean(losses[max(0, i - 2) : i + 1]) for i in range(21)]
    assert logged == pytest.approx(expected, rel=1e-6)


def test_iter_size_equals_a_larger_batch(workspace: Workspace) -> None:
    no_dropout = ('bottom: "drop"', 'bottom: "ip"')
    workspace.net(no_dropout, name="small.prototxt")
    workspace.net(no_dropout, ("batch_size: 10", "batch_size: 20"), name="large.prototxt")
    logs = []
    for net, size in (("small", 2), ("large", 1)):
        run = Path(f"run-{net}")
        train(workspace.solver(net=f'"{net}.prototxt"', iter_size=size, display=1), run=run)
        logs.append([float(row["train_loss"]) for row in read_log(run / "log.csv")][:20])
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)


def test_several_test_nets_and_vector_outputs(workspace: Workspace) -> None:
    workspace.net(
        ('top: "accuracy"', 'top: "accuracy" top: "hits"'), ("size: 5", "size: 10"), name="b.net"
    )
    solver = workspace.solver(
        net=None,
        train_net='"net.prototxt"',
        test_net=['"net.prototxt"', '"b.net"'],
        test_iter=[4, 1],
    )
    result = train(solver, run=Path("run"))
    row = read_log(Path("run/log.csv"))[-1]
    hits = {f"test1_hits[{i}]" for i in range(4)}
    assert set(row) - {"iteration", "seconds", "learning_rate", "train_loss"} == {
        *("test0_accuracy", "test0_loss", "test1_accuracy", "test1_loss"),
        *hits,
    }
    weights = caffe.Net("net.prototxt", caffe.TEST, weights=str(result.weights)).params["ip"]
    first = accuracy(workspace, weights, slice(20))
    second = accuracy(workspace, weights, slice(10))  # of 20 images, at the 5th test
    assert result.test[0]["accuracy"] == pytest.approx(first)
    assert result.test[1]["accuracy"] == pytest.approx(second)
    assert float(row["test0_accuracy"]) == pytest.approx(first)
    assert float(row["test1_accuracy"]) == pytest.approx(second)


def accuracy(workspace: Workspace, parameters: Any, images: slice) -> float:
    """The share of these test images that an inner product classifies rightly, in NumPy."""
    pixels = workspace.test_images[images].reshape(-1, 64) / 256
    scores = pixels @ parameters[0].data.T + parameters[1].data
    return float(np.mean(scores.argmax(axis=1) == workspace.test_labels[images]))


def test_total_loss_weighs_all_losses(workspace: Workspace) -> None:
    weighted = ('top: "loss" }', 'top: "loss" loss_weight: 2 }')
    workspace.net(weighted)
    result = train(workspace.solver(test_compute_loss="true", max_iter=5))
    assert result.test[0]["total_loss"] == pytest.approx(2 * result.test[0]["loss"])


def test_losses_are_weighted(workspace: Workspace) -> None:
    workspace.net(('top: "loss" }', 'top: "loss" loss_weight: 2 }'))
    solver = workspace.solver(display=1)
    expected = plain_losses(solver, 20)
    train(solver, run=Path("run"))
    logged = [float(row["train_loss"]) for row in read_log(Path("run/log.csv"))]
    assert logged == pytest.approx([2 * loss for loss in expected], rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "run", "expected"),
    [
        ({}, "run", "run/mini"),
        ({"snapshot_prefix": '"deep/er/lenet"'}, "run", "run/lenet"),
        ({"snapshot_prefix": None}, "run", "run/solver"),
        ({"snapshot_prefix": '"deep/"'}, "a/run", "a/run/solver"),
        ({"snapshot_prefix": '"deep/er/lenet"'}, None, "deep/er/lenet"),
        ({"snapshot_prefix": None}, None, "solver"),
        ({"snapshot_prefix": '"data"'}, None, "data/solver"),
    ],
)
def test_snapshots_go_where_they_should(
    workspace: Workspace, fields: dict[str, Any], run: str | None, expected: str
) -> None:
    (workspace.folder / "data").unlink()
    (workspace.folder / "data").mkdir()
    dummy = """name: "dummy"
        layer { name: "x" type: "DummyData" top: "x"
          dummy_data_param { shape { dim: 2 } data_filler { type: "gaussian" } } }
        layer { name: "y" type: "Scale" bottom: "x" top: "y"
          scale_param { axis: 0 num_axes: 0 } }
        layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1
          reduction_param { operation: SUMSQ } }"""
    workspace.write("net.prototxt", dummy)
    solver = workspace.solver(
        **({"snapshot": 8, "test_iter": None, "test_interval": None} | fields)
    )
    result = train(solver, run=Path(run) if run else None, keep=0)
    for iteration in (8, 16, 20):
        assert Path(f"{expected}_iter_{iteration}.solverstate").is_file()
        assert Path(f"{expected}_iter_{iteration}.caffemodel").is_file()
    assert result.snapshot == Path(f"{expected}_iter_20.solverstate")
    assert result.weights == Path(f"{expected}_iter_20.caffemodel")
    assert result.log == (Path(run, "log.csv") if run else None)
    assert result.test == ()
    assert result.tested_at is None


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"snapshot_after_train": "false"}, None),
        ({"snapshot_after_train": "false", "snapshot": 10}, "mini_iter_20.{}"),
        ({"snapshot_format": "HDF5"}, "mini_iter_20.{}.h5"),
    ],
)
def test_snapshot_after_train(
    workspace: Workspace, fields: dict[str, Any], names: str | None
) -> None:
    result = train(workspace.solver(**fields))
    assert result.snapshot == (names and Path(names.format("solverstate")))
    assert result.weights == (names and Path(names.format("caffemodel")))
    if names:
        assert result.snapshot is not None
        assert result.snapshot.is_file()


@pytest.mark.parametrize(("form", "suffix"), [("BINARYPROTO", ""), ("HDF5", ".h5")])
def test_resuming_gives_the_log_of_an_unbroken_run(
    workspace: Workspace, form: str, suffix: str
) -> None:
    solver = workspace.solver(snapshot=7, snapshot_format=form)
    train(solver, run=Path("whole"), keep=0)
    train(solver, run=Path("broken"), keep=0)
    whole = read_log(Path("whole/log.csv"))
    with Path("broken/log.csv").open("a") as log:
        log.write("21,9.1")  # cut off in the middle of a row
    result = train(
        solver, run=Path("broken"), snapshot=Path(f"broken/mini_iter_7.solverstate{suffix}")
    )
    broken = read_log(Path("broken/log.csv"))
    for row in (*whole, *broken):
        row["seconds"] = ""
    assert broken == whole
    assert result.iterations == 20
    assert Path("broken/log.csv").read_text().count("iteration") == 1


def test_resuming_counts_seconds_on(workspace: Workspace) -> None:
    solver = workspace.solver(snapshot=8)
    train(solver, run=Path("run"), keep=0)
    rows = Path("run/log.csv").read_text().splitlines()
    late = [row.split(",") for row in rows[1:]]
    for row in late:
        row[1] = "500.000"
    Path("run/log.csv").write_text("\n".join([rows[0], *map(",".join, late)]) + "\n")
    train(solver, run=Path("run"), snapshot=Path("run/mini_iter_8.solverstate"))
    seconds = [float(row["seconds"]) for row in read_log(Path("run/log.csv"))]
    assert seconds[:5] == [500.0] * 5
    assert all(second >= 500 for second in seconds)


def test_resuming_a_finished_run_tests_it(workspace: Workspace) -> None:
    solver = workspace.solver()
    first = train(solver, run=Path("run"))
    again = train(solver, run=Path("run"), snapshot=first.snapshot)
    assert again.test[0] == pytest.approx(first.test[0])
    assert again.iterations == 20


def test_weights_are_where_training_begins(workspace: Workspace) -> None:
    trained = train(workspace.solver(max_iter=20)).weights
    assert trained is not None
    solver = workspace.solver(max_iter=1, test_interval=1, base_lr=0, snapshot_prefix='"second"')
    result = train(solver, weights=[trained])
    before, after = (caffe_pb2.NetParameter() for _ in range(2))
    before.ParseFromString(trained.read_bytes())
    assert result.weights is not None
    after.ParseFromString(result.weights.read_bytes())
    blobs = [
        [list(blob.data) for layer in net.layer for blob in layer.blobs] for net in (before, after)
    ]
    assert blobs[0] == blobs[1]
    assert len(blobs[0]) == 2


def test_weights_may_lack_a_new_layer(workspace: Workspace) -> None:
    trained = train(workspace.solver())
    drop = 'layer { name: "drop"'
    workspace.net((drop, f'layer {{ name: "new" type: "Bias" bottom: "ip" top: "ip" }} {drop}'))
    solver = workspace.solver(max_iter=1, test_interval=1, base_lr=0)
    result = train(solver, weights=[Path("mini_iter_20.caffemodel")])
    assert result.test[0] == pytest.approx(trained.test[0])


def test_solver_field_weights(workspace: Workspace) -> None:
    trained = train(workspace.solver()).weights
    common: dict[str, Any] = {
        "max_iter": 1,
        "test_interval": 1,
        "base_lr": 0,
        "snapshot_prefix": '"second"',
    }
    by_argument = train(workspace.solver(**common), weights=[Path(str(trained))])
    by_field = train(workspace.solver(**common, weights=f'"{trained}"'))
    assert by_field.test == by_argument.test
    assert by_field.test != train(workspace.solver(**common)).test


@pytest.mark.parametrize(
    "nets",
    [
        {},
        {"net": None, "train_net": '"net.prototxt"', "test_net": '"net.prototxt"'},
    ],
)
def test_data_folder_replaces_the_sources(workspace: Workspace, nets: dict[str, Any]) -> None:
    expected = train(workspace.solver())
    (workspace.folder / "data").rename("elsewhere")
    workspace.net(("backend: LMDB", ""))  # without it, the default is LevelDB
    moved = train(workspace.solver(**nets), data=Path("elsewhere"))
    assert moved.data == (Path("elsewhere/train_lmdb"), Path("elsewhere/test_lmdb"))
    assert moved.test == expected.test
    assert moved.train_loss == expected.train_loss


def test_data_folder_with_one_layer_for_both_phases(workspace: Workspace) -> None:
    """A Data layer without a phase reads another LMDB in each net."""
    shared = """name: "shared"
        layer { name: "data" type: "Data" top: "data" top: "label"
          data_param { source: "nowhere" batch_size: 5 } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 4 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
        layer { name: "labels" type: "Reduction" bottom: "label" top: "labels" }"""
    workspace.write("net.prototxt", shared)
    result = train(workspace.solver(max_iter=5, base_lr=0), data=Path("data"))
    assert result.test[0]["labels"] == pytest.approx(workspace.test_labels.sum() / 4)
    assert result.data == (Path("data/train_lmdb"), Path("data/test_lmdb"))


def test_net_is_found_beside_the_solver(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = workspace.folder / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    result = train(Path("../solver.prototxt"), data=Path("../data"))
    assert result.snapshot == Path("mini_iter_20.solverstate")
    assert result.snapshot.is_file()


class Recorder(Reporter):
    """Keeps what training reports."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def start(self, first: int, last: int) -> None:
        self.events.append(("start", first, last))

    def step(self, step: Step) -> None:
        self.events.append(("step", step.iteration, step.done, step.display))

    def test(self, iteration: int, outputs: Any) -> None:
        self.events.append(("test", iteration, *outputs[0]))

    def close(self) -> None:
        self.events.append(("close",))


def test_progress_hears_every_iteration_and_test(workspace: Workspace) -> None:
    recorder = Recorder()
    train(workspace.solver(max_iter=4, test_interval=2, display=2), progress=recorder)
    test = ("accuracy", "loss")
    assert recorder.events == [
        ("start", 0, 4),
        ("test", 0, *test),
        ("step", 0, 1, True),
        ("step", 1, 2, False),
        ("test", 2, *test),
        ("step", 2, 3, True),
        ("step", 3, 4, False),
        ("test", 4, *test),
        ("step", 4, 4, True),
        ("close",),
    ]


class SnapshotTime(Reporter):
    """When the snapshot of iteration 20 was written, as the test of the finished net ends."""

    def test(self, iteration: int, outputs: object) -> None:  # noqa: ARG002 - as any reporter
        if iteration == 20:
            self.written = Path("mini_iter_20.solverstate").stat().st_mtime_ns


def test_the_last_snapshot_is_written_once(workspace: Workspace) -> None:
    progress = SnapshotTime()
    result = train(workspace.solver(snapshot=10), progress=progress)
    assert result.snapshot is not None
    assert result.snapshot.stat().st_mtime_ns == progress.written


class Interrupter(Reporter):
    """Sends this process a signal in iteration 7."""

    def __init__(self, signum: signal.Signals) -> None:
        self.signum = signum

    def step(self, step: Step) -> None:
        if step.iteration == 7:
            signal.raise_signal(self.signum)


def test_a_signal_that_the_process_ignores_stops_nothing() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGINT)
            stop.check()
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(StopRequested, match="SIGTERM"):
                stop.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_script_gets_its_signal_after_a_snapshot(
    workspace: Workspace, signum: signal.Signals
) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(workspace.solver(), progress=Interrupter(signum))
    assert signal.getsignal(signum) is before
    assert isinstance(caught.value, Interrupted)
    assert (caught.value.iteration, caught.value.signum) == (8, signum)
    assert caught.value.command == "ul2q train solver.prototxt --snapshot mini_iter_8.solverstate"
    assert Path("mini_iter_8.solverstate").is_file()


def test_the_command_to_go_on_has_what_was_given(workspace: Workspace) -> None:
    with pytest.raises(Interrupted) as caught:
        train(
            workspace.solver(),
            run=Path("a run"),
            data=Path("data"),
            settings=["base_lr=0.05", "display=0"],
            epochs=3,
            keep=1,
            best=True,
            progress=Interrupter(signal.SIGINT),
        )
    assert caught.value.command == (
        "ul2q train solver.prototxt --run 'a run' --data data --epochs 3 --set base_lr=0.05 "
        "--set display=0 --keep 1 --best --resume"
    )


def test_training_outside_the_main_thread(workspace: Workspace) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(train(workspace.solver())))
    thread.start()
    thread.join()
    assert results[0].iterations == 20


# The powers of a constant: NaN is the root of -1, infinity 1 / 0.
@pytest.mark.parametrize(
    "value", ["scale: 0 shift: -1 power: 0.5", "scale: 0 power: -1"], ids=["nan", "inf"]
)
def test_a_loss_that_is_not_finite_ends_the_run(workspace: Workspace, value: str) -> None:
    power = f"power_param {{ {value} }}"
    layer = f'layer {{ name: "log" type: "Power" bottom: "drop" top: "log" {power} }}'
    loss = 'layer { name: "loss"'
    workspace.net(('bottom: "drop"', 'bottom: "log"'), (loss, f"{layer} {loss}"))
    solver = workspace.solver(test_iter=None, test_interval=None, display=0)
    with pytest.raises(TrainingError, match=r"iteration 0: the loss is nan.*at layer 'log'"):
        train(solver, run=Path("run"))
    (row,) = read_log(Path("run/log.csv"))
    assert (row["iteration"], row["train_loss"]) == ("0", "nan")
    assert not list(Path("run").glob("*.solverstate"))


SOLVER_TEXT = 'net: "net.prototxt" max_iter: 3 base_lr: 1 lr_policy: "fixed"'

BAD_FILES: list[tuple[str, str, list[str]]] = [
    (
        "max_itr: 5",
        "",
        ["solver.prototxt:1:1", "Parameter", "'max_itr'", "did you mean 'max_iter'"],
    ),
    ("max_iter: many", "", ["solver.prototxt:1:11", "integer"]),
    ("max_iter: 5 }", "", ["solver.prototxt:1:13"]),
    ("solver_mode: TPU", "", ["solver.prototxt:1:", "SolverMode", "TPU", "CPU, GPU"]),
    ("base_lr: 1", "", ["solver.prototxt", "net, train_net", "none"]),
    ('net: "a" train_net: "b"', "", ["solver.prototxt", "net and train_net"]),
    ('net: "net.prototxt" lr_policy: "fixed"', "", ["max_iter", "at least 1", "0"]),
    ('net: "net.prototxt" max_iter: 3 lr_policy: "fix"', "", ["'fix'", "fixed, step"]),
    (
        SOLVER_TEXT + " solver_mode: GPU",
        "",
        ["solver.prototxt: solver_mode GPU", "without CUDA"],
    ),
    (
        SOLVER_TEXT + ' type: "SGD" solver_type: SGD',
        "",
        ["solver_type"],
    ),
    (
        SOLVER_TEXT + " test_iter: 4",
        "",
        ["test_interval", "at least 1"],
    ),
    (
        SOLVER_TEXT + " warmup_iter: -2",
        "",
        ["solver.prototxt", "warmup_iter must be at least 0", "-2"],
    ),
    (
        SOLVER_TEXT + " iter_size: 0",
        "",
        ["iter_size", "at least 1"],
    ),
    (
        SOLVER_TEXT + " test_iter: 0 test_interval: 1",
        "",
        ["test_iter", "at least 1"],
    ),
    (
        SOLVER_TEXT,
        'layer {\n  nam: "x" }',
        ["net.prototxt:2:3", "LayerParameter", "'nam'", "'name'"],
    ),
    (
        SOLVER_TEXT,
        'layer { name: "x" type: "Convolutoin" top: "x" }',
        ["Convolutoin"],
    ),
]


@pytest.mark.parametrize(("solver", "net", "words"), BAD_FILES, ids=lambda v: str(v)[:40])
def test_bad_files_are_named(workspace: Workspace, solver: str, net: str, words: list[str]) -> None:
    path = workspace.write("solver.prototxt", solver)
    if net:
        workspace.write("net.prototxt", net)
    with pytest.raises((UserError, caffe.CaffeError)) as caught:
        train(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.usefixtures("workspace")
def test_a_binary_solver_is_named() -> None:
    Path("solver.prototxt").write_bytes(b"net: \xff\x00")
    with pytest.raises(UserError, match=r"solver\.prototxt: not a text file \(byte 5"):
        train(Path("solver.prototxt"))


def _existing_log() -> None:
    Path("run").mkdir()
    Path("run/log.csv").write_text("iteration\n")


BAD_CALLS: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"solver": Path("none.prototxt")}, FileNotFoundError, ["none.prototxt"]),
    ({"weights": [Path("none.caffemodel")]}, FileNotFoundError, ["none.caffemodel"]),
    ({"weights": [Path("a.solverstate")]}, UserError, ["a.solverstate", ".caffemodel"]),
    (
        {"weights": [Path("net.prototxt")]},
        UserError,
        ["net.prototxt", "is a prototxt", ".caffemodel"],
    ),
    ({"weights": [Path("other.caffemodel")]}, UserError, ["'ip'", "'stranger'"]),
    ({"snapshot": Path("none.solverstate")}, FileNotFoundError, ["none.solverstate"]),
    ({"snapshot": Path("other.caffemodel")}, UserError, ["other.caffemodel", "--weights"]),
    ({"snapshot": Path("x.caffemodel.h5")}, UserError, ["x.caffemodel.h5", "--weights"]),
    (
        {"snapshot": Path("net.prototxt")},
        UserError,
        ["net.prototxt", "is a prototxt", ".solverstate"],
    ),
    ({"snapshot": Path("orphan.solverstate")}, FileNotFoundError, ["gone.caffemodel"]),
    ({"snapshot": Path("a"), "weights": [Path("b")]}, UserError, ["--snapshot", "--weights"]),
    ({"run": Path("run")}, UserError, ["run/log.csv", "another --run", "--resume", "--snapshot"]),
    ({"resume": True}, UserError, ["--resume", "--run DIR"]),
    ({"resume": True, "snapshot": Path("a")}, UserError, ["--resume", "--snapshot", "not both"]),
    ({"keep": -1}, UserError, ["--keep", "at least 0", "-1"]),
    ({"data": Path("empty/mnist")}, FileNotFoundError, ["train_lmdb", "ul2q data mnist --from"]),
    (
        {"data": Path("empty")},
        FileNotFoundError,
        ["empty/train_lmdb", "ul2q data fashion-mnist -o empty", "ul2q data mnist"],
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD_CALLS, ids=lambda v: str(v)[:40])
@pytest.mark.usefixtures("workspace")
def test_bad_calls_are_explained(
    call: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    _existing_log()
    other = caffe_pb2.NetParameter()
    other.layer.add(name="stranger").blobs.add(data=[1.0])
    Path("other.caffemodel").write_bytes(other.SerializeToString())
    Path("a.solverstate").write_bytes(b"")
    state = caffe_pb2.SolverState(iter=3, learned_net="gone.caffemodel")
    Path("orphan.solverstate").write_bytes(state.SerializeToString())
    with pytest.raises(error) as caught:
        train(**({"solver": Path("solver.prototxt")} | call))
    for word in words:
        assert word in str(caught.value)
    assert Path("run/log.csv").read_text() == "iteration\n"


@pytest.mark.parametrize(
    ("replacement", "data", "words"),
    [
        (("data/train_lmdb", "data/mnist/x"), None, ["'data'", "data/mnist/x", "ul2q data mnist"]),
        (("data/test_lmdb", "gone"), None, ["'data'", "'gone'", "--data DIR"]),
        (("backend: LMDB", ""), None, ["'data'", "data/train_lmdb", "add backend: LMDB"]),
        (('"Data"', '"DummyData"'), Path("data"), ["'mini'", "TRAIN", "no Data layer"]),
        (('name: "mini"', "layers { type: DATA }"), Path("data"), ["`layers`", "--data"]),
    ],
)
def test_bad_data_layers_are_explained(
    workspace: Workspace, replacement: tuple[str, str], data: Path | None, words: list[str]
) -> None:
    workspace.net(replacement)
    with pytest.raises((UserError, FileNotFoundError)) as caught:
        train(workspace.solver(), data=data)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_net_names_both_folders(workspace: Workspace) -> None:
    solver = workspace.solver(net='"gone.prototxt"', name="sub/solver.prototxt")
    with pytest.raises(FileNotFoundError) as caught:
        train(solver)
    for word in ("'gone.prototxt'", str(workspace.folder), "sub"):
        assert word in str(caught.value)


def test_a_log_with_other_columns_is_kept(workspace: Workspace) -> None:
    first = train(workspace.solver(max_iter=8), run=Path("run"))
    before = Path("run/log.csv").read_text()
    solver = workspace.solver(test_compute_loss="true")
    with pytest.raises(UserError, match=r"test_total_loss.*another --run"):
        train(solver, run=Path("run"), snapshot=first.snapshot)
    assert Path("run/log.csv").read_text() == before


def test_a_snapshot_beyond_max_iter_is_refused(workspace: Workspace) -> None:
    first = train(workspace.solver(max_iter=8), run=Path("run"))
    with pytest.raises(TrainingError, match=r"8 iterations.*raise max_iter"):
        train(workspace.solver(max_iter=7), snapshot=first.snapshot)
