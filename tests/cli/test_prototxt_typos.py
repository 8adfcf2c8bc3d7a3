"""Typos in prototxts: `ul2q train` refuses each, says where it is and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.wrong_workspace import check, fill, refusal_of
from tests.conftest import NET, SOLVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SOLVER = "".join(f"{key}: {value}\n" for key, value in SOLVER.items())
_IP = 'type: "InnerProduct"'
_QUANTIZED = 'type: "QuantizedInnerProduct" quantization_param {'
_DROP = 'layer { name: "drop" type: "Dropout" bottom: "ip" top: "drop" }'
_CONVOLUTION = (
    'layer { name: "drop" type: "Convolution" bottom: "data" top: "drop" convolution_param {'
)

# What is wrong, what stands in the right text, what in the wrong one, and words that must appear.
_Typo = tuple[str, str, str, tuple[str, ...]]

NETS: list[_Typo] = [
    ("a misspelt field", "inner_product_param", "inner_prodct_param",
     ("net.prototxt:9:3", "did you mean 'inner_product_param'")),
    ("a misspelt field within", "num_output", "num_outputs",
     ("net.prototxt:9:25", "did you mean 'num_output'")),
    ("a misspelt layer", 'layer { name: "ip"', 'layr { name: "ip"',
     ("net.prototxt:8:1", "did you mean 'layer'")),
    ("a } missing", "std: 0.1 } } }", "std: 0.1 } }",
     ("net.prototxt:10:1", "a } is missing before 'layer'", 'layer "ip" in line 8')),
    ("the last } missing", "include { phase: TEST } }\n", "include { phase: TEST }\n",
     ("a } is missing", "net.prototxt:")),
    ("a } too many", "std: 0.1 } } }", "std: 0.1 } } } }", ("net.prototxt:9:87", "a } too many")),
    ("a { missing", "inner_product_param {", "inner_product_param",
     ("net.prototxt:9:23", "a { is missing", "inner_product_param { ... }")),
    ("a quote missing", _IP, 'type: "InnerProduct', ("net.prototxt:8:", 'a " is missing')),
    ("both quotes missing", _IP, "type: InnerProduct",
     ("net.prototxt:8:26", 'type: "InnerProduct"')),
    ("a colon missing", _IP, 'type "InnerProduct"', ("net.prototxt:8:25", "colon", "type:")),
    ("an equals sign", "num_output: 4", "num_output = 4", ("net.prototxt:9:36", "num_output:")),
    ("a comment of C++", 'name: "mini"', '// mine\nname: "mini"', ("net.prototxt:1:1", "with #")),
    ("a phase", "phase: TRAIN", "phase: TRIAN", ("net.prototxt:2:77", "'TRAIN'", "TEST")),
    ("a phase in lower case", "phase: TRAIN", "phase: train", ("net.prototxt:2:77", "'TRAIN'")),
    ("a backend", "backend: LMDB", "backend: LMBD", ("net.prototxt:4:", "'LMDB'", "LEVELDB")),
    ("no backend", " backend: LMDB", "", ("layer 'data'", "add backend: LMDB")),
    ("the format of 2013", 'layer { name: "ip"', 'layers { name: "ip"',
     ("net.prototxt:8:", "2013/14", "`layer`")),
    ("an unknown bottom", 'bottom: "data" top: "ip"', 'bottom: "dta" top: "ip"',
     ("net.prototxt:8: ", "'ip'", "'dta'", 'Did you mean "data"?')),
    ("two layers of one name", 'name: "drop"', 'name: "ip"',
     ("net.prototxt:10: ", "'ip'", "Dropout", "InnerProduct", "line 8")),
    ("two tops of one name", 'top: "drop" }', 'top: "data" }',
     ("net.prototxt:", "'loss'", "Unknown bottom blob 'drop'")),
    ("a type in lower case", _IP, 'type: "innerproduct"',
     ("net.prototxt:8: ", "'ip'", "did you mean 'InnerProduct'")),
    ("a misspelt type", 'type: "Dropout"', 'type: "Dropuot"',
     ("net.prototxt:10: ", "'drop'", "did you mean 'Dropout'")),
    ("no type", 'type: "Dropout" ', "", ("net.prototxt:10: ", "'drop'", "no type")),
    ("no data source", 'source: "data/train_lmdb" ', "",
     ("layer 'data'", "data_param.source is missing", "--data")),
    ("a misspelt data source", "data/train_lmdb", "data/trian_lmdb",
     ("layer 'data'", "data/trian_lmdb", "ul2q data", "--data")),
    ("a mean file", "scale: 0.00390625", 'mean_file: "gone.binaryproto"',
     ("Layer 'data'", "gone.binaryproto", "No such file")),
    ("batch_size 0", "batch_size: 10", "batch_size: 0",
     ("net.prototxt:2 or 5: ", "'data'", "batch_size must be positive")),
    ("no batch_size", "batch_size: 10 ", "", ("'data'", "data_param.batch_size must be positive")),
    ("a crop", "scale: 0.00390625", "crop_size: 30",
     ("net.prototxt:2 or 5: ", "'data'", "transform_param.crop_size", "larger than the image")),
    ("0 bits", _IP, f"{_QUANTIZED} weight {{ bits: 0 }} }}",
     ("net.prototxt:8: ", "'ip'", "quantization_param.weight.bits is 0", "1 to 16")),
    ("17 bits", _IP, f"{_QUANTIZED} weight {{ bits: 17 }} }}",
     ("net.prototxt:8: ", "'ip'", "quantization_param.weight.bits is 17", "1 to 16")),
    ('"two" bits', _IP, f'{_QUANTIZED} weight {{ bits: "two" }} }}',
     ("net.prototxt:8:86", "bits takes an integer")),
    ("bits in quotes", _IP, f'{_QUANTIZED} weight {{ bits: "2" }} }}',
     ("net.prototxt:8:86", "bits takes an integer without quotes")),
    ("no bits", _IP, f"{_QUANTIZED} weight {{ }} }}",
     ("net.prototxt:8: ", "'ip'", "quantization_param { weight { bits: N } }")),
    ("a method", _IP, f"{_QUANTIZED} weight {{ bits: 2 method: ULQ2 }} }}",
     ("net.prototxt:8:96", "'UL2Q'", "TERNARY")),
    ("weights for weight", _IP, f"{_QUANTIZED} weights {{ bits: 2 }} }}",
     ("net.prototxt:8:71", "'weight'")),
    ("bits of a float layer", _IP, f"{_IP} quantization_param {{ weight {{ bits: 2 }} }}",
     ("net.prototxt:8: ", "'ip'", '"QuantizedInnerProduct"')),
    ("bits of a Dropout", 'type: "Dropout"', 'type: "Dropout" quantization_param { }',
     ("net.prototxt:10: ", "'drop'", "remove it")),
    ("activation bits of weights", _IP, f"{_QUANTIZED} activation {{ bits: 2 }} }}",
     ("net.prototxt:8: ", "'ip'", "QuantizedActivation")),
    ("British English", _IP, 'type: "QuantisedInnerProduct"', ("'QuantizedInnerProduct'",)),
    ("no num_output", "num_output: 4 ", "",
     ("net.prototxt:8: ", "'ip'", "inner_product_param.num_output must be positive")),
    ("num_output below 0", "num_output: 4", "num_output: -4",
     ("net.prototxt:9:37", "num_output is -4", "0 to 4294967295")),
    ("num_output with a point", "num_output: 4", "num_output: 4.5",
     ("net.prototxt:9:37", "num_output takes an integer", "4.5")),
    ("num_output twice", "num_output: 4", "num_output: 4 num_output: 5",
     ("net.prototxt:9:51", "num_output is given twice")),
    ("too few outputs", "num_output: 4", "num_output: 2", ("'loss'", "label", "0..1")),
    ("a filler", '"gaussian"', '"gausian"',
     ("net.prototxt:8: ", "'ip'", "gausian", 'Did you mean "gaussian"?')),
    ("a filler's std", "std: 0.1", "std: -0.1", ("net.prototxt:8: ", "'ip'", "std", "positive")),
    ("a loss without labels", ' bottom: "label" top: "loss"', ' top: "loss"',
     ("net.prototxt:11: ", "'loss'", "takes 2 bottom")),
    ("three params", _IP, f"{_IP} param {{ }} param {{ }} param {{ }}",
     ("net.prototxt:8: ", "Too many params", "'ip'")),
    ("include and exclude", "include { phase: TRAIN }", "include { } exclude { }",
     ("net.prototxt", "include", "exclude", "not both")),
    ("no kernel", _DROP, f"{_CONVOLUTION} num_output: 4 }} }}",
     ("net.prototxt:10: ", "'drop'", "kernel_size must be specified")),
    ("a large kernel", _DROP, f"{_CONVOLUTION} num_output: 4 kernel_size: 9 }} }}",
     ("net.prototxt:10: ", "'drop'", "kernel", "larger than the padded input")),
    ("a stride of 0", _DROP, f"{_CONVOLUTION} num_output: 4 kernel_size: 3 stride: 0 }} }}",
     ("net.prototxt:10: ", "'drop'", "Stride", "nonzero")),
    ("a pad below 0", _DROP, f"{_CONVOLUTION} num_output: 4 kernel_size: 3 pad: -1 }} }}",
     ("net.prototxt:10:", "pad is -1", "0 to 4294967295")),
    ("groups", _DROP, f"{_CONVOLUTION} num_output: 3 kernel_size: 3 group: 3 }} }}",
     ("net.prototxt:10: ", "'drop'", "group is 3", "1 channels")),
    ("a dropout of 2", 'top: "drop" }', 'top: "drop" dropout_param { dropout_ratio: 2 } }',
     ("net.prototxt:10: ", "'drop'", "dropout_ratio is 2", "[0, 1)")),
]  # fmt: skip

SOLVERS: list[_Typo] = [
    ("a misspelt field", "max_iter", "max_itr", ("solver.prototxt:7:1", "'max_iter'")),
    ("max_iter in quotes", "max_iter: 20", 'max_iter: "20"',
     ("solver.prototxt:7:11", "max_iter takes an integer without quotes")),
    ("a word for max_iter", "max_iter: 20", "max_iter: many",
     ("solver.prototxt:7:11", "max_iter takes an integer", "many")),
    ("no max_iter", "max_iter: 20\n", "", ("solver.prototxt", "max_iter", "missing")),
    ("max_iter below 0", "max_iter: 20", "max_iter: -20", ("solver.prototxt", "at least 1")),
    ("max_iter twice", "max_iter: 20", "max_iter: 20 max_iter: 30",
     ("solver.prototxt:7:24", "max_iter is given twice")),
    ("a policy", '"step"', '"stepp"',
     ("solver.prototxt", "lr_policy", "did you mean 'step'", "fixed, step")),
    ("a policy without quotes", '"step"', "step", ("solver.prototxt:3:12", 'lr_policy: "step"')),
    ("no policy", 'lr_policy: "step"\n', "", ("solver.prototxt", "lr_policy is missing", "fixed")),
    ("no stepsize", "stepsize: 8\n", "", ("solver.prototxt", '"step" needs stepsize')),
    ("stepsize 0", "stepsize: 8", "stepsize: 0", ("solver.prototxt", "stepsize", "at least 1")),
    ("no gamma", "gamma: 0.5\n", "", ("solver.prototxt", '"step" needs gamma')),
    ("no stepvalue", '"step"', '"multistep"', ("solver.prototxt", '"multistep" needs stepvalue')),
    ("falling stepvalues", '"step"', '"multistep" stepvalue: 9 stepvalue: 5',
     ("solver.prototxt", "stepvalue", "grow", "9, 5")),
    ("no base_lr", "base_lr: 0.1\n", "", ("solver.prototxt", "base_lr is missing")),
    ("base_lr below 0", "base_lr: 0.1", "base_lr: -0.1", ("base_lr", "0 or more", "-0.1")),
    ("a comma", "base_lr: 0.1", "base_lr: 0,1", ("solver.prototxt:2:", "base_lr", "a point")),
    ("momentum above 1", "momentum: 0.9", "momentum: 9", ("momentum", "below 1", "9")),
    ("no net", 'net: "net.prototxt"\n', "", ("solver.prototxt", "net", "none")),
    ("a misspelt net", '"net.prototxt"', '"nett.prototxt"',
     ("solver.prototxt", "'nett.prototxt'", "did you mean 'net.prototxt'")),
    ("the solver for the net", '"net.prototxt"', '"solver.prototxt"',
     ("solver.prototxt:1:1", "this is a solver", "a net's prototxt")),
    ("a net without quotes", '"net.prototxt"', "net.prototxt", (":1:6", "in quotes")),
    ("no test_interval", "test_interval: 5\n", "", ("test_iter", "test_interval", "at least 1")),
    ("test_iter 0", "test_iter: 4", "test_iter: 0", ("solver.prototxt", "test_iter", "at least 1")),
    ("a mode in lower case", "momentum", "solver_mode: cpu momentum",
     ("solver.prototxt:6:14", "CPU, GPU")),
    ("a type", "momentum", 'type: "SDG" momentum', ("solver.prototxt", 'Did you mean "SGD"?')),
    ("momentum of AdaGrad", "momentum", 'type: "AdaGrad" momentum',
     ("solver.prototxt", "Momentum cannot be used with AdaGrad")),
    ("a regularization", "momentum", 'regularization_type: "L3" momentum',
     ("solver.prototxt", "regularization_type", "L2, L1")),
    ("a quote missing", '"mini"', '"mini', ("solver.prototxt:11:", 'a " is missing')),
    ("a } missing", "max_iter", "train_state { level: 1\nmax_iter",
     ("solver.prototxt:8:1", "a } is missing before 'max_iter'", "train_state in line 7")),
    ("a } too many", "max_iter: 20", "max_iter: 20 }", ("solver.prototxt:7:14", "a } too many")),
    ("weights", "max_iter", 'weights: "minni.caffemodel" max_iter',
     ("minni.caffemodel", "did you mean 'mini.caffemodel'")),
    ("no clipping", "max_iter", "clip_gradients: 0 max_iter", ("clip_gradients is 0", "-1")),
    ("display below 0", "display: 2", "display: -2", ("solver.prototxt", "display", "0 (never)")),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(mini_data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("typos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        fill(made, mini_data)
        yield made


def _train(folder: Path, net: str, solver: str, words: tuple[str, ...],
           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (folder / "net.prototxt").write_text(net, encoding="utf-8")
    (folder / "solver.prototxt").write_text(solver, encoding="utf-8")
    check(refusal_of(["train", "solver.prototxt", "--run", "runs/run"], capsys), words)


@pytest.mark.parametrize(
    ("right", "wrong", "words"), [row[1:] for row in NETS], ids=[row[0] for row in NETS]
)
def test_a_typo_in_a_net(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    right: str,
    wrong: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(folder)
    _train(folder, NET.replace(right, wrong, 1), _SOLVER, words, capsys)


@pytest.mark.parametrize(
    ("right", "wrong", "words"), [row[1:] for row in SOLVERS], ids=[row[0] for row in SOLVERS]
)
def test_a_typo_in_a_solver(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    right: str,
    wrong: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(folder)
    _train(folder, NET, _SOLVER.replace(right, wrong, 1), words, capsys)


def test_the_right_text_is_trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "net.prototxt").write_text(NET, encoding="utf-8")
    (folder / "solver.prototxt").write_text(_SOLVER, encoding="utf-8")
    assert refusal_of(["train", "solver.prototxt", "--run", "run"], capsys).status == 0
