"""Caffemodels of the fork."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import pytest
from caffe.proto import caffe_pb2

from tests.quantization_caffe.fork_nets import NETS, fork_caffemodel, fork_message, net_of
from ul2q.models.caffemodel import WeightsError
from ul2q.quantization_caffe import import_files, import_net, import_weights

if TYPE_CHECKING:
    from tests.conftest import Workspace


@pytest.mark.parametrize("double", [False, True])
def test_weights_are_the_masters_bit_for_bit(workspace: Workspace, double: bool) -> None:
    source = NETS / "lenet_ulq.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    masters = fork_caffemodel(built, Path("fork.caffemodel"), double=double)
    imported = import_files(source, Path("fork.caffemodel"), output=workspace.folder)
    assert imported.net_path == workspace.folder / "lenet_ulq_ul2q.prototxt"
    assert imported.weights_path == workspace.folder / "fork_ul2q.caffemodel"
    assert imported.weights
    sizes = [path.stat().st_size for path in (Path("fork.caffemodel"), imported.weights_path)]
    assert imported.weights.saved_bytes == sizes[0] - sizes[1] > sizes[0] // 2
    net = caffe.Net(str(imported.net_path), caffe.TEST, weights=str(imported.weights_path))
    assert {
        name: [blob.data.tobytes() for blob in blobs] for name, blobs in net.params.items()
    } == masters
    types = {layer.name: layer.type for layer in imported.weights.net.layer}
    assert types == {
        "conv1": "QuantizedConvolution",
        "ip1": "QuantizedInnerProduct",
        "ip2": "QuantizedInnerProduct",
    }
    assert imported.weights.net.layer[0].quantization_param.bias.bits == 2


def test_no_field_of_the_fork_is_left(workspace: Workspace) -> None:
    del workspace  # for its working directory
    model = fork_message("NetParameter")(name="all")
    layer = model.layer.add(name="l", type="InnerProduct", activations_compress=["Clip"])
    layer.activations_compress_param.add(alpha=1)
    blob = layer.blobs.add(data=[1.5], double_ternary=[1], ternary=[1], quantize=[1], maxbits=2)
    blob.shape.dim.append(1)
    Path("all.caffemodel").write_bytes(model.SerializeToString())
    imported = import_weights(Path("all.caffemodel")).net
    expected = caffe_pb2.NetParameter(name="all")
    kept = expected.layer.add(name="l", type="InnerProduct").blobs.add(data=[1.5])
    kept.shape.dim.append(1)
    assert imported.SerializeToString() == expected.SerializeToString()


BAD_WEIGHTS = [  # a file's name, what it holds, words of the error
    ("noise.caffemodel", b"\xff" * 40, ["noise.caffemodel", "damaged"]),
    ("empty.caffemodel", b"", ["holds no weights"]),
    ("net.prototxt", None, ["net.prototxt", ".caffemodel"]),
    ("mini.solverstate", b"", ["solver state", ".caffemodel"]),
    ("mini.caffemodel.h5", b"", ["nothing to import"]),
]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(("name", "content", "words"), BAD_WEIGHTS)
def test_bad_weights(name: str, content: bytes | None, words: list[str]) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(WeightsError) as error:
        import_files(NETS / "lenet_ulq.prototxt", Path(name), output=Path())
    for word in words:
        assert word in str(error.value)
    assert not Path("lenet_ulq_ul2q.prototxt").exists()
