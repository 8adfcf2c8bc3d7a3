"""Packed caffemodels: what computes with them, and what they are to those who do not know them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings

from tests.deploy.layer_cases import ALL, Case
from tests.deploy.random_nets import nets
from tests.deploy.test_layer_types import built
from tests.deploy.trained import bundled, fill, inputs_of
from tests.small_nets import inputs
from ul2q.deploy import DeployError, QuantizedTensor, export, lower, pack
from ul2q.deploy.packing import packed_net
from ul2q.models.caffemodel import WeightsError, read_blobs
from ul2q.models.packed import packed_blobs, unpack
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QUANTIZED = [case for case in ALL if "Quantized" in case.text]

TEXT = inputs(x=(2, 8, 6, 6)) + (
    'layer { name: "conv" type: "QuantizedConvolution" bottom: "x" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 } quantization_param { weight { bits: 2 } } }"
    'layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }'
    'layer { name: "float" type: "InnerProduct" bottom: "conv" top: "float" '
    "inner_product_param { num_output: 5 } }"
    'layer { name: "ip" type: "QuantizedInnerProduct" bottom: "float" top: "ip" '
    "inner_product_param { num_output: 3 } "
    "quantization_param { weight { bits: 3 granularity: CHANNEL } bias { bits: 4 } } }"
)


def outputs(net: Any, values: dict[str, NDArray[Any]]) -> list[bytes]:
    """Of two passes: some layers compute otherwise in the second one."""
    passes = [net.forward(**values) for _ in range(2)]
    return [array.tobytes() for found in passes for array in found.values()]


def paths(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "n.prototxt", folder / "w.caffemodel", folder / "p.caffemodel"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A net, its weights, and these packed."""
    net, weights, packed = paths(tmp_path)
    net.write_text(TEXT, encoding="utf-8")
    fill(caffe.Net(net, caffe.TEST)).save(weights)
    pack(net, weights, packed)
    return net, weights, packed


def codes_of(net: Any) -> list[Any]:
    return [
        (blob.codes.tobytes(), np.asarray(blob.scale).tobytes(), np.asarray(blob.shift).tobytes())
        for layer in net.layers
        for blob in layer.quantized_blobs()
    ]


def message(path: Path) -> Any:
    return caffe_pb2.NetParameter.FromString(path.read_bytes())


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("case", QUANTIZED, ids=lambda case: case.name)
def test_computes_the_same_to_the_bit(case: Case, compress: bool, tmp_path: Path) -> None:
    net, values = built(case)
    path, weights, packed = paths(tmp_path)
    path.write_text(case.text, encoding="utf-8")
    net.save(weights)
    pack(path, weights, packed, compress=compress)
    loaded = caffe.Net(path, caffe.TEST, weights=packed)
    assert outputs(loaded, values) == outputs(caffe.Net(path, caffe.TEST, weights=weights), values)
    copied = caffe.Net(path, caffe.TEST)
    copied.copy_from(packed)
    assert codes_of(copied) == codes_of(net)
    # The graph has these codes, scales and shifts.
    for (_, _, got), (_, _, want) in zip(
        lower(path, packed).weights(), lower(path, weights).weights(), strict=True
    ):
        if isinstance(want, QuantizedTensor):
            assert isinstance(got, QuantizedTensor)
            assert (got.codes == want.codes).all()
            assert got.scale.tobytes() == want.scale.tobytes()
            assert got.shift.tobytes() == want.shift.tobytes()


@settings(max_examples=100)
@given(nets())
def test_nets_by_chance_compute_the_same(text: str) -> None:
    try:
        net = fill(caffe.Net.from_proto(text, caffe.TEST))
    except caffe.CaffeError:
        return  # no output is left of the image
    assert_packed_computes_the_same(net, text)


def assert_packed_computes_the_same(net: Any, text: str) -> None:
    """To the bit, or there is nothing to pack."""
    values = inputs_of(net)
    try:
        content = packed_net(net, compress=True).content
    except DeployError:
        assert not any(layer.quantized_blobs() for layer in net.layers)
        return
    weights = caffe_pb2.NetParameter.FromString(content)
    loaded = caffe.Net.from_proto(text, caffe.TEST, weights=weights)
    assert outputs(loaded, values) == outputs(net, values)


@pytest.mark.parametrize(
    ("name", "bits", "granularity"),
    [
        *(("lenet", bits, kind) for bits in (1, 2, 3, 4, 8) for kind in ("tensor", "channel")),
        ("vgg7_64", 1, "tensor"),
        ("vgg7_64", 2, "channel"),
    ],
)
def test_the_file_has_the_size_of_its_bits(
    name: str, bits: int, granularity: str, tmp_path: Path
) -> None:
    """What is not weights of quantised layers takes what it takes in the float file."""
    net = bundled(name, weight_bits=bits, granularity=granularity)
    content = packed_net(net).content
    net.save(tmp_path / "w.caffemodel")
    whole = (tmp_path / "w.caffemodel").stat().st_size
    quantized = [blob for layer in net.layers for blob in layer.quantized_blobs()]
    weights = sum(blob.codes.size for blob in quantized)
    channels = sum(np.size(blob.scale) for blob in quantized if np.size(blob.scale) > 1)
    rest = whole - 4 * weights
    assert len(content) <= 1.01 * (bits / 8 * weights + rest + 8 * channels)
    if name == "lenet":
        small = packed_net(net, compress=True).content
        assert len(small) <= len(content)
        if bits == 8:  # the entropy of normally distributed codes is 7.1 bits
            assert len(small) < 0.93 * len(content)


def test_who_does_not_know_the_field_finds_no_values(files: tuple[Path, Path, Path]) -> None:
    """BVLC's Blob::FromProto checks that there are as many values as the shape says."""
    stock = descriptor_pb2.FileDescriptorProto(name="stock.proto", syntax="proto2")
    shape, blob = stock.message_type.add(name="Shape"), stock.message_type.add(name="Blob")
    field = descriptor_pb2.FieldDescriptorProto
    shape.field.add(name="dim", number=1, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    blob.field.add(name="shape", number=7, type=field.TYPE_MESSAGE, type_name=".Shape", label=one)
    floats = (("data", 5, field.TYPE_FLOAT), ("double_data", 8, field.TYPE_DOUBLE))
    for name, number, kind in floats:
        added = blob.field.add(name=name, number=number, type=kind, label=many)
        added.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(stock)
    stock_blob: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("Blob"))
    for layer in message(files[2]).layer:
        for stored in layer.blobs:
            seen = stock_blob.FromString(stored.SerializeToString())
            count = int(np.prod(seen.shape.dim))
            assert (len(seen.data), len(seen.double_data)) == (
                (0, 0) if stored.HasField("packed") else (count, 0)
            )
    packed = [blob.HasField("packed") for layer in message(files[2]).layer for blob in layer.blobs]
    assert packed == [True, False, False, False, True, True]


def test_holds_until_somebody_writes_another_value(files: tuple[Path, Path, Path]) -> None:
    net_file, weights, packed = files
    net = caffe.Net(net_file, caffe.TEST, weights=packed)
    values = inputs_of(net)
    want = outputs(caffe.Net(net_file, caffe.TEST, weights=weights), values)
    view = net.params["conv"][0].data  # which may be written to at any time
    assert outputs(net, values) == want
    view[...] = view.copy()
    assert outputs(net, values) == want
    assert all(blob.is_packed for layer in net.layers for blob in layer.quantized_blobs())
    view[0, 0, 0, 0] += 1
    by_hand = caffe.Net(net_file, caffe.TEST, weights=packed)
    for name, blobs in net.params.items():
        for blob, other in zip(blobs, by_hand.params[name], strict=True):
            other.data[...] = blob.data
    assert outputs(net, values) == outputs(by_hand, values) != want
    (conv,) = net.layer_dict["conv"].quantized_blobs()
    assert not conv.is_packed
    assert all(blob.is_packed for blob in net.layer_dict["ip"].quantized_blobs())
    # Once more, from the file.
    net.copy_from(packed)
    assert outputs(net, values) == want
    # Floats of a file that has no codes are no codes' values.
    net.copy_from(weights)
    assert not any(blob.is_packed for layer in net.layers for blob in layer.quantized_blobs())
    assert outputs(net, values) == want


def test_training_fits_anew_but_what_is_frozen(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = TEXT.replace('name: "ip"', f'name: "ip" {frozen}') + (
        'layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "t" top: "loss" }'
    )
    (tmp_path / "train.prototxt").write_text(text, encoding="utf-8")
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/train.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 '
        f'weight_decay: 0.1 momentum: 0.9 snapshot_prefix: "{tmp_path}/s" random_seed: 1',
        encoding="utf-8",
    )
    solver = caffe.SGDSolver(str(tmp_path / "solver.prototxt"))
    solver.net.copy_from(files[2])
    rng = np.random.default_rng(0)
    for name in ("x", "t"):
        solver.net.blobs[name].data[...] = rng.normal(size=solver.net.blobs[name].data.shape)
    before = codes_of(solver.net)
    solver.step(3)
    kinds = {
        name: [blob.is_packed for blob in solver.net.layer_dict[name].quantized_blobs()]
        for name in ("conv", "ip")
    }
    assert kinds == {"conv": [False], "ip": [True, True]}
    assert codes_of(solver.net)[1:] == before[1:]


def test_a_net_that_is_saved_keeps_its_codes_beside_the_values(
    files: tuple[Path, Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    net_file, weights, packed = files
    net = caffe.Net(net_file, caffe.TEST, weights=packed)
    values = inputs_of(net)
    want = outputs(net, values)
    net.save(tmp_path / "saved.caffemodel")
    saved = message(tmp_path / "saved.caffemodel").layer
    (conv,) = (layer for layer in saved if layer.name == "conv")
    assert len(conv.blobs[0].data) == 4 * 8 * 9
    assert conv.blobs[0].HasField("packed")
    again = caffe.Net(net_file, caffe.TEST, weights=tmp_path / "saved.caffemodel")
    assert outputs(again, values) == want
    # HDF5 has no place for them, which is said.
    with caplog.at_level(logging.WARNING, logger="caffe"):
        net.save_hdf5(tmp_path / "saved.caffemodel.h5")
    assert "HDF5 holds values alone" in caplog.text
    fitted = caffe.Net(net_file, caffe.TEST, weights=tmp_path / "saved.caffemodel.h5")
    assert outputs(fitted, values) != want
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="caffe"):
        caffe.Net(net_file, caffe.TEST, weights=weights).save_hdf5(tmp_path / "float.caffemodel.h5")
    assert not caplog.text


def test_unpacked_weights_are_floats_for_all_and_codes_for_us(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    net_file, weights, packed = files
    unpack(packed, tmp_path / "u.caffemodel")
    quantized = {
        (name, blob.index): blob.values
        for name, layer in caffe.Net(net_file, caffe.TEST, weights=weights).layer_dict.items()
        for blob in layer.quantized_blobs()
    }
    floats = {(blob.layer, blob.index): blob.values for blob in read_blobs(weights)}
    for layer in message(tmp_path / "u.caffemodel").layer:
        for index, blob in enumerate(layer.blobs):
            want = quantized.get((layer.name, index), floats[layer.name, index])
            assert np.array(blob.data, np.float32).tobytes() == want.tobytes()
    for blob in read_blobs(packed):  # the same by our reader
        want = quantized.get((blob.layer, blob.index), floats[blob.layer, blob.index])
        np.testing.assert_array_equal(blob.values, want)
    net = caffe.Net(net_file, caffe.TEST, weights=tmp_path / "u.caffemodel")
    values = inputs_of(net)
    want_outputs = outputs(caffe.Net(net_file, caffe.TEST, weights=weights), values)
    assert outputs(net, values) == want_outputs
    with pytest.raises(WeightsError, match="holds no packed blobs"):
        unpack(weights, tmp_path / "v.caffemodel")
    with pytest.raises(OutputExistsError):
        unpack(packed, tmp_path / "u.caffemodel")


def test_a_float_layer_takes_the_values(files: tuple[Path, Path, Path]) -> None:
    text = TEXT.replace("Quantized", "")
    while "quantization_param" in text:
        start = text.index("quantization_param")
        end, depth = text.index("{", start) + 1, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[:start] + text[end:]
    net = caffe.Net.from_proto(text, caffe.TEST, weights=files[2])
    for blob in read_blobs(files[2]):
        np.testing.assert_array_equal(net.params[blob.layer][blob.index].data, blob.values)


def test_exports_are_those_of_the_float_weights(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    net, weights, packed = files
    for name, source in (("a", weights), ("b", packed)):
        export(net, source, tmp_path / f"{name}.npz", to="npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a.files == b.files
        for key in a.files:
            np.testing.assert_array_equal(a[key], b[key])


def test_export_to_packed(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    net, weights, packed = files
    found = export(net, weights, tmp_path / "e.caffemodel", to="packed")
    assert found.comparison is not None
    # The first pass of an inner product is by values, the others by codes.
    assert found.comparison.difference < 1e-6
    assert (tmp_path / "e.caffemodel").read_bytes() == packed.read_bytes()
    with pytest.raises(DeployError, match="--form is for --to onnx, not for packed"):
        export(net, weights, tmp_path / "f.caffemodel", to="packed", form="planes")


def test_what_cannot_be_packed(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    net, weights, _ = files
    out = tmp_path / "out.caffemodel"
    plain = tmp_path / "plain.prototxt"
    text = inputs(x=(2, 3)) + (
        'layer { name: "a" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 2 } }"
    )
    plain.write_text(text, encoding="utf-8")
    caffe.Net(plain, caffe.TEST).save(tmp_path / "plain.caffemodel")
    with pytest.raises(DeployError, match=r"plain.prototxt: there is nothing to pack: its layers"):
        pack(plain, tmp_path / "plain.caffemodel", out)
    with pytest.raises(WeightsError, match="no weights for layer"):
        pack(net, tmp_path / "plain.caffemodel", out)
    broken = caffe.Net(net, caffe.TEST, weights=weights)
    broken.params["ip"][0].data[0, 0] = np.nan
    broken.save(tmp_path / "nan.caffemodel")
    with pytest.raises(WeightsError, match=r"nan.caffemodel: the weights of layer 'ip' hold NaN"):
        pack(net, tmp_path / "nan.caffemodel", out)
    assert not out.exists()


def test_weights_that_a_float_layer_shares_stay_float(tmp_path: Path) -> None:
    layer = (
        'layer {{ name: "{0}" type: "{1}" bottom: "{2}" top: "{0}" param {{ name: "w" }} '
        "inner_product_param {{ num_output: 6 bias_term: false }} {3} }}"
    )
    bits = "quantization_param { weight { bits: 2 } }"
    path, weights, packed = paths(tmp_path)
    path.write_text(
        inputs(x=(2, 6))
        + layer.format("a", "QuantizedInnerProduct", "x", bits)
        + layer.format("b", "InnerProduct", "a", "")
        + layer.format("c", "QuantizedInnerProduct", "b", bits).replace('"w"', '"v"'),
        encoding="utf-8",
    )
    net = fill(caffe.Net(path, caffe.TEST))
    net.save(weights)
    assert pack(path, weights, packed).left_float == ["a[0]"]
    values = inputs_of(net)
    loaded = caffe.Net(path, caffe.TEST, weights=packed)
    assert outputs(loaded, values) == outputs(net, values)


def test_damage_is_told_with_file_layer_and_blob(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    net, _, packed = files
    whole = message(packed)
    (ip,) = (layer for layer in whole.layer if layer.name == "ip")
    codes = bytearray(ip.blobs[0].packed.codes)
    codes[1] ^= 1
    ip.blobs[0].packed.codes = bytes(codes)
    damaged = tmp_path / "damaged.caffemodel"
    damaged.write_bytes(whole.SerializeToString())
    told = r"damaged.caffemodel: layer 'ip', blob 0: .*packed is damaged"
    with pytest.raises(caffe.CaffeError, match=told):
        caffe.Net(net, caffe.TEST, weights=damaged)
    with pytest.raises(WeightsError, match=r"damaged.caffemodel is damaged: layer 'ip', blob 0"):
        lower(net, damaged)
    with pytest.raises(WeightsError, match=r"damaged.caffemodel is damaged: layer 'ip', blob 0"):
        unpack(damaged, tmp_path / "u.caffemodel")
    with pytest.raises(WeightsError, match=r"damaged.caffemodel is damaged: blob ip\[0\]"):
        read_blobs(damaged)
    assert not (tmp_path / "u.caffemodel").exists()


def test_any_damage_to_a_file_is_noticed(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    net_file, _, packed = files
    content = packed.read_bytes()
    net = caffe.Net(net_file, caffe.TEST, weights=packed)
    values = inputs_of(net)
    want = outputs(net, values)
    rng = np.random.default_rng(3)
    # Where codes and so on lie; floats and prototxt fields have no checksum.
    spans = [
        (content.index(part), len(part))
        for layer in message(packed).layer
        for blob in layer.blobs
        if blob.HasField("packed")
        for part in [blob.packed.SerializeToString()]
    ]
    path = tmp_path / "d.caffemodel"
    taken = 0
    for _ in range(400):
        start, size = spans[rng.integers(len(spans))]
        changed = bytearray(content)
        changed[start + rng.integers(size)] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            net.copy_from(path)
        except caffe.CaffeError as error:
            assert str(path) in str(error)
            continue
        assert outputs(net, values) == want
        taken += 1
    assert taken < 40
    for size in rng.integers(1, len(content), 40):
        path.write_bytes(content[:size])
        other = caffe.Net(net_file, caffe.TEST)
        try:
            other.copy_from(path)
        except caffe.CaffeError:
            continue
        # It ended behind a whole layer.
        held = {layer.name for layer in message(path).layer if layer.blobs}
        assert held < {"conv", "float", "ip"}


def test_rows(files: tuple[Path, Path, Path]) -> None:
    rows = packed_blobs(message(files[2]))
    found = [(row.layer, row.index, row.method, row.bits, row.count, row.scales) for row in rows]
    assert found == [
        ("conv", 0, "ul2q", 2, 4 * 8 * 9, 1),
        ("ip", 0, "ul2q", 3, 15, 3),
        ("ip", 1, "ul2q", 4, 3, 1),
    ]
    assert sum(row.bytes for row in rows) < 4 * 72 * 2 // 8 + 6 + 2 + 8 * 5 + 3 * 40
