"""What cannot be lowered is refused by layer and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from tests.deploy.trained import bundled, inputs_of
from tests.small_nets import inputs
from ul2q.deploy import DeployError, lower
from ul2q.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

X = inputs(x=(2, 4, 6, 6))


def layer(kind: str, fields: str = "", bottoms: str = 'bottom: "x"') -> str:
    return f'{X}layer {{ name: "q" type: "{kind}" {bottoms} top: "y" {fields} }}'


REFUSED = [
    (layer("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"), "STOCHASTIC"),
    (layer("Pooling", 'top: "mask" pooling_param { kernel_size: 2 }'), "mask"),
    (layer("Pooling", "pooling_param { pool: AVE kernel_size: 1 stride: 3 }"), "behind the input"),
    (layer("Pooling", "pooling_param { kernel_size: 1 stride: 4 }"), "behind the input"),
    (layer("BatchNorm", "batch_norm_param { use_global_stats: false }"), "use_global_stats"),
    (layer("QuantizedActivation", "quantization_param { activation { bits: 2 } }"), "calibrate"),
    (layer("BatchReindex", "", 'bottom: "x" bottom: "i"').replace(X, X + inputs(i=(2,))), "data"),
    (layer("SPP", "spp_param { pyramid_height: 1 }"), "cannot be exported"),
    (layer("EuclideanLoss", "", 'bottom: "x" bottom: "x"'), "ul2q deploy-net"),
    (
        'layer { name: "q" type: "DummyData" top: "y" '
        "dummy_data_param { shape { dim: 2 } } }",
        "ul2q deploy-net",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_by_layer_and_reason(text: str, why: str) -> None:
    net = caffe.Net.from_proto(text, caffe.TEST)
    with pytest.raises(DeployError, match=rf"layer 'q' .*{why}"):
        lower(net)


IP = X + (
    'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
    "inner_product_param { num_output: 2 } }"
)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(IP, encoding="utf-8")
    with pytest.raises(DeployError, match="no weights"):
        lower(path)
    net = caffe.Net(path, caffe.TEST)
    net.save(tmp_path / "right.caffemodel")
    assert lower(path, tmp_path / "right.caffemodel").outputs == ("y",)
    with pytest.raises(DeployError, match="has its weights"):
        lower(net, tmp_path / "right.caffemodel")
    caffe.Net.from_proto(IP.replace("num_output: 2", "num_output: 3"), caffe.TEST).save(
        tmp_path / "other.caffemodel"
    )
    with pytest.raises(UserError, match=r"(?s)other.caffemodel.*'ip': blob 0 is 2×144"):
        lower(path, tmp_path / "other.caffemodel")
    with pytest.raises(FileNotFoundError, match="none"):
        lower(path, tmp_path / "none.caffemodel")


def test_a_net_with_data_layers_is_refused_before_it_is_built(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "d" type: "Data" top: "x" data_param { source: "nowhere" } }',
        encoding="utf-8",
    )
    with pytest.raises(DeployError, match=r"net.prototxt: layer 'd' \(Data\).*deploy-net"):
        lower(path, tmp_path / "any.caffemodel")


def test_not_a_number() -> None:
    net = caffe.Net.from_proto(IP, caffe.TEST)
    net.params["ip"][0].data.flat[3] = np.nan
    with pytest.raises(DeployError, match=r"'ip' hold NaN"):
        lower(net)


def test_wrong_inputs_are_told() -> None:
    graph = lower(caffe.Net.from_proto(IP, caffe.TEST))
    with pytest.raises(DeployError, match="input 'x' is missing"):
        graph.run({})
    with pytest.raises(DeployError, match="shape 2×4; must be 2×4×6×6"):
        graph.run({"x": np.zeros((2, 4))})
    assert "ip     InnerProduct  2×2     290         float  1.2" in repr(graph)


def test_blobs_that_are_asked_for() -> None:
    net = bundled("lenet", weight_bits=2)
    values = inputs_of(net)
    net.forward(**values)
    graph = lower(net, outputs=("ip1", "prob"))
    assert graph.outputs == ("ip1", "prob")
    got = graph.run(values)
    for name in graph.outputs:
        np.testing.assert_allclose(got[name], net.blobs[name].data, atol=1e-5)
    with pytest.raises(DeployError, match=r"no blob 'ip9'.*'ip1'"):
        lower(net, outputs=("ip9",))
