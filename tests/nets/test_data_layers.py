"""Data layers that are let read another folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from caffe.proto import caffe_pb2

from ul2q.data import IMPORTERS
from ul2q.nets import data_layers

TRAIN = caffe_pb2.NetState(phase=caffe_pb2.TRAIN)


def net_with_mean(mean_file: str) -> caffe_pb2.NetParameter:
    net = caffe_pb2.NetParameter(name="net")
    layer = net.layer.add(name="pixels", type="Data")
    layer.data_param.source = "data/cifar10/train_lmdb"
    layer.transform_param.mean_file = mean_file
    return net


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cifar10/train_lmdb").mkdir(parents=True)
    (tmp_path / "cifar10/train_lmdb/data.mdb").touch()
    return tmp_path / "cifar10"


@pytest.mark.parametrize(
    ("mean_file", "moves"),
    [
        ("data/cifar10/mean.binaryproto", True),
        ("data/cifar10/another.binaryproto", True),
        ("means/mean.binaryproto", False),
        ("data/mean.binaryproto", False),
        ("/data/cifar10/mean.binaryproto", False),
    ],
)
def test_the_mean_beside_a_database_moves_with_it(
    folder: Path, mean_file: str, moves: bool
) -> None:
    moved = folder / Path(mean_file).name
    moved.touch()
    net = net_with_mean(mean_file)
    data_layers.use_folder(net, TRAIN, folder)
    assert net.layer[0].data_param.source == str(folder / "train_lmdb")
    assert net.layer[0].transform_param.mean_file == (str(moved) if moves else mean_file)


def test_a_net_without_a_mean_stays_without(folder: Path) -> None:
    net = net_with_mean("")
    net.layer[0].ClearField("transform_param")
    data_layers.use_folder(net, TRAIN, folder)
    assert not net.layer[0].HasField("transform_param")


def test_a_missing_mean_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        data_layers.use_folder(net_with_mean("data/cifar10/mean.binaryproto"), TRAIN, folder)
    for word in (str(folder / "mean.binaryproto"), "'pixels'", "mean_file", "ul2q data cifar10"):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", [importer.name for importer in IMPORTERS])
def test_a_missing_database_comes_with_the_command_that_makes_it(name: str) -> None:
    net = net_with_mean("")
    net.layer[0].data_param.source = f"gone/{name}/train_lmdb"
    net.layer[0].data_param.backend = caffe_pb2.DataParameter.LMDB
    with pytest.raises(FileNotFoundError, match=f"ul2q data {name} ") as caught:
        data_layers.sources(net, TRAIN)
    assert f"-o gone/{name}`" in str(caught.value)


def test_any_importer_may_make_a_folder_of_another_name() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        data_layers.use_folder(net_with_mean(""), TRAIN, Path())
    for importer in IMPORTERS:
        assert f"`ul2q data {importer.name} " in str(caught.value)
