"""Going on from a snapshot against never having stopped, bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.reporters import Notes
from ul2q.runs.snapshots import find_snapshots
from ul2q.training import Interrupted, TrainingError, train
from ul2q.training.progress import Reporter, Step
from ul2q.util.lock_file import lock_file

if TYPE_CHECKING:
    from tests.conftest import Workspace

# Random mirrors and crops, dropout, stochastic rounding, moving averages of batch norm and of an
# activation; 7 of 40 images a batch, so that batches run over the end of the data.
NET = """\
name: "restless"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.004 mirror: true crop_size: 7 }
  data_param { source: "data/train_lmdb" batch_size: 7 backend: LMDB } }
layer { name: "more" type: "Data" top: "more" include { phase: TRAIN }
  transform_param { scale: 0.004 crop_size: 7 }
  data_param { source: "data/test_lmdb" batch_size: 7 backend: LMDB } }
layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "more" top: "sum"
  include { phase: TRAIN } eltwise_param { coeff: 1 coeff: 0.1 } }
layer { name: "data" type: "Data" top: "sum" top: "label" include { phase: TEST }
  transform_param { scale: 0.004 crop_size: 7 mirror: true }
  data_param { source: "data/test_lmdb" batch_size: 3 backend: LMDB } }
layer { name: "conv" type: "QuantizedConvolution" bottom: "sum" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } }
  quantization_param { weight { method: FIXED_POINT bits: 4 rounding: STOCHASTIC } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "norm" }
layer { name: "scale" type: "Scale" bottom: "norm" top: "scale" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "scale" top: "scale" }
layer { name: "act" type: "QuantizedActivation" bottom: "scale" top: "act"
  quantization_param { activation { bits: 4 method: FIXED_POINT } } }
layer { name: "ip" type: "InnerProduct" bottom: "act" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "drop" type: "Dropout" bottom: "ip" top: "drop" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "drop" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""

SOLVER: dict[str, Any] = {
    "net": '"restless.prototxt"',
    "base_lr": 0.05,
    "max_iter": 10,
    "display": 1,
    "test_iter": 2,  # 6 of 20 images
    "test_interval": 2,
    "snapshot_prefix": '"mini"',
    "random_seed": 3,
    "lr_policy": '"multistep"',
    "stepsize": None,
    "stepvalue": [4, 7],
}

SOLVERS: list[dict[str, Any]] = [
    {},
    {"iter_size": 2},
    {"type": '"Nesterov"'},
    {"type": '"Adam"', "base_lr": 0.005},
    {"type": '"RMSProp"', "momentum": 0, "rms_decay": 0.9, "base_lr": 0.005},
    {"type": '"AdaGrad"', "momentum": 0},
    {"type": '"AdaDelta"', "momentum": 0.9, "base_lr": 1},
    {"snapshot_format": "HDF5"},
    {"warmup_iter": 6},
]


def write_net(workspace: Workspace, **fields: Any) -> Path:
    workspace.write("restless.prototxt", NET)
    return workspace.solver(**(SOLVER | fields))


def parameters(solver: Path, state: Path) -> list[bytes]:
    """All bits of the net's parameters and of what the solver keeps, as a snapshot has them."""
    built = caffe.get_solver(str(solver))
    built.restore(str(state))
    blobs = [b.data.tobytes() for layer in built.net.params.values() for b in layer]
    if state.suffix == ".h5":
        # The same in the other format: the history of a binary state can be read here.
        return blobs
    held = caffe_pb2.SolverState()
    held.ParseFromString(state.read_bytes())
    return [*blobs, *(np.array(blob.data, np.float32).tobytes() for blob in held.history)]


def log_rows(folder: str) -> list[str]:
    """The log without its seconds."""
    lines = Path(folder, "log.csv").read_text().splitlines()
    return [",".join(c for i, c in enumerate(line.split(",")) if i != 1) for line in lines]


@pytest.mark.parametrize("fields", SOLVERS, ids=lambda f: " ".join(map(str, f.values())) or "SGD")
def test_a_resumed_run_equals_an_unbroken_one(workspace: Workspace, fields: dict[str, Any]) -> None:
    solver = write_net(workspace, **fields)
    whole = train(solver, run=Path("whole"))
    assert whole.snapshot is not None
    expected = parameters(solver, whole.snapshot)
    for stop in (3, 5, 7):
        folder = Path(f"stopped{stop}")
        train(solver, run=folder, settings=[f"max_iter={stop}"])
        caffe.set_random_seed(99)
        resumed = train(solver, run=folder, resume=True)
        assert resumed.snapshot is not None
        assert parameters(solver, resumed.snapshot) == expected
        assert log_rows(folder.name)[-3:] == log_rows("whole")[-3:]


def forget(state: caffe_pb2.SolverState, net: int, layer: str, field: str) -> None:
    """Take a field out of what a layer's state holds."""
    (of_layer,) = (each for each in state.resume.net[net].layer if each.name == layer)
    assert of_layer.HasField(field)
    of_layer.ClearField(field)


FORGOTTEN: dict[str, Any] = {
    "all": (lambda state: state.ClearField("resume"), True),
    "random numbers": (lambda state: state.resume.ClearField("generator"), True),
    "mirrors": (lambda state: forget(state, 0, "data", "generator"), True),
    "crops of the other data": (lambda state: forget(state, 0, "more", "generator"), True),
    "position": (lambda state: forget(state, 0, "data", "key"), True),
    "position of the other data": (lambda state: forget(state, 0, "more", "key"), True),
    "position in the test": (lambda state: forget(state, 1, "data", "key"), False),
    "mirrors of the test": (lambda state: forget(state, 1, "data", "generator"), False),
}


@pytest.mark.parametrize(("change", "moves_weights"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_each_part_of_the_state_is_needed(
    workspace: Workspace, change: Any, moves_weights: bool
) -> None:
    solver = write_net(workspace)
    whole = train(solver, run=Path("whole"))
    stopped = train(solver, run=Path("run"), settings=["max_iter=5"])
    assert whole.snapshot is not None
    assert stopped.snapshot is not None
    state = caffe_pb2.SolverState()
    state.ParseFromString(stopped.snapshot.read_bytes())
    change(state)
    stopped.snapshot.write_bytes(state.SerializeToString())
    resumed = train(solver, run=Path("run"), resume=True)
    assert resumed.snapshot is not None
    equal = parameters(solver, resumed.snapshot) == parameters(solver, whole.snapshot)
    assert equal == (not moves_weights)
    assert log_rows("run") != log_rows("whole")


@pytest.mark.parametrize("seed", [-1, 5])
def test_a_solver_in_a_script(workspace: Workspace, seed: int) -> None:
    """pycaffe's own: the same solver goes back to its snapshot and comes to the same weights."""
    solver = caffe.get_solver(str(write_net(workspace, random_seed=seed)))
    solver.step(3)
    solver.snapshot()
    ends = []
    for _ in range(2):
        solver.step(4)
        ends.append([b.data.tobytes() for layer in solver.net.params.values() for b in layer])
        solver.restore("mini_iter_3.solverstate")
    assert ends[0] == ends[1]


def test_the_tool_caffe_resumes_alike(workspace: Workspace) -> None:
    tool = shutil.which("caffe", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("the command `caffe` is not installed")
    solver = write_net(workspace, snapshot=4, max_iter=10)

    def run(*options: str) -> bytes:
        subprocess.run(
            [tool, "train", f"--solver={solver}", *options], check=True, capture_output=True
        )
        return Path("mini_iter_10.caffemodel").read_bytes()

    whole = run()
    Path("mini_iter_10.caffemodel").unlink()
    assert run("--snapshot=mini_iter_4.solverstate") == whole


def generators(state: caffe_pb2.ResumeState) -> list[str]:
    layers = [layer for net in state.net for layer in net.layer]
    return [state.generator, *(layer.generator for layer in layers if layer.HasField("generator"))]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("from_snapshot", [True, False])
def test_parallel_solvers_go_on_at_the_position_and_draw_each_their_own(
    workspace: Workspace, rank: int, from_snapshot: bool
) -> None:
    """A snapshot holds the first one's random numbers; a solver's own state its own."""
    solver = caffe.get_solver(str(write_net(workspace)))
    solver.step(3)
    state = caffe_pb2.ResumeState.FromString(solver._resume_state())
    solver.snapshot()
    solver.step(2)
    try:
        caffe.set_solver_count(2)
        caffe.set_solver_rank(rank)
        if from_snapshot:
            solver.restore("mini_iter_3.solverstate")
        else:
            solver._restore_resume_state(state.SerializeToString())
        restored = caffe_pb2.ResumeState.FromString(solver._resume_state())
    finally:
        caffe.set_solver_count(1)
        caffe.set_solver_rank(0)
    pairs = list(zip(generators(restored), generators(state), strict=True))
    assert len(pairs) > 1
    same = rank == 0 or not from_snapshot
    assert all((ours == theirs) == same for ours, theirs in pairs)
    for each in (state, restored):
        each.ClearField("generator")
        for net in each.net:
            for layer in net.layer:
                layer.ClearField("generator")
    assert restored == state


def test_recurrent_layers_go_on_with_their_hidden_state(workspace: Workspace) -> None:
    """Sequences that go over from batch to batch."""
    shape = "shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 dim: 3 }"
    fillers = 'data_filler { type: "gaussian" } data_filler { value: 1 }'
    workspace.write(
        "lstm.prototxt",
        f"""name: "lstm"
        layer {{ name: "x" type: "DummyData" top: "x" top: "cont"
          dummy_data_param {{ {shape} {fillers} }} }}
        layer {{ name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
          recurrent_param {{ num_output: 5 weight_filler {{ type: "uniform" min: -1 max: 1 }} }} }}
        layer {{ name: "loss" type: "Reduction" bottom: "h" top: "loss" loss_weight: 1
          reduction_param {{ operation: SUMSQ }} }}""",
    )
    solver = workspace.solver(
        net='"lstm.prototxt"', test_iter=None, test_interval=None, max_iter=6, snapshot=3
    )
    whole = train(solver, run=Path("run"))
    assert whole.snapshot is not None
    expected = parameters(solver, whole.snapshot)
    resumed = train(solver, run=Path("run"), snapshot=Path("run/mini_iter_3.solverstate"))
    assert resumed.snapshot is not None
    assert parameters(solver, resumed.snapshot) == expected


def test_shuffled_hdf5_files_go_on_where_they_were(workspace: Workspace) -> None:
    """Three files of five rows in batches of four: files and rows are shuffled again and again."""
    for i in range(3):
        values = " ".join(f"data_filler {{ value: {5 * i + row} }}" for row in range(5))
        shapes = "shape { dim: 1 dim: 3 } " * 5
        tops = " ".join(f'top: "r{row}"' for row in range(5))
        bottoms = tops.replace("top", "bottom")
        path = Path(f"part{i}.h5").absolute()
        net = workspace.write(
            "writer.prototxt",
            f"""layer {{ name: "rows" type: "DummyData" {tops}
              dummy_data_param {{ {shapes} {values} }} }}
            layer {{ name: "x" type: "Concat" {bottoms} top: "x" concat_param {{ axis: 0 }} }}
            layer {{ name: "label" type: "DummyData" top: "label"
              dummy_data_param {{ shape {{ dim: 5 dim: 1 }} }} }}
            layer {{ name: "out" type: "HDF5Output" bottom: "x" bottom: "label"
              hdf5_output_param {{ file_name: "{path}" }} }}""",
        )
        caffe.Net(str(net), caffe.TEST).forward()
    workspace.write("files.txt", "".join(f"part{i}.h5\n" for i in range(3)))
    workspace.write(
        "hdf5.prototxt",
        """name: "hdf5"
        layer { name: "data" type: "HDF5Data" top: "data"
          hdf5_data_param { source: "files.txt" batch_size: 4 shuffle: true } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 1 weight_filler { type: "gaussian" std: 0.1 } } }
        layer { name: "loss" type: "Reduction" bottom: "ip" top: "loss" loss_weight: 1
          reduction_param { operation: SUMSQ } }""",
    )
    solver = caffe.get_solver(
        str(workspace.solver(net='"hdf5.prototxt"', test_iter=None, test_interval=None))
    )
    rows = []
    for iteration in range(12):
        if iteration == 5:
            solver.snapshot()
        solver.net.forward()
        rows.append(solver.net.blobs["data"].data.reshape(4, -1)[:, 0].tolist())
    first = [value for batch in rows[:4] for value in batch]
    assert first[:15] != sorted(first[:15])
    assert len(set(first[:15])) == 15
    solver.restore("mini_iter_0.solverstate")
    again = []
    for _ in range(7):
        solver.net.forward()
        again.append(solver.net.blobs["data"].data.reshape(4, -1)[:, 0].tolist())
    assert again == rows[5:]


def test_a_state_of_another_caffe_begins_the_data_anew(workspace: Workspace) -> None:
    solver = caffe.get_solver(str(write_net(workspace)))
    solver.step(2)
    solver.snapshot()
    state = caffe_pb2.SolverState()
    state.ParseFromString(Path("mini_iter_2.solverstate").read_bytes())
    assert state.HasField("resume")
    state.ClearField("resume")
    Path("mini_iter_2.solverstate").write_bytes(state.SerializeToString())
    fresh = caffe.get_solver(str(write_net(workspace)))
    fresh.restore("mini_iter_2.solverstate")
    fresh.net.forward()
    first = caffe.get_solver(str(write_net(workspace)))
    first.net.forward()
    np.testing.assert_array_equal(
        fresh.net.blobs["label"].data, first.net.blobs["label"].data, strict=True
    )


def test_other_data_are_read_from_their_start(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    solver = caffe.get_solver(str(write_net(workspace)))
    solver.step(2)
    solver.snapshot()
    state = caffe_pb2.SolverState()
    state.ParseFromString(Path("mini_iter_2.solverstate").read_bytes())
    data = next(layer for layer in state.resume.net[0].layer if layer.name == "data")
    assert (data.key, data.records) == (b"00000014", 14)
    data.key = b"elsewhere"
    Path("mini_iter_2.solverstate").write_bytes(state.SerializeToString())
    solver.restore("mini_iter_2.solverstate")
    assert "has no record 'elsewhere'" in caplog.text
    solver.net.forward()
    np.testing.assert_array_equal(solver.net.blobs["label"].data, workspace.labels[:7])


class KillAt(Reporter):
    """What a power cut does, in an iteration."""

    def step(self, step: Step) -> None:
        if step.iteration == 6:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_goes_on(workspace: Workspace) -> None:
    solver = write_net(workspace, snapshot=2, max_iter=10)
    whole = train(solver, run=Path("whole"))
    assert whole.snapshot is not None
    script = (
        "from pathlib import Path; from ul2q.training import train; "
        "from tests.caffe.test_resume import KillAt; "
        f"train(Path({str(solver)!r}), run=Path('killed'), progress=KillAt())"
    )
    path = [str(Path(__file__).resolve().parents[2]), *sys.path]
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    resumed = train(solver, run=Path("killed"), resume=True)
    assert resumed.snapshot is not None
    assert parameters(solver, resumed.snapshot) == parameters(solver, whole.snapshot)
    assert log_rows("killed") == log_rows("whole")


def test_a_stop_in_a_test_tests_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test that was broken off is made again, over the same images."""
    solver = write_net(workspace)
    train(solver, run=Path("whole"))
    calls = 0

    def broken_off(net: caffe.Net, iterations: int, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:  # of iteration 4
            net.forward()
            signal.raise_signal(signal.SIGTERM)
            options["after_batch"]()
        return mean_outputs(net, iterations, **options)

    from ul2q.nets.net_outputs import mean_outputs

    monkeypatch.setattr("ul2q.training.net_tests.mean_outputs", broken_off)
    with pytest.raises(Interrupted) as stopped:
        train(solver, run=Path("stopped"))
    assert stopped.value.iteration == 4
    assert stopped.value.command == "ul2q train solver.prototxt --run stopped --resume"
    train(solver, run=Path("stopped"), resume=True)
    assert log_rows("stopped") == log_rows("whole")


def run_folder(workspace: Workspace, keep: int = 0, **fields: Any) -> Path:
    """A run of ten iterations with a snapshot each second one; its solver."""
    solver = write_net(workspace, **({"snapshot": 2} | fields))
    train(solver, run=Path("run"), keep=keep)
    return solver


DAMAGE: dict[str, Any] = {
    "cut state": ("mini_iter_8.solverstate", lambda data: data[: len(data) // 2]),
    "no state": ("mini_iter_8.solverstate", lambda _: b""),
    "cut weights": ("mini_iter_8.caffemodel", lambda data: data[: len(data) // 2]),
    "empty weights": ("mini_iter_8.caffemodel", lambda _: b""),
    "other weights": ("mini_iter_8.caffemodel", lambda data: data.replace(b"conv", b"vnoc")),
    "no weights": ("mini_iter_8.caffemodel", None),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_a_damaged_snapshot_is_passed_over(
    workspace: Workspace, name: str, damage: Any, form: str
) -> None:
    solver = run_folder(workspace, snapshot_format=form)
    if form == "HDF5":
        name += ".h5"
        if damage is DAMAGE["other weights"][1]:
            pytest.skip("the names in an HDF5 file are not bytes to be replaced")
    before = Path("run/log.csv").read_text()
    for path in Path("run").glob("mini_iter_10.*"):
        path.unlink()
    path = Path("run", name)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    notes = Notes()
    train(solver, run=Path("run"), resume=True, progress=notes)
    (warning,) = notes.warnings
    assert "mini_iter_8.solverstate" in warning
    assert "mini_iter_6.solverstate" in notes.notes[0]
    assert log_rows("run") == [
        ",".join(c for i, c in enumerate(line.split(",")) if i != 1) for line in before.splitlines()
    ]


def test_without_an_intact_snapshot_nothing_is_lost(workspace: Workspace) -> None:
    solver = run_folder(workspace, keep=2)
    for path in Path("run").glob("*.solverstate"):
        path.write_bytes(b"\xff")
    before = {path: path.read_bytes() for path in Path("run").glob("[!.]*")}
    with pytest.raises(
        Exception, match=r"no snapshot can be gone on from.*mini_iter_10.*mini_iter_8"
    ):
        train(solver, run=Path("run"), resume=True, settings=["base_lr=0.03"], progress=Notes())
    assert {path: path.read_bytes() for path in Path("run").glob("[!.]*")} == before


def test_resume_begins_where_there_is_nothing(workspace: Workspace) -> None:
    solver = write_net(workspace)
    train(solver, run=Path("whole"))
    Path("run").mkdir()
    Path("run/log.csv").write_text(Path("whole/log.csv").read_text()[:-40])  # killed early
    result = train(solver, run=Path("run"), resume=True)
    assert result.iterations == 10
    assert log_rows("run") == log_rows("whole")


def test_a_finished_run_is_left_as_it_is(workspace: Workspace) -> None:
    solver = write_net(workspace)
    first = train(solver, run=Path("run"), best=True)
    files = {path: path.stat().st_mtime_ns for path in Path("run").glob("[!.]*")}
    began = time.perf_counter()
    again = train(solver, run=Path("run"), resume=True, best=True)
    assert time.perf_counter() - began < 1
    assert {path: path.stat().st_mtime_ns for path in Path("run").glob("[!.]*")} == files
    assert again.finished
    assert not first.finished
    assert again.test[0] == pytest.approx(first.test[0], rel=1e-5)
    assert (again.snapshot, again.weights, again.best) == (
        first.snapshot,
        first.weights,
        first.best,
    )
    longer = train(solver, run=Path("run"), resume=True, settings=["max_iter=12"])
    assert (longer.finished, longer.iterations) == (False, 12)


CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a longer run": ({"max_iter": 14}, []),
    "a shorter run": ({"max_iter": 6}, ["max_iter was 10, is 6"]),
    "settings": (
        {"base_lr": 0.02, "display": None},
        ["base_lr was 0.05, is 0.02", "display was 1, is not given"],
    ),
    "another net": (
        {"net": '"other.prototxt"'},
        [
            "net was restless.prototxt, is other.prototxt",
            "layer 'sum': eltwise_param.coeff was [1.0, 0.1], is [1.0, 0.2]",
        ],
    ),
    "the same net elsewhere": ({"net": '"copy.prototxt"'}, []),
}


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(("fields", "changes"), CHANGES.values(), ids=CHANGES)
def test_a_command_that_is_another_one_is_warned_of(
    workspace: Workspace, fields: dict[str, Any], changes: list[str], finished: bool
) -> None:
    solver = write_net(workspace, snapshot=2)
    workspace.write("copy.prototxt", NET)
    workspace.write("other.prototxt", NET.replace("coeff: 0.1", "coeff: 0.2"))
    train(solver, run=Path("run"), keep=0)
    if not finished:
        for snapshot in find_snapshots("run/mini")[:-2]:
            snapshot.state.unlink()
    notes = Notes()
    changed = write_net(workspace, snapshot=2, **fields)
    if finished and fields.get("max_iter") == 6:
        with pytest.raises(TrainingError, match="raise max_iter"):
            train(changed, run=Path("run"), resume=True, progress=notes)
    else:
        result = train(changed, run=Path("run"), resume=True, progress=notes)
        assert result.finished == (finished and fields.get("max_iter") is None)
    wanted = f"run was run with other settings: {', '.join(changes)}"
    assert notes.warnings == ([wanted] if changes else [])


def test_a_solver_that_is_the_record_itself_is_not_another_one(workspace: Workspace) -> None:
    """It need not say what the run's folder says."""
    write_net(workspace)
    solver = write_net(workspace, snapshot_prefix=None, net='"../restless.prototxt"', max_iter=5)
    Path("run").mkdir()
    solver.rename("run/solver.prototxt")
    notes = Notes()
    for _ in range(2):
        train(Path("run/solver.prototxt"), run=Path("run"), resume=True, progress=notes)
    assert notes.warnings == []


def test_a_run_has_its_folder_for_itself(workspace: Workspace) -> None:
    solver = run_folder(workspace)
    files = {path: path.read_bytes() for path in Path("run").iterdir()}
    with lock_file(Path("run/.run.lock")) as lock:
        assert lock.acquire()
        held = Path("run/.run.lock").read_bytes()
        for more in ({}, {"resume": True}, {"snapshot": Path("run/mini_iter_4.solverstate")}):
            options: dict[str, Any] = {"settings": ["base_lr=0.03"], **more}
            with pytest.raises(TrainingError, match=rf"run is in use by .* {os.getpid()}: wait"):
                train(solver, run=Path("run"), **options)
        assert {path: path.read_bytes() for path in files} == files | {Path("run/.run.lock"): held}
    train(solver, run=Path("run"), resume=True, settings=["max_iter=12"])


def test_a_run_that_was_killed_before_its_last_test_makes_it(workspace: Workspace) -> None:
    solver = write_net(workspace)
    first = train(solver, run=Path("run"))
    whole = log_rows("run")
    log = Path("run/log.csv")
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines()[:-1]))
    again = train(solver, run=Path("run"), resume=True)
    assert not again.finished
    assert again.test == first.test
    assert log_rows("run") == whole


def test_a_moved_run_goes_on(workspace: Workspace) -> None:
    solver = run_folder(workspace)
    whole = Path("run/mini_iter_10.caffemodel").read_bytes()
    shutil.copytree("run", "copy")
    # The copy reads its own weights, not those of the first.
    for path in Path("run").glob("*.caffemodel"):
        path.write_bytes(b"")
    for path in Path("copy").glob("mini_iter_10.*"):
        path.unlink()
    train(solver, run=Path("copy"), resume=True)
    assert Path("copy/mini_iter_10.caffemodel").read_bytes() == whole


def test_leftovers_of_a_killed_writer_are_removed(workspace: Workspace) -> None:
    solver = run_folder(workspace)
    mine = Path("run/.mini_iter_12.caffemodel.0123abcd.part")
    others = [Path("run/.other_iter_12.caffemodel.0123abcd.part"), Path("run/.mini.part")]
    for path in (mine, *others):
        path.write_bytes(b"")
    train(solver, run=Path("run"), resume=True, settings=["max_iter=11"])
    assert not mine.exists()
    assert all(path.exists() for path in others)
