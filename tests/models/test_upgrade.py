"""Files of old formats."""

from __future__ import annotations

from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.nets.test_upgrade import TODAY, V0, V1
from ul2q.cli import main
from ul2q.models.caffemodel import WeightsError, read_caffemodel
from ul2q.models.upgrade import UpgradedFile, upgrade_files
from ul2q.util.output_file import OutputExistsError

SHAPES = {"conv1": [(4, 3, 3, 3), (1, 1, 1, 4)], "fc": [(1, 1, 2, 64), (1, 1, 1, 2)]}


def old_weights(path: Path) -> dict[str, list[bytes]]:
    """Write a caffemodel of 2014; the bytes of its blobs."""
    rng = np.random.default_rng(1)
    model = caffe_pb2.NetParameter(name="old")
    kinds = {"conv1": caffe_pb2.V1LayerParameter.CONVOLUTION}
    written: dict[str, list[bytes]] = {}
    for name, shapes in SHAPES.items():
        kind = kinds.get(name, caffe_pb2.V1LayerParameter.INNER_PRODUCT)
        layer = model.layers.add(name=name, type=kind)
        for shape in shapes:
            values = rng.standard_normal(shape).astype(np.float32)
            num, channels, height, width = shape
            layer.blobs.add(
                num=num, channels=channels, height=height, width=width, data=values.ravel()
            )
            written.setdefault(name, []).append(values.tobytes())
    path.write_bytes(model.SerializeToString())
    return written


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("v0.prototxt").write_text(V0)
    Path("v1.prototxt").write_text(V1)
    Path("today.prototxt").write_text(TODAY)
    return tmp_path


def test_a_net_and_its_weights(folder: Path) -> None:
    del folder
    written = old_weights(Path("old.caffemodel"))
    rows = upgrade_files(["v1.prototxt", "old.caffemodel"])
    outputs = [Path("v1_upgraded.prototxt"), Path("old_upgraded.caffemodel")]
    assert [row.output for row in rows] == outputs
    assert outputs[0].read_text() == TODAY
    model = read_caffemodel(outputs[1])
    assert [(layer.name, layer.type) for layer in model.layer] == [
        ("conv1", "Convolution"),
        ("fc", "InnerProduct"),
    ]
    assert not model.layers
    net = caffe.Net(str(outputs[0]), caffe.TEST, weights=str(outputs[1]))
    assert {
        name: [blob.data.tobytes() for blob in blobs] for name, blobs in net.params.items()
    } == written


@pytest.mark.usefixtures("folder")
def test_what_is_of_today_is_left_alone() -> None:
    assert upgrade_files(["today.prototxt"]) == [UpgradedFile(Path("today.prototxt"), None)]
    assert not Path("today_upgraded.prototxt").exists()


@pytest.mark.usefixtures("folder")
def test_nothing_is_written_if_something_is_wrong() -> None:
    Path("bad.caffemodel").write_bytes(b"\xff" * 9)
    with pytest.raises(WeightsError, match="damaged"):
        upgrade_files(["v1.prototxt", "bad.caffemodel"])
    with pytest.raises(WeightsError, match="HDF5"):
        upgrade_files(["v1.prototxt", "net.caffemodel.h5"])
    with pytest.raises(FileNotFoundError, match="no such folder"):
        upgrade_files(["v0.prototxt", "v1.prototxt"], "new")
    Path("v1_upgraded.prototxt").write_text("mine")
    with pytest.raises(OutputExistsError):
        upgrade_files(["v0.prototxt", "v1.prototxt"])
    assert not Path("v0_upgraded.prototxt").exists()
    assert Path("v1_upgraded.prototxt").read_text() == "mine"


@pytest.mark.usefixtures("folder")
def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", "v0.prototxt", "-o", "new.prototxt"]) == 0
    assert capsys.readouterr().out == "v0.prototxt -> new.prototxt\n"
    assert Path("new.prototxt").read_text() == TODAY
    assert main(["upgrade", "new.prototxt"]) == 0
    assert "nothing is written" in capsys.readouterr().out
    assert main(["upgrade", "gone.prototxt"]) == 1
    assert "gone.prototxt" in capsys.readouterr().err
