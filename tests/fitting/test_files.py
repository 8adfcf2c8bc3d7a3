"""`ul2q quantize --weights`: from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from PIL import Image

from ul2q.cli import main
from ul2q.fitting import FittingError, quantize_files
from ul2q.nets.quantization import NetQuantization
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from tests.conftest import Workspace

AUTO = "--fit auto --granularity auto --activation-method auto --activation-fit auto"
DEPLOY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3
                            weight_filler { type: "gaussian" std: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "box" type: "InnerProduct" bottom: "conv" top: "box"
        inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "score" type: "InnerProduct" bottom: "conv" top: "score"
        inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
"""


def ul2q_quantize(line: str) -> int:
    return main(["quantize", *line.split()])


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A net of two heads, with weights and images beside it."""
    monkeypatch.chdir(tmp_path)
    caffe.set_random_seed(2)
    Path("net.prototxt").write_text(DEPLOY)
    rng = np.random.default_rng(3)
    net = caffe.Net("net.prototxt", caffe.TEST)
    for blobs in net.params.values():  # rows that differ in size, as trained ones do
        weights = blobs[0].data
        weights *= np.exp(rng.normal(0, 1, (len(weights), *[1] * (weights.ndim - 1))))
    net.save("net.caffemodel")
    Path("photos").mkdir()
    for i in range(64):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(f"photos/{i:02}.png")
    return tmp_path


def test_weights_alone(detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del detector
    line = "net.prototxt --weight-bits 3 --weights net.caffemodel -o out.prototxt"
    assert ul2q_quantize(line) == 0
    printed = capsys.readouterr().out
    assert "relative error of the weights:\nlayer  exact tensor  paper tensor" in printed
    assert "of the outputs" not in printed
    assert "weights: fit exact, granularity tensor\nnote: exact channel has an error of" in printed
    assert "fit: " not in Path("out.prototxt").read_text()
    assert ul2q_quantize(f"{line} --fit auto --granularity auto --force") == 0
    assert "weights: fit exact, granularity channel" in capsys.readouterr().out
    text = Path("out.prototxt").read_text()
    assert text.count("weight { bits: 3 granularity: CHANNEL }") == 3
    assert not Path("out.caffemodel").exists()


def test_images_and_activations(detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del detector
    line = (
        f"net.prototxt --weight-bits 8 --activation-bits 8 --weights net.caffemodel {AUTO} "
        "--images photos --mean 127.5 --scale 0.01 --channels bgr"
    )
    assert ul2q_quantize(line) == 0
    printed = capsys.readouterr().out
    assert "relative error of the outputs, of each layer for exact inputs:" in printed
    assert "the net  " in printed
    assert printed.endswith(
        "net: net_8bit_act8bit.prototxt\nweights: net_8bit_act8bit.caffemodel\n"
    )
    inputs = [np.asarray(Image.open(path).resize((8, 8))) for path in Path("photos").iterdir()]
    batch = (np.stack(inputs)[..., ::-1].transpose(0, 3, 1, 2) - 127.5) * 0.01
    found = []
    for name, weights in (
        ("net.prototxt", "net.caffemodel"),
        ("net_8bit_act8bit.prototxt", "net_8bit_act8bit.caffemodel"),
    ):
        net = caffe.Net(name, caffe.TEST, weights=weights)
        net.blobs["data"].reshape(*batch.shape)
        found.append({key: value.copy() for key, value in net.forward(data=batch).items()})
    assert net.params["conv_q"][1].data[0] > 0  # the averages are there
    for key in ("box", "score"):
        error = np.linalg.norm(found[1][key] - found[0][key]) / np.linalg.norm(found[0][key])
        assert 0 < error < 0.05


def test_a_net_with_a_data_layer(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    caffe.Net("net.prototxt", caffe.TEST).save("mini.caffemodel")
    line = "net.prototxt --weight-bits 4 --weights mini.caffemodel --data data -o out.prototxt"
    assert ul2q_quantize(f"{line} {AUTO} --activation-bits 8") == 0
    assert "the net  " in capsys.readouterr().out
    assert "lmdb" in Path("out.prototxt").read_text()
    net = caffe.Net("out.prototxt", caffe.TEST, weights="out.caffemodel")
    assert net.forward()
    del workspace


def test_what_is_refused(detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del detector
    for line, words in (
        ("net.prototxt --weight-bits 2 --fit auto", "fit: auto.*--weights FILE"),
        ("net.prototxt --weight-bits 2 --images photos", "images.*--weights FILE"),
        ("net.prototxt --weight-bits 2 --weights gone.caffemodel", "gone.caffemodel"),
        (
            "net.prototxt --weight-bits 2 --weights net.caffemodel --activation-fit auto",
            "--activation-bits N",
        ),
        (
            "net.prototxt --weight-bits 2 --weights net.caffemodel --images photos",
            "--mean and --scale",
        ),
    ):
        assert ul2q_quantize(line) == 1
        error = capsys.readouterr().err
        for word in words.split(".*"):
            assert word in error
    assert not list(Path().glob("net_*"))
    Path("net_2bit_act8bit.caffemodel").write_text("mine")
    with pytest.raises(OutputExistsError):
        quantize_files(
            "net.prototxt",
            NetQuantization(weight_bits=2, activation_bits=8),
            weights="net.caffemodel",
            images=["photos"],
        )
    with pytest.raises(FittingError):
        quantize_files("net.prototxt", NetQuantization(weight_bits=2), free=["fit"])
    assert Path("net_2bit_act8bit.caffemodel").read_text() == "mine"
