"""Files of the fork, and what is written for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from tests.quantization_caffe.fork_formulas import clip_of_the_fork
from tests.quantization_caffe.fork_nets import NETS, fork_caffemodel, net_of
from ul2q.evaluation import evaluate
from ul2q.models.caffemodel import WeightsError
from ul2q.quantization_caffe import import_files, import_net
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from tests.conftest import Workspace


def test_nothing_is_overwritten_without_force(workspace: Workspace) -> None:
    source = NETS / "methods_deploy.prototxt"
    weights = workspace.write("w.caffemodel", "")
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    fork_caffemodel(built, weights)
    old = workspace.write("out.caffemodel", "old")
    with pytest.raises(OutputExistsError, match=r"out\.caffemodel .*--force"):
        import_files(source, weights, output=Path("out.prototxt"))
    assert old.read_text() == "old"
    assert not Path("out.prototxt").exists()
    workspace.write("net.prototxt", "old")
    with pytest.raises(OutputExistsError, match=r"net\.prototxt .*--force"):
        import_files(source, weights, output=Path("net.prototxt"))
    assert not Path("net.caffemodel").exists()
    import_files(source, weights, output=Path("out.prototxt"), force=True)
    assert caffe.Net("out.prototxt", caffe.TEST, weights="out.caffemodel").params
    assert not list(Path().glob(".*part"))


def test_outputs_that_cannot_be(workspace: Workspace) -> None:
    source, weights = NETS / "methods_deploy.prototxt", workspace.write("w.caffemodel", "")
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        import_files(source, output=Path("gone"))
    with pytest.raises(WeightsError, match="another suffix"):
        import_files(source, weights, output=Path("out.caffemodel"))


@pytest.mark.parametrize("name", ["lenet_ulq", "activations"])
def test_an_imported_net_trains(workspace: Workspace, name: str) -> None:
    imported = import_files(NETS / f"{name}.prototxt", output=workspace.folder)
    path = workspace.solver(net=f'"{imported.net_path}"', base_lr=0.02, stepsize=100)
    solver = caffe.get_solver(str(path))
    losses = []
    for _ in range(40):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])
    accuracy = [float(solver.test_nets[0].forward()["accuracy"]) for _ in range(4)]
    assert np.mean(accuracy) > 0.6


def test_an_imported_caffemodel_is_tested_as_in_the_fork(workspace: Workspace) -> None:
    source = NETS / "activations.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    for blobs in built.params.values():  # averages, too, which the fork does not have
        for blob in blobs:
            blob.data[...] = np.random.default_rng(2).standard_normal(blob.shape)
    layers = [name for name in built.params if not name.endswith("_q")]
    fork_caffemodel(built, Path("act.caffemodel"), layers=layers)
    imported = import_files(source, Path("act.caffemodel"), output=workspace.folder)
    assert imported.weights_path
    assert evaluate(imported.net_path, imported.weights_path)["loss"] > 0
    net = caffe.Net(str(imported.net_path), caffe.TEST, weights=str(imported.weights_path))
    net.forward(end="conv1_q")
    conv1, quantized = (net.blobs[name].data for name in ("conv1", "conv1_q"))
    expected = clip_of_the_fork(conv1.astype(float))
    step = np.abs(conv1).max() / 127
    assert np.abs(quantized - expected).mean() < 0.4 * step
    assert np.abs(quantized - conv1).mean() > 0.2 * step
