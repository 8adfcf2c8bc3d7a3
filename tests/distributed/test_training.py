"""Ranks that train together: against one process, against each other, and after an end."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.distributed.mpi import ALL, RANKS, every_mpi, needs_mpi, only_all
from tests.processes import UL2Q
from tests.reporters import Notes
from tests.small_nets import assert_same, datum, write_records
from ul2q.runs.log import read_log
from ul2q.runs.snapshots import find_snapshots
from ul2q.training import train

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.conftest import Workspace
    from tests.distributed.mpi import Mpi

pytestmark = needs_mpi

WORKER = (sys.executable, "-m", "tests.distributed.workers")
ROOT = str(Path(__file__).parents[2])
DROPOUT = 'layer { name: "drop" type: "Dropout" bottom: "ip" top: "drop" }\n'
CONVOLUTION = """\
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "ip0" type: "InnerProduct" bottom: "conv" top: "ip0"
  inner_product_param { num_output: 64 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "ip0" top: "ip0" }
layer { name: "ip" type: "InnerProduct" bottom: "ip0"\
"""
NORMALISED = """\
layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" }
layer { name: "q" type: "QuantizedActivation" bottom: "bn" top: "q"
  quantization_param { activation { bits: 4 } } }
layer { name: "ip0" type: "InnerProduct" bottom: "q" top: "ip0"
  inner_product_param { num_output: 200 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "ip0"\
"""
IP = 'layer { name: "ip" type: "InnerProduct" bottom: "data"'


def plain_net(workspace: Workspace, batch: int, name: str) -> Path:
    """A net without dropout, with gradients below and above what travels alone."""
    return workspace.net(
        (IP, CONVOLUTION),
        (DROPOUT, ""),
        ('bottom: "drop" bottom: "label" top: "loss"', 'bottom: "ip" bottom: "label" top: "loss"'),
        ('bottom: "drop" bottom: "label" top: "acc', 'bottom: "ip" bottom: "label" top: "acc'),
        ("batch_size: 10", f"batch_size: {batch}"),
        name=name,
    )


def blobs_of(path: Path, net: Path) -> list[Any]:
    loaded = caffe.Net(str(net), caffe.TRAIN, weights=str(path))
    return [blob.data.copy() for layer in loaded.layers for blob in layer.blobs]


def assert_same_arrays(first: str, second: str) -> None:
    with np.load(first) as a, np.load(second) as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


@every_mpi
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("iter_size", [1, 2] if ALL else [2])
def test_ranks_are_one_process_with_their_batches_together(
    workspace: Workspace, mpi: Mpi, ranks: int, iter_size: int
) -> None:
    plain_net(workspace, 20 // ranks, "ranks.prototxt")
    whole = plain_net(workspace, 20, "whole.prototxt")
    common: dict[str, Any] = {
        "max_iter": 100,
        "iter_size": iter_size,
        "base_lr": 0.05,
        "display": 1,
    }
    alone = workspace.solver(net='"whole.prototxt"', **common)
    result = train(alone, run=Path("alone"))
    mine = workspace.solver(
        net='"ranks.prototxt"', test_iter=None, test_interval=None, name="r.prototxt", **common
    )
    for out in ("a.npz", "b.npz") if ALL else ("a.npz",):
        command = (*WORKER, "checked_steps", mine, 100, out)
        ended = mpi.run(ranks, *command, PYTHONPATH=ROOT)
        assert ended.returncode == 0, ended.stderr
    if ALL:
        assert_same_arrays("a.npz", "b.npz")
    with np.load("a.npz") as first:
        assert result.weights is not None
        for i, blob in enumerate(blobs_of(result.weights, whole)):
            np.testing.assert_allclose(first[f"arr_{i}"], blob, rtol=0, atol=2e-5)
        log = read_log(Path("alone/log.csv"), strict=False)
        assert log is not None
        losses = [log.row(i)["train_loss"] for i in range(100)]
        np.testing.assert_allclose(first["losses"], losses, atol=2e-5)


def varied_solver(workspace: Workspace) -> Path:
    """Its net has all that a rank has to itself: dropout, mirrors, averages, a position in data."""
    workspace.net(
        (IP, NORMALISED), ("transform_param { scale", "transform_param { mirror: true scale")
    )
    return workspace.solver(
        snapshot=20, base_lr=0.001, lr_policy='"fixed"', test_interval=50, display=10
    )


def wait_for(
    done: Callable[[], bool], seconds: float = 120, process: subprocess.Popen[str] | None = None
) -> None:
    end = time.monotonic() + seconds
    while not done():
        if process is not None and process.poll() is not None:
            raise AssertionError("\n".join(process.communicate()))
        assert time.monotonic() < end
        time.sleep(0.02)


def newest(run: Path) -> int:
    found = find_snapshots(run / "mini")
    return found[0].iteration if found else 0


def descendants(pid: int) -> list[int]:
    """The processes below one, from the uppermost on."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = stat.read_text().partition(" (")
            parents.setdefault(int(rest.rpartition(") ")[2].split()[1]), []).append(int(number))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def is_rank(pid: int) -> bool:
    with suppress(OSError):
        return b"train" in Path(f"/proc/{pid}/cmdline").read_bytes() and not is_zombie(pid)
    return False


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")


@every_mpi
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize(
    ("killed", "compress"),
    [
        ("last", ()),
        *([("first", ()), ("mpiexec", ()), ("last", ("--compress", "ul2q"))] if ALL else []),
    ],
)
def test_what_is_killed_goes_on_to_the_very_weights(
    workspace: Workspace, mpi: Mpi, ranks: int, killed: str, compress: tuple[str, ...]
) -> None:
    solver, run = varied_solver(workspace), Path("run")
    endless = ("--set", "max_iter=1000000", "--run", run, "--resume", *compress)
    with mpi.started(ranks, *UL2Q, "train", solver, *endless) as process:
        wait_for(lambda: newest(run) >= 40, process=process)
        pids = [pid for pid in descendants(process.pid) if is_rank(pid)]
        assert len(pids) == ranks
        victim = {"first": min(pids), "last": max(pids), "mpiexec": process.pid}[killed]
        os.kill(victim, signal.SIGKILL)
        _, err = process.communicate(timeout=30)
        assert process.returncode != 0, err
        wait_for(lambda: not any(is_rank(pid) for pid in pids), 30)
    end = newest(run) + 25
    more = ("--set", f"max_iter={end}", *compress)
    told = mpi.train(ranks, solver, *more, "--run", run, "--resume")
    assert "going on from" in told
    assert "other records" not in told
    mpi.train(ranks, solver, *more, "--run", "whole")
    assert_same(
        blobs_of(Path(f"run/mini_iter_{end}.caffemodel"), Path("net.prototxt")),
        blobs_of(Path(f"whole/mini_iter_{end}.caffemodel"), Path("net.prototxt")),
    )


@every_mpi
def test_a_rank_that_fails_ends_all_with_its_message(workspace: Workspace, mpi: Mpi) -> None:
    records = [datum(i % 4) for i in range(40)]
    records[35] = b"no Datum"  # of rank 1, in the second iteration
    write_records(workspace.folder / "damaged", records)
    workspace.net(('source: "data/train_lmdb"', 'source: "damaged"'))
    solver = workspace.solver(snapshot=1, test_iter=None, test_interval=None)
    ended = mpi.run(2, *UL2Q, "train", solver, "--run", "run", timeout=30)
    assert ended.returncode != 0
    assert "ul2q: error: rank 1 on " in ended.stderr
    assert "record '0035' of damaged is damaged" in ended.stderr
    assert newest(Path("run")) == 1


@only_all
@every_mpi
@pytest.mark.parametrize("how", ["file", "SIGUSR1", "SIGUSR1 to the last rank", "SIGINT"])
def test_a_stop_that_is_asked_for_leaves_a_snapshot(
    workspace: Workspace, mpi: Mpi, how: str
) -> None:
    if how == "SIGINT" and mpi.name == "Open MPI":
        pytest.skip("Open MPI kills its ranks 0.3 seconds after SIGINT")
    solver, run = varied_solver(workspace), Path("run")
    endless = ("--set", "max_iter=1000000", "--run", run, "--resume")
    with mpi.started(2, *UL2Q, "train", solver, *endless) as process:
        wait_for(lambda: newest(run) >= 20, process=process)
        if how == "file":
            (run / "stop").touch()
        elif how == "SIGINT":
            process.send_signal(signal.SIGINT)
        elif how == "SIGUSR1":
            process.send_signal(signal.SIGUSR1)
        else:
            os.kill(max(filter(is_rank, descendants(process.pid))), signal.SIGUSR1)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted after" in err, out + err
    assert f"mpiexec -n 2 ul2q train {solver} --run run" in err
    assert not (run / "stop").exists()
    end = newest(run)
    assert f"interrupted after {end} iterations" in err
    more = ("--set", f"max_iter={end + 5}")
    mpi.train(2, solver, *more, "--run", run, "--resume")
    mpi.train(2, solver, *more, "--run", "whole")
    assert_same(
        blobs_of(run / f"mini_iter_{end + 5}.caffemodel", Path("net.prototxt")),
        blobs_of(Path(f"whole/mini_iter_{end + 5}.caffemodel"), Path("net.prototxt")),
    )


@only_all
@every_mpi
def test_other_ranks_go_on_with_a_warning(workspace: Workspace, mpi: Mpi) -> None:
    solver = varied_solver(workspace)
    mpi.train(2, solver, "--run", "run")
    more = ("--set", "max_iter=30", "--run", "run", "--resume")
    told = mpi.train(4, solver, *more)
    assert "mini_iter_20.solverstate is of 2 ranks, and 4 ranks go on" in told
    notes = Notes()
    train(solver, run=Path("run"), resume=True, settings=["max_iter=40"], progress=notes)
    assert any("is of 4 ranks, and one process goes on" in line for line in notes.warnings)


@only_all
@every_mpi
def test_wrong_solvers_are_refused_once(workspace: Workspace, mpi: Mpi) -> None:
    gpu = workspace.solver(solver_mode="GPU", name="gpu.prototxt")
    for solver, told in (
        (gpu, "solver_mode is GPU, but ranks average"),
        (Path("nothing.prototxt"), "nothing.prototxt"),
    ):
        ended = mpi.run(2, *UL2Q, "train", solver, "--run", "run", timeout=30)
        assert ended.returncode != 0
        assert ended.stderr.count("ul2q: error:") == 1, ended.stderr
        assert told in ended.stderr
    assert not Path("run").exists()
