"""Blobs of caffemodels of every format, written by protobuf and by Caffe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import WeightsError, read_blobs

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = np.arange(6.0).reshape(2, 3)
SHAPE = {"dim": [2, 3]}
V1 = caffe_pb2.V1LayerParameter


def net(**fields: Any) -> bytes:
    return bytes(caffe_pb2.NetParameter(**fields).SerializeToString())


def layer(**blob: Any) -> dict[str, Any]:
    return {"name": "l", "type": "InnerProduct", "blobs": [blob]}


FORMATS: list[tuple[str, bytes, str, tuple[int, ...], Any]] = [
    ("today's", net(layer=[layer(shape=SHAPE, data=range(6))]), "InnerProduct", (2, 3), np.float32),
    (
        "float64",
        net(layer=[layer(shape=SHAPE, double_data=range(6))]),
        "InnerProduct",
        (2, 3),
        np.float64,
    ),
    (
        "four axes",
        net(layer=[layer(num=1, channels=1, height=2, width=3, data=range(6))]),
        "InnerProduct",
        (1, 1, 2, 3),
        np.float32,
    ),
    (
        "V1",
        net(
            layers=[
                {
                    "name": "l",
                    "type": V1.INNER_PRODUCT,
                    "blobs": [{"shape": SHAPE, "data": [*range(6)]}],
                }
            ]
        ),
        "InnerProduct",
        (2, 3),
        np.float32,
    ),
    (
        "V0",
        net(
            layers=[
                {
                    "layer": {
                        "name": "l",
                        "type": "conv",
                        "blobs": [
                            {"num": 2, "channels": 3, "height": 1, "width": 1, "data": [*range(6)]}
                        ],
                    }
                }
            ]
        ),
        "Convolution",
        (2, 3, 1, 1),
        np.float32,
    ),
]


@pytest.mark.parametrize(
    ("content", "kind", "shape", "dtype"),
    [case[1:] for case in FORMATS],
    ids=[c[0] for c in FORMATS],
)
def test_formats(
    content: bytes, kind: str, shape: tuple[int, ...], dtype: Any, tmp_path: Path
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    (blob,) = read_blobs(path)
    assert (blob.layer, blob.type, blob.index, blob.name) == ("l", kind, 0, "l[0]")
    assert blob.values.dtype == dtype
    assert np.array_equal(blob.values, WEIGHTS.reshape(shape))


@pytest.mark.parametrize("v1", ["CONVOLUTION", "DECONVOLUTION", "INNER_PRODUCT"])
def test_types_of_v1_are_layers_of_today(v1: str, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(layers=[{"type": V1.LayerType.Value(v1), "blobs": [{"data": [1]}]}]))
    (blob,) = read_blobs(path)
    assert blob.type in caffe.layer_type_list()
    assert blob.type.upper() == v1.replace("_", "")


def test_what_caffe_saves(tmp_path: Path) -> None:
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(
        'layer { name: "x" type: "Input" top: "x" '
        "input_param { shape { dim: 1 dim: 2 dim: 8 dim: 8 } } }"
        'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param '
        '{ num_output: 3 kernel_size: 5 weight_filler { type: "xavier" } '
        'bias_filler { type: "xavier" } } }'
        'layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" }',
        encoding="utf-8",
    )
    source = caffe.Net(str(prototxt), caffe.TEST)
    path = tmp_path / "net.caffemodel"
    source.save(str(path))
    blobs = read_blobs(path)
    assert [blob.name for blob in blobs] == ["c[0]", "c[1]", "b[0]", "b[1]", "b[2]"]
    for blob in blobs:
        assert np.array_equal(blob.values, source.params[blob.layer][blob.index].data)


def test_an_empty_blob_and_a_scalar(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(layer=[layer(shape={"dim": [0, 3]}), layer(shape={}, data=[2])]))
    assert [blob.values.tolist() for blob in read_blobs(path)] == [[], 2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no model", "is damaged or no .caffemodel"),
        (net(layer=[layer(shape=SHAPE, data=range(6))])[:-3], "is damaged or no .caffemodel"),
        (b"", "holds no weights"),
        (net(layer=[{"name": "l"}]), "holds no weights"),
        (
            net(layer=[layer(shape=SHAPE, data=range(5))]),
            r"blob l\[0\] has 5 values for the shape \(2, 3\)",
        ),
        (net(layer=[layer(shape={"dim": [-1, -6]}, data=range(6))]), r"the shape \(-1, -6\)"),
        (net(layer=[layer(shape={"dim": [2**40, 2**40]})]), "has 0 values"),
    ],
)
def test_damaged_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as error:
        read_blobs(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("net.solverstate", "solver state"), ("net.caffemodel.h5", "HDF5: make a .caffemodel")],
)
def test_other_files(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsError, match=message):
        read_blobs(tmp_path / name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        read_blobs(tmp_path / "net.caffemodel")
