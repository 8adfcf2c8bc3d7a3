"""Every public function takes a path as a string and as an object that stands for one."""

from __future__ import annotations

import inspect
import io
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import caffe
import numpy as np
import pytest
from PIL import Image

import ul2q
import ul2q.calibration
import ul2q.data
import ul2q.evaluation
import ul2q.models.caffemodel
import ul2q.models.inspection
import ul2q.models.weights
import ul2q.nets.data_layers
import ul2q.nets.deploy
import ul2q.nets.prototxt
import ul2q.nets.rewriter
import ul2q.quantization_caffe
import ul2q.report.runs
import ul2q.simulation
import ul2q.sweep.runner
import ul2q.sweep.spec
import ul2q.training

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Workspace


class OnlyPathLike:
    """What has no method of `pathlib.Path`, and is no string."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return self._path


Give: TypeAlias = "Callable[[str], Any]"
NET, WEIGHTS, SOLVER = "net.prototxt", "mini.caffemodel", "solver.prototxt"


def train(give: Give) -> None:
    caffe.Net(NET, caffe.TEST).save(WEIGHTS)
    ul2q.training.train(
        give(SOLVER), weights=give(WEIGHTS), run=give("run"), data=give("data"), best=True
    )
    ul2q.training.train(
        give(SOLVER),
        snapshot=give("run/mini_iter_20.solverstate"),
        run=give("run"),
        settings=["max_iter=22"],
    )
    assert Path("run/log.csv").is_file()


def report(give: Give) -> None:
    ul2q.training.train(SOLVER, run="run")
    ul2q.report.write_report(give("run"), give("one.html"), files=give("files"))
    ul2q.report.write_report([give("run")], give("list.html"))
    assert Path("one.html").is_file()
    assert Path("list.html").is_file()
    (run,) = ul2q.report.runs.read_runs(give("run"))
    assert run.folder == Path("run")


def evaluate(give: Give) -> None:
    caffe.Net(NET, caffe.TEST).save(WEIGHTS)
    assert "accuracy" in ul2q.evaluation.evaluate(give(NET), give(WEIGHTS), data=give("data"))


def calibrate(give: Give) -> None:
    text = Path(NET).read_text(encoding="utf-8") + (
        'layer { name: "q" type: "QuantizedActivation" bottom: "ip" top: "q" '
        "quantization_param { activation { bits: 8 } } }"
    )
    Path(NET).write_text(text, encoding="utf-8")
    caffe.Net(NET, caffe.TEST).save(WEIGHTS)
    output = ul2q.calibration.default_output(give(WEIGHTS))
    ul2q.calibration.calibrate(give(NET), give(WEIGHTS), give(str(output)), data=give("data"))
    assert output.is_file()


def nets(give: Give) -> None:
    options = ul2q.NetQuantization(weight_bits=2)
    assert "QuantizedInnerProduct" in ul2q.quantize_net(give(NET), options).text
    assert ul2q.nets.rewriter.default_output(give(NET), options) == Path("net_2bit.prototxt")
    assert ul2q.nets.prototxt.read_net(give(NET)).name == "mini"
    assert ul2q.nets.prototxt.read_solver(give(SOLVER)).max_iter == 20
    assert "Softmax" in ul2q.nets.deploy.deploy_net(give(NET), {"data": (1, 8, 8)})
    assert ul2q.nets.data_layers.lmdb_entries(give("data/test_lmdb")) == 20


def models(give: Give) -> None:
    net = caffe.Net(NET, caffe.TEST)
    net.save(WEIGHTS)
    rows = ul2q.models.inspection.inspect_model(
        give(WEIGHTS), figure=give("f.png"), csv=give("f.csv")
    )
    assert [(row.layer, row.blob) for row in rows] == [("ip", 0), ("ip", 1)]
    assert Path("f.png").is_file()
    assert Path("f.csv").is_file()
    ul2q.models.weights.load_weights(net, give(WEIGHTS), complete=True)
    assert ul2q.models.caffemodel.read_caffemodel(give(WEIGHTS)).name == "mini"


def fork(give: Give) -> None:
    text = Path(NET).read_text(encoding="utf-8")
    changed = text.replace('type: "InnerProduct"', 'type: "InnerProduct" weights_compress: "ULQ"')
    Path("fork.prototxt").write_text(changed, encoding="utf-8")
    caffe.Net(NET, caffe.TEST).save("fork.caffemodel")
    package = ul2q.quantization_caffe
    package.import_files(give("fork.prototxt"), give("fork.caffemodel"), output=give("o.prototxt"))
    assert Path("o.prototxt").is_file()
    package.import_net(give("fork.prototxt"))
    package.import_weights(give("fork.caffemodel"))


def folder(give: Give) -> None:
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        for name in "ab":
            (Path(split) / name).mkdir(parents=True)
            pixels = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(Path(split) / name / "1.png")
    dataset = ul2q.data.import_folder(give("train"), give("test"), give("out"), jobs=1)
    assert dataset.train == Path("out/train_lmdb")
    assert ul2q.data.count_records(give("out/train_lmdb")) == 2
    pixels = np.zeros((1, 2, 2), np.uint8)
    ul2q.data.write_lmdb(give("more"), [(pixels, 0)], total=1)
    assert Path("more/data.mdb").is_file()


def simulation(give: Give) -> None:
    settings = ul2q.simulation.Simulation(samples=100, bits=(2,))
    ul2q.simulation.run(settings, give("simulated"), figures=False)
    assert Path("simulated/losses.csv").is_file()


def sweep(give: Give) -> None:
    Path("sweep.yaml").write_text("", encoding="utf-8")
    with pytest.raises(ul2q.errors.UserError, match=r"sweep\.yaml"):
        ul2q.sweep.spec.read_spec(give("sweep.yaml"))
    runs: list[Any] = []
    ul2q.sweep.runner.run_sweep(runs, give("runs"), order=[], spec="", stream=io.StringIO())
    assert Path("runs/results.csv").is_file()


@pytest.mark.parametrize("give", [str, Path, OnlyPathLike])
@pytest.mark.parametrize(
    "call",
    [calibrate, evaluate, folder, fork, models, nets, report, simulation, sweep, train],
    ids=lambda call: call.__name__,
)
def test_paths_of_any_kind(workspace: Workspace, call: Callable[[Give], None], give: Give) -> None:
    del workspace
    call(give)


# What is not there is told by its name.
MISSING: list[Callable[[Give], object]] = [
    lambda give: ul2q.data.import_mnist(give("nothing"), give("out")),
    lambda give: ul2q.data.import_fashion_mnist(give("out"), source=give("nothing")),
    lambda give: ul2q.data.import_cifar10(give("nothing"), give("out")),
    lambda give: ul2q.data.import_imagenet(
        give("nothing"), give("val"), give("labels"), give("out")
    ),
    lambda give: ul2q.data.read_idx(give("nothing")),
]


@pytest.mark.parametrize("give", [str, OnlyPathLike])
@pytest.mark.parametrize("call", MISSING)
def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[Give], object], give: Give
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        call(give)


@pytest.mark.parametrize(
    "package", ["data", "quantization_caffe", "report", "simulation", "training"]
)
def test_no_public_function_asks_for_a_path_object(package: str) -> None:
    module = import_module(f"ul2q.{package}")
    for name in module.__all__:
        value = getattr(module, name)
        if not inspect.isfunction(value):
            continue
        for parameter in inspect.signature(value).parameters.values():
            words = str(parameter.annotation).replace("StrPath", "").split("|")
            assert not any(word.strip() in ("Path", "Sequence[Path]") for word in words), (
                f"{package}.{name}: {parameter}"
            )
