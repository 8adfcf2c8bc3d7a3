"""The checksum in each file that Caffe writes: what is damaged is refused, by its name."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.reporters import Notes
from ul2q.models.caffemodel import WeightsError, read_caffemodel
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace

TAG_SIZE, FIELD_SIZE = 2, 6  # of the field that a message begins with
LINE_SIZE = 16  # of the line that an HDF5 file ends with
FORMATS = pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])


def written(workspace: Workspace, form: str) -> tuple[Any, Path, Path]:
    """A solver with a history, and the weights and the state of its snapshot."""
    solver = caffe.get_solver(str(workspace.solver(snapshot_format=form, test_interval=100)))
    solver.step(2)
    solver.snapshot()
    suffix = ".h5" if form == "HDF5" else ""
    return (
        solver,
        Path(f"mini_iter_2.caffemodel{suffix}"),
        Path(f"mini_iter_2.solverstate{suffix}"),
    )


def values(solver: Any) -> list[bytes]:
    """What a restore brings."""
    blobs = [blob.data.tobytes() for layer in solver.net.params.values() for blob in layer]
    return [*blobs, solver._resume_state(), bytes(solver.iter)]


@FORMATS
@pytest.mark.parametrize("kind", ["weights", "state"])
def test_no_changed_byte_changes_a_value(workspace: Workspace, form: str, kind: str) -> None:
    solver, weights, state = written(workspace, form)
    expected = values(solver)
    path = weights if kind == "weights" else state
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    places = range(0, len(whole), max(1, len(whole) // 300))
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        solver.net.params["ip"][0].data[...] = 0
        try:
            solver.restore(str(state))
        except (caffe.CaffeError, OSError) as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert values(solver) == expected, place
    # What says that there is a checksum may be what has changed.
    assert refused >= len(places) - (LINE_SIZE if form == "HDF5" else TAG_SIZE)


@FORMATS
def test_a_cut_file_is_refused(workspace: Workspace, form: str) -> None:
    solver, weights, _ = written(workspace, form)
    whole = weights.read_bytes()
    end = len(whole) - (LINE_SIZE if form == "HDF5" else 0)
    for size in range(0, end, max(1, end // 50)):
        weights.write_bytes(whole[:size])
        with pytest.raises(caffe.CaffeError, match=str(weights)):
            solver.net.copy_from(str(weights))


@FORMATS
def test_the_message_says_what_to_do(workspace: Workspace, form: str) -> None:
    solver, weights, state = written(workspace, form)
    for path, read in ((weights, solver.net.copy_from), (state, solver.restore)):
        whole = bytearray(path.read_bytes())
        at = whole.find(solver.net.params["ip"][0].data.tobytes()) if path == weights else 60
        assert at > 0
        whole[at + 3] ^= 4
        path.write_bytes(whole)
        with pytest.raises(caffe.CaffeError, match=rf"{path} is damaged: .*checksum.*snapshot"):
            read(str(path))
        if path == weights and form == "BINARYPROTO":
            with pytest.raises(WeightsError, match=rf"{path} is damaged: .*checksum"):
                read_caffemodel(path)


def test_a_message_begins_with_a_field_that_others_pass_over(workspace: Workspace) -> None:
    """The oracle is zlib's CRC-32; protobuf reads the file as any Caffe does."""
    solver, weights, _ = written(workspace, "BINARYPROTO")
    content = weights.read_bytes()
    assert content[:TAG_SIZE] == b"\xfd\x47"
    checksum = int.from_bytes(content[TAG_SIZE:FIELD_SIZE], "little")
    assert checksum == zlib.crc32(content[FIELD_SIZE:])
    stock = caffe_pb2.NetParameter.FromString(content)
    rest = caffe_pb2.NetParameter.FromString(content[FIELD_SIZE:])
    stock.DiscardUnknownFields()
    assert stock == rest
    assert [layer.name for layer in stock.layer] == [*solver.net._layer_names]


def test_an_hdf5_file_ends_with_a_line(workspace: Workspace) -> None:
    _, weights, _ = written(workspace, "HDF5")
    content = weights.read_bytes()
    whole, line = content[:-LINE_SIZE], content[-LINE_SIZE:]
    assert line == b"\ncrc32 %08x\n" % zlib.crc32(whole)


@FORMATS
def test_files_without_a_checksum_are_taken(workspace: Workspace, form: str) -> None:
    """Such are BVLC's own, and those that another program has read and written."""
    solver, weights, state = written(workspace, form)
    expected = values(solver)
    for path in (weights, state):
        content = path.read_bytes()
        path.write_bytes(content[FIELD_SIZE:] if form == "BINARYPROTO" else content[:-LINE_SIZE])
    solver.step(1)
    solver.restore(str(state))
    assert values(solver) == expected


def test_a_message_that_was_changed_is_taken(workspace: Workspace) -> None:
    """protobuf keeps fields that it does not know, but puts them last."""
    solver, weights, _ = written(workspace, "BINARYPROTO")
    message = caffe_pb2.NetParameter.FromString(weights.read_bytes())
    (ip,) = (layer for layer in message.layer if layer.name == "ip")
    ip.blobs[0].data[0] = 7
    weights.write_bytes(message.SerializeToString())
    solver.net.copy_from(str(weights))
    assert solver.net.params["ip"][0].data.flat[0] == 7
    solver.net.save("again.caffemodel")
    solver.net.copy_from("again.caffemodel")


@FORMATS
def test_the_same_values_give_the_same_bytes(workspace: Workspace, form: str) -> None:
    """Also in HDF5 files, whose data sets have no time."""
    solver, weights, state = written(workspace, form)
    before = [path.read_bytes() for path in (weights, state)]
    times = [path.stat().st_mtime for path in (weights, state)]
    while Path().stat().st_mtime < max(times) + 1.1:  # HDF5's times are whole seconds
        Path("tick").touch()
        Path("tick").unlink()
    solver.snapshot()
    assert [path.read_bytes() for path in (weights, state)] == before


@FORMATS
def test_a_run_goes_on_from_the_snapshot_before_a_damaged_one(
    workspace: Workspace, form: str
) -> None:
    solver = workspace.solver(snapshot=5, snapshot_format=form)
    train(solver, run=Path("run"), settings=["max_iter=10"])
    (weights,) = Path("run").glob("mini_iter_10.caffemodel*")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    notes = Notes()
    assert train(solver, run=Path("run"), resume=True, progress=notes).iterations == 20
    assert "cannot be used" in notes.warnings[0]
    assert f"{weights} is damaged: its checksum" in notes.warnings[0]
    assert "mini_iter_5.solverstate" in notes.notes[0]
