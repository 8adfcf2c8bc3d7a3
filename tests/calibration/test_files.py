"""`ul2q calibrate` and the files that it reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from PIL import Image

import ul2q
from tests.small_nets import inputs
from ul2q.calibration import CalibrationError, CalibrationOptions, calibrate, default_output
from ul2q.calibration.missing_biases import add_missing_biases
from ul2q.cli import main
from ul2q.models.caffemodel import read_caffemodel
from ul2q.nets.prototxt import read_net
from ul2q.nets.prototxt_text import Document
from ul2q.prediction import PredictionOptions
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.conftest import Workspace

ACTIVATION = """layer { name: "q" type: "QuantizedActivation" bottom: "data" top: "q"
  quantization_param { activation { bits: 4 signed: false } } }
layer { name: "ip" """
EIGHT = ul2q.NetQuantization(
    weight_bits=8, activation_bits=8, fit="empirical", granularity="channel"
)


@pytest.fixture
def weights(workspace: Workspace) -> Path:
    """Put a QuantizedActivation before the layer of the net, and write weights for it."""
    workspace.net(
        ('layer { name: "ip" ', ACTIVATION),
        ('type: "InnerProduct" bottom: "data"', 'type: "InnerProduct" bottom: "q"'),
    )
    path = Path("mini.caffemodel")
    caffe.Net("net.prototxt", caffe.TRAIN).save(path)
    return path


def blobs(path: Path) -> dict[str, list[bytes]]:
    return {
        layer.name: [blob.SerializeToString() for blob in layer.blobs]
        for layer in read_caffemodel(path).layer
        if layer.blobs
    }


def scale_of(layer: str, path: Path) -> float:
    (found,) = [one for one in read_caffemodel(path).layer if one.name == layer]
    return float(found.blobs[0].data[0])


@pytest.mark.parametrize("images", [5, 40])
@pytest.mark.parametrize("data", [None, Path("moved")])
def test_the_training_images_are_what_is_looked_at(
    workspace: Workspace, weights: Path, images: int, data: Path | None
) -> None:
    if data is not None:
        (workspace.folder / "data").rename(data)
    output = Path("out.caffemodel")
    done = calibrate(
        "net.prototxt",
        str(weights),
        output,
        images=images,
        data=data,
        options=CalibrationOptions(ranges="minmax"),
    )
    assert (done.images, done.weights_path, done.net) == (images, output, None)
    (row,) = done.rows
    assert row.scale == pytest.approx(workspace.images[:images].max() / 256 / 15, rel=1e-5)
    old, new = blobs(weights), blobs(output)
    assert {name for name in new if new[name] != old[name]} == {"q"}


@pytest.mark.parametrize("end", [".caffemodel", ".caffemodel.h5"])
def test_the_command(weights: Path, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "net.prototxt", str(weights), "-o", f"out{end}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "calibrated on 40 images; signal to noise of each layer's output:"
    assert [line.split()[0] for line in lines[1:]] == ["layer", "q", "weights:"]
    assert main(["calibrate", "net.prototxt", f"out{end}"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[2] == lines[2]
    assert again[3] == f"weights: out_calibrated{end}"
    assert Path(f"out_calibrated{end}").is_file()
    assert main(["calibrate", "net.prototxt", f"out{end}"]) == 1
    assert "out_calibrated" in capsys.readouterr().err


FLOAT = """
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 6 kernel_size: 3 bias_term: false
    weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "ip" """


@pytest.fixture
def float_net(workspace: Workspace) -> Path:
    """A float net that trains and tests, and its weights float.caffemodel."""
    net = workspace.net(
        ('layer { name: "ip" ', FLOAT),
        ('type: "InnerProduct" bottom: "data"', 'type: "InnerProduct" bottom: "c"'),
    )
    caffe.set_random_seed(3)
    caffe.Net(str(net), caffe.TRAIN).save(Path("float.caffemodel"))
    return net


def scores(net: Path, weights: Path) -> NDArray[Any]:
    built = caffe.Net(str(net), caffe.TEST, weights=str(weights))
    return np.concatenate([built.forward() and built.blobs["ip"].data.copy() for _ in range(4)])


def test_a_float_net_is_quantised_and_calibrated(
    float_net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--weight-bits", "8", "--activation-bits", "8", "--correct-bias"]
    assert main(["calibrate", str(float_net), "float.caffemodel", *options]) == 0
    out = capsys.readouterr().out.splitlines()
    net, weights = Path("net_8bit_act8bit.prototxt"), Path("net_8bit_act8bit.caffemodel")
    assert out[-2:] == [f"net: {net}", f"weights: {weights}"]
    # Of 40 images every fourth one is held out.
    assert out[0] == "steps, by the relative error of the net's outputs for 10 images held out:"
    begin = next(i for i, line in enumerate(out) if line.startswith("calibrated on 30 images"))
    trials = {line.split()[0]: line.split()[1:] for line in out[2:begin]}
    assert list(trials) == ["equalize", "round-weights"]  # and no BatchNorm
    for without, error, kept in trials.values():
        assert kept == "yes" or float(error) > 0.98 * float(without)
    rows = {line.split()[0]: line for line in out[begin + 2 : -2]}
    assert list(rows) == ["c", "c_q", "ip"]
    assert "bias corrected" in rows["c"]  # which had none
    layers = {layer.name: layer for layer in read_net(net).layer}
    assert layers["c"].convolution_param.bias_term
    assert layers["c"].quantization_param.weight.granularity == 1
    assert len(blobs(weights)["c"]) == 2
    exact, found = scores(float_net, Path("float.caffemodel")), scores(net, weights)
    assert 0 < np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)


def test_steps_that_are_not_wanted_are_left_out(
    float_net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ["--no-equalize", "--no-correct-bias", "--no-batch-norm", "--no-round-weights"]
    line = ["calibrate", str(float_net), "float.caffemodel", "--weight-bits", "4", *steps,
            "--activation-bits", "8", "-o", "plain.caffemodel", "--images", "10"]  # fmt: skip
    assert main([*line, "--ranges", "percentile", "--percentile", "95"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("calibrated on 10 images")
    assert out[-2:] == ["net: plain.prototxt", "weights: plain.caffemodel"]
    old, new = blobs(Path("float.caffemodel")), blobs(Path("plain.caffemodel"))
    assert {name for name in new if new[name] != old.get(name)} == {"c_q"}
    percentile = scale_of("c_q", Path("plain.caffemodel"))
    assert main([*line, "--force", "--ranges", "minmax"]) == 0
    assert percentile < 0.9 * scale_of("c_q", Path("plain.caffemodel"))
    assert "rounded, error" not in capsys.readouterr().out
    assert main([*line, "--force", "--round-weights"]) == 0
    assert "rounded, error" in capsys.readouterr().out


def test_a_step_that_is_refused_leaves_nothing(
    float_net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ul2q.calibration.trials._WORTH", -1.0)  # no step is good enough
    done = calibrate(float_net, "float.caffemodel", quantization=EIGHT)
    assert [trial.kept for trial in done.trials] == [False] * 3
    assert (done.images, done.held_out) == (30, 10)
    assert done.net_path is not None
    made = done.net_path.read_text(encoding="utf-8")
    old, new = blobs(Path("float.caffemodel")), blobs(done.weights_path)
    assert {name for name in new if new[name] != old.get(name)} == {"c_q"}
    assert made == ul2q.quantize_net(float_net, EIGHT).text  # no bias either
    assert np.isfinite(scores(done.net_path, done.weights_path)).all()


def test_a_step_that_is_asked_for_is_done_untried(
    float_net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ul2q.calibration.trials._WORTH", -1.0)
    line = ["calibrate", str(float_net), "float.caffemodel", "--weight-bits", "4",
            "--activation-bits", "8", "--round-weights", "--no-correct-bias"]  # fmt: skip
    assert main(line) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[2].split()[0] == "equalize"
    assert out.splitlines()[2].split()[3] == "no"
    assert "rounded, error" in out
    assert "bias corrected" not in out
    # Three images are too few to hold one out: ranges alone, on all.
    few = ["calibrate", str(float_net), "float.caffemodel", "--weight-bits", "4",
           "--activation-bits", "8", "--images", "3", "-o", "few.caffemodel"]  # fmt: skip
    assert main(few) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 images are too few to try steps on; at least 4 are needed")
    assert "calibrated on 3 images" in out
    assert "rounded, error" not in out


def test_pictures_for_a_net_without_a_data_layer(workspace: Workspace) -> None:
    text = inputs(data=(1, 3, 8, 8)) + FLOAT.rpartition("layer")[0]
    net = workspace.write("deploy.prototxt", text)
    caffe.Net(str(net), caffe.TEST).save(Path("deploy.caffemodel"))
    folder = Path("pictures")
    folder.mkdir()
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    for index, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{index:02}.png")
    text = ul2q.quantize_net(net, EIGHT).text.replace(
        'name: "r" type: "ReLU" bottom: "c" top: "c" }',
        'name: "q" type: "QuantizedActivation" bottom: "c" top: "c" '
        "quantization_param { activation { bits: 8 } } }",
    )
    workspace.write("quantised.prototxt", text)
    options = PredictionOptions(mean=(10.0,), scale=0.5, channels="rgb")
    done = calibrate(
        "quantised.prototxt", "deploy.caffemodel", "out.caffemodel", pictures=[folder],
        inputs=options, options=CalibrationOptions(ranges="minmax"),
    )  # fmt: skip
    built = caffe.Net("quantised.prototxt", caffe.TEST, weights="deploy.caffemodel")
    x = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 10) / 2
    lows, highs = [], []
    for one in x:
        built.blobs["data"].data[...] = one
        built.forward(end="c")
        lows.append(built.blobs["c"].data.min())
        highs.append(built.blobs["c"].data.max())
    row = done.rows[-1]
    assert row.scale == pytest.approx((max(highs) - min(lows)) / 255, rel=1e-4)
    assert done.images == 12


NO_BIAS = "bias_term: false"
LACKING: list[tuple[str, Callable[[str], str], bool]] = [
    ("a convolution", lambda text: text, True),
    ("behind it a ReLU", lambda text: text + relu("c"), True),
    ("behind it BatchNorm", lambda text: text + relu("c").replace("ReLU", "BatchNorm"), False),
    ("shared", lambda text: text.replace("convolution_param", 'param { name: "w" } '
                                         "convolution_param"), False),
    ("float", lambda text: text.replace("Quantized", ""), False),
]  # fmt: skip


def relu(blob: str) -> str:
    return f'layer {{ name: "r" type: "ReLU" bottom: "{blob}" top: "r" }}\n'


@pytest.mark.parametrize(("change", "gets_one"), [row[1:] for row in LACKING],
                         ids=[row[0] for row in LACKING])  # fmt: skip
def test_who_gets_a_bias(change: Callable[[str], str], gets_one: bool) -> None:
    text = change(
        inputs(x=(1, 1, 5, 5)) + '# kept\nlayer { name: "c" type: "QuantizedConvolution" '
        f'bottom: "x" top: "c" convolution_param {{ num_output: 2 kernel_size: 3 {NO_BIAS} }} '
        "quantization_param { weight { bits: 2 } } }\n"
    )
    wanted = text.replace(NO_BIAS, "bias_term: true") if gets_one else text
    assert add_missing_biases(Document(text)) == wanted


def test_default_outputs() -> None:
    assert default_output("a/b_iter_3.caffemodel") == Path("a/b_iter_3_calibrated.caffemodel")
    assert default_output("b.caffemodel.h5") == Path("b_calibrated.caffemodel.h5")


def test_what_cannot_be_calibrated_is_told(workspace: Workspace, weights: Path) -> None:
    def fails(error: type[Exception], words: str, **options: Any) -> None:
        arguments: dict[str, Any] = {
            "net": "net.prototxt",
            "weights": weights,
            "output": "o.caffemodel",
        }
        with pytest.raises(error, match=words):
            calibrate(**(arguments | options))
        assert not Path("o.caffemodel").exists()

    fails(CalibrationError, "images is 0; must be at least 1", images=0)
    fails(FileNotFoundError, "no such weights file", weights="nothing.caffemodel")
    fails(OutputExistsError, "exists already", output=weights)
    fails(FileNotFoundError, "elsewhere", data="elsewhere")
    workspace.net(name="float.prototxt")
    fails(CalibrationError, "no QuantizedActivation layer.*ul2q quantize", net="float.prototxt")
    workspace.write(
        "deploy.prototxt",
        inputs(data=(1, 1, 8, 8)) + ACTIVATION.rpartition("layer")[0],
    )
    fails(CalibrationError, "no Data layer in phase TRAIN", net="deploy.prototxt")
