"""The quantised layers, through pycaffe, against the stock layers and NumPy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto.quantization_pb2 import QuantizerParameter
from google.protobuf import text_format

from tests.small_nets import inputs, one_layer_net, solver_message
from ul2q import quantize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.small_nets import NetMaker

    Array = NDArray[np.float32]

FILLER = 'weight_filler { type: "gaussian" std: 0.3 mean: 0.05 }'
CONV = f"num_output: 6 kernel_size: 3 {FILLER}"
IP = f"num_output: 7 {FILLER}"
BIAS = 'bias_filler { type: "uniform" min: -1 max: 2 }'


@dataclass(frozen=True)
class Case:
    """A layer `q` of type Quantized`kind` on a bottom of `shape`."""

    kind: str
    param: str
    shape: tuple[int, ...]
    bits: int = 2
    bias_bits: int | None = None
    fit: str = "exact"

    def net(self, *, quantised: bool) -> str:
        field = "convolution_param" if self.kind == "Convolution" else "inner_product_param"
        layer = f"{field} {{ {self.param} }}"
        if quantised:
            fit = f"fit: {self.fit.upper()}"
            bias = f"bias {{ bits: {self.bias_bits} {fit} }}" if self.bias_bits else ""
            layer += f" quantization_param {{ weight {{ bits: {self.bits} {fit} }} {bias} }}"
        return one_layer_net(f"Quantized{self.kind}" if quantised else self.kind, layer, self.shape)

    def quantise(self, masters: list[Array]) -> list[Array]:
        """The parameters that the layer computes with."""
        bits = [self.bits, self.bias_bits][: len(masters)]
        return [
            quantize(w, b, fit=self.fit).values if b else w
            for w, b in zip(masters, bits, strict=True)
        ]


CASES = {
    "convolution": Case("Convolution", f"{CONV} {BIAS}", (2, 3, 8, 7)),
    "stride, pad": Case("Convolution", f"{CONV} {BIAS} stride: 2 pad: 1", (2, 3, 8, 7)),
    "kernel_h, kernel_w": Case(
        "Convolution", f"num_output: 6 kernel_h: 1 kernel_w: 3 {FILLER}", (2, 3, 4, 5)
    ),
    "group": Case("Convolution", f"{CONV} {BIAS} group: 3", (2, 6, 5, 5)),
    "depthwise": Case("Convolution", f"{CONV} group: 6", (1, 6, 5, 5)),
    "dilation": Case("Convolution", f"{CONV} {BIAS} dilation: 2", (2, 3, 9, 8)),
    "1x1": Case("Convolution", f"num_output: 6 kernel_size: 1 {FILLER}", (2, 3, 4, 4)),
    "1-D": Case("Convolution", f"{CONV} {BIAS}", (2, 3, 9)),
    "3-D": Case("Convolution", f"{CONV} {BIAS}", (2, 2, 4, 5, 6)),
    "force_nd_im2col": Case("Convolution", f"{CONV} force_nd_im2col: true", (2, 3, 6, 6)),
    "axis 2": Case("Convolution", f"{CONV} axis: 2", (2, 3, 4, 6, 6)),
    "convolution, no bias": Case("Convolution", f"{CONV} bias_term: false", (2, 3, 6, 6)),
    "engine": Case("Convolution", f"{CONV} {BIAS} engine: CAFFE", (2, 3, 6, 6)),
    "convolution, bias bits": Case("Convolution", f"{CONV} {BIAS}", (2, 3, 6, 6), 4, 8),
    "convolution, 1 bit": Case("Convolution", f"{CONV} {BIAS}", (2, 3, 6, 6), 1, 1),
    "convolution, paper": Case("Convolution", f"{CONV} {BIAS}", (2, 3, 6, 6), 2, 3, "paper"),
    "convolution, paper above 8": Case(
        "Convolution", f"{CONV} {BIAS}", (2, 3, 6, 6), 10, 9, "paper"
    ),
    "inner product": Case("InnerProduct", f"{IP} {BIAS}", (3, 2, 3, 2)),
    "inner product, no bias": Case("InnerProduct", f"{IP} bias_term: false", (3, 11)),
    "inner product, axis 2": Case("InnerProduct", f"{IP} {BIAS} axis: 2", (2, 3, 4)),
    "inner product, axis -1": Case("InnerProduct", f"{IP} {BIAS} axis: -1", (2, 3, 4)),
    "transpose": Case("InnerProduct", f"{IP} {BIAS} transpose: true", (3, 11)),
    "inner product, bias bits": Case("InnerProduct", f"{IP} {BIAS}", (3, 11), 3, 2),
    "inner product, 1 bit": Case("InnerProduct", f"{IP} {BIAS}", (3, 11), 1),
    "inner product, 8 bits": Case("InnerProduct", f"{IP} {BIAS}", (3, 11), 8),
    "inner product, 16 bits": Case("InnerProduct", f"{IP} {BIAS}", (3, 11), 16, 16),
    "inner product, paper": Case("InnerProduct", f"{IP} {BIAS}", (3, 11), 3, None, "paper"),
    "equal weights": Case(
        "InnerProduct", 'num_output: 7 weight_filler { type: "constant" value: 0.1 }', (3, 5)
    ),
    "zero weights": Case("Convolution", "num_output: 6 kernel_size: 3", (2, 3, 6, 6)),
    "one weight": Case(
        "InnerProduct", 'num_output: 1 weight_filler { type: "constant" value: -3 }', (3, 1)
    ),
}


def data_of(parameters: list[Any]) -> list[Array]:
    return [blob.data.copy() for blob in parameters]


@pytest.mark.parametrize("name", CASES)
def test_top_and_gradients_are_those_of_the_stock_layer_with_quantised_parameters(
    name: str, make_net: NetMaker
) -> None:
    case = CASES[name]
    rng = np.random.default_rng(1)
    caffe.set_random_seed(1)
    net, stock = make_net(case.net(quantised=True)), make_net(case.net(quantised=False))
    assert net.layers[1].type == f"Quantized{case.kind}"
    for _ in range(2):  # the second time with other weights: nothing is kept from the first
        masters = data_of(net.params["q"])
        assert [w.shape for w in masters] == [blob.data.shape for blob in stock.params["q"]]
        for blob, quantised in zip(stock.params["q"], case.quantise(masters), strict=True):
            blob.data[...] = quantised
        x = rng.normal(size=case.shape)
        top_diff = rng.normal(size=net.blobs["y"].data.shape)
        for each in (net, stock):
            each.clear_param_diffs()
            each.forward(x=x)
            each.backward(y=top_diff)

        for blob in ("x", "y"):
            for part in ("data", "diff"):
                np.testing.assert_allclose(
                    getattr(net.blobs[blob], part),
                    getattr(stock.blobs[blob], part),
                    rtol=1e-5,
                    atol=1e-5,
                    err_msg=f"{part} of {blob}",
                )
        for got, want in zip(net.params["q"], stock.params["q"], strict=True):
            np.testing.assert_allclose(got.diff, want.diff, rtol=1e-5, atol=1e-5)
            assert got.diff.any()
        for blob, master in zip(net.params["q"], masters, strict=True):
            np.testing.assert_array_equal(blob.data, master)
            if "weights" not in name and name != "one weight":
                blob.data[...] = rng.normal(0.1, 0.5, master.shape)


def test_gradients_add_up_until_they_are_cleared(make_net: NetMaker) -> None:
    net = make_net(CASES["inner product"].net(quantised=True))
    once = []
    for _ in range(2):
        net.forward(x=np.ones(CASES["inner product"].shape))
        net.backward(y=np.ones(net.blobs["y"].data.shape))
        once.append(net.params["q"][0].diff.copy())
    np.testing.assert_allclose(once[1], 2 * once[0], rtol=1e-6)


def test_the_batch_size_may_change(make_net: NetMaker) -> None:
    case = CASES["convolution, bias bits"]
    net = make_net(case.net(quantised=True))
    x = np.random.default_rng(2).normal(size=(5, *case.shape[1:])).astype(np.float32)
    tops = []
    for batch in (x, x[:1], x[3:]):
        net.blobs["x"].reshape(*batch.shape)
        tops.append(net.forward(x=batch)["y"].copy())
    np.testing.assert_allclose(tops[1], tops[0][:1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tops[2], tops[0][3:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["convolution, bias bits", "transpose"])
@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5"])
def test_weights_go_from_float_to_quantised_and_back_bit_for_bit(
    name: str, suffix: str, make_net: NetMaker, tmp_path: Path
) -> None:
    case = CASES[name]

    def save(net: Any, stem: str) -> Path:
        path = tmp_path / f"{stem}{suffix}"
        (net.save_hdf5 if suffix.endswith("h5") else net.save)(path)
        return path

    trained = make_net(case.net(quantised=False))
    masters = data_of(trained.params["q"])
    quantised = make_net(case.net(quantised=True))
    quantised.copy_from(save(trained, "float"))
    quantised.forward(x=np.ones(case.shape))
    back = make_net(case.net(quantised=False))
    assert not np.array_equal(back.params["q"][0].data, masters[0])
    back.copy_from(save(quantised, "quantised"))
    for net in (quantised, back):
        for blob, master in zip(net.params["q"], masters, strict=True):
            np.testing.assert_array_equal(blob.data, master)


def test_a_deploy_net_uses_quantised_weights_from_its_first_pass_on(
    make_net: NetMaker, tmp_path: Path
) -> None:
    case = CASES["convolution, bias bits"]
    trained = make_net(case.net(quantised=False))
    path = tmp_path / "trained.caffemodel"
    trained.save(path)
    x = np.random.default_rng(3).normal(size=case.shape)
    float_top = trained.forward(x=x)["y"].copy()
    for blob, values in zip(
        trained.params["q"], case.quantise(data_of(trained.params["q"])), strict=True
    ):
        blob.data[...] = values
    deploy = make_net(case.net(quantised=True), caffe.TEST, weights=path)
    top = deploy.forward(x=x)["y"]
    np.testing.assert_allclose(top, trained.forward(x=x)["y"], rtol=1e-5, atol=1e-5)
    assert np.abs(top - float_top).max() > 0.01


# Two inner products of 4 × 4 without biases on a batch of 5, and the squared distance to t.
TRAINED_NET = (
    inputs(x=(5, 4), t=(5, 4))
    + """
layer { name: "a" type: "QuantizedInnerProduct" bottom: "x" top: "a" PARAM
  inner_product_param { num_output: 4 bias_term: false
    weight_filler { type: "gaussian" std: 0.7 } }
  quantization_param { weight { bits: 3 } } }
layer { name: "b" type: "QuantizedInnerProduct" bottom: "a" top: "b" PARAM
  inner_product_param { num_output: 4 bias_term: false
    weight_filler { type: "gaussian" std: 0.7 } }
  quantization_param { weight { bits: 3 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "t" top: "loss" }
"""
)


def make_solver(folder: Path, net: str, **fields: object) -> Any:
    """A solver with random x and t in the train and the test net."""
    solver = caffe.get_solver(solver_message(folder, net, random_seed=7, **fields))
    rng = np.random.default_rng(5)
    for each in (solver.net, *solver.test_nets):
        for blob in ("x", "t"):
            each.blobs[blob].data[...] = rng.normal(size=each.blobs[blob].data.shape)
    return solver


@pytest.mark.parametrize(
    ("second", "second_bits"),
    [("shared", 3), ("shared, other bits", 1), ("shared, float", None), ("apart", 3)],
)
def test_training_is_sgd_on_the_masters_with_the_gradient_of_the_quantised_weights(
    second: str, second_bits: int | None, tmp_path: Path
) -> None:
    shared = second != "apart"
    text = TRAINED_NET.replace("PARAM", 'param { name: "w" }' if shared else "")
    before, layer_b, after = text.partition('layer { name: "b"')
    after = after.replace("bits: 3", f"bits: {second_bits}")
    if second_bits is None:
        after = after.replace("QuantizedInnerProduct", "InnerProduct")
        after = after.replace("quantization_param { weight { bits: None } }", "")
    rate, momentum, decay = 0.1, 0.9, 0.01
    solver = make_solver(
        tmp_path, before + layer_b + after, base_lr=rate, momentum=momentum, weight_decay=decay
    )

    x, t = (solver.net.blobs[name].data.astype(np.float64) for name in "xt")
    w = {name: solver.net.params[name][0].data.astype(np.float64) for name in "ab"}
    if shared:
        w["b"] = w["a"]
    start = w["a"].copy()
    velocity = {name: np.zeros((4, 4)) for name in "ab"}
    for _ in range(6):
        wa = quantize(w["a"].astype(np.float32), 3).values.astype(np.float64)
        wb = w["b"]
        if second_bits is not None:
            wb = quantize(wb.astype(np.float32), second_bits).values.astype(np.float64)
        a = x @ wa.T
        diff = (a @ wb.T - t) / len(x)
        loss = np.sum((a @ wb.T - t) ** 2) / (2 * len(x))
        gradient = {"a": (diff @ wb).T @ x, "b": diff.T @ a}
        if shared:
            gradient = dict.fromkeys("ab", gradient["a"] + gradient["b"])
        for name in "ab":
            velocity[name] = momentum * velocity[name] + rate * (gradient[name] + decay * w[name])
            w[name] = w[name] - velocity[name]

        solver.step(1)
        assert float(solver.net.blobs["loss"].data) == pytest.approx(loss, rel=1e-4)
        for name in "ab":
            np.testing.assert_allclose(
                solver.net.params[name][0].data, w[name], rtol=1e-4, atol=1e-5
            )
    assert np.abs(w["a"] - start).max() > 0.1


def test_the_solvers_first_test_pass_uses_quantised_weights(tmp_path: Path) -> None:
    solver = make_solver(
        tmp_path,
        TRAINED_NET.replace("PARAM", ""),
        base_lr=0.1,
        test_iter=[1],
        test_interval=1000,
    )
    wa, wb = (quantize(solver.net.params[name][0].data, 3).values for name in "ab")
    solver.step(1)  # tests before its first update
    tested = solver.test_nets[0]
    top = tested.blobs["x"].data @ wa.T @ wb.T
    np.testing.assert_allclose(tested.blobs["b"].data, top, rtol=1e-5, atol=1e-5)


def test_a_diverging_training_names_the_layer(tmp_path: Path) -> None:
    solver = make_solver(tmp_path, TRAINED_NET.replace("PARAM", ""), base_lr=1e6)
    words = (
        r"Layer '[ab]' \(QuantizedInnerProduct\): the weight blob holds "
        r"(NaN|an infinite value|values so large that).*: training has diverged \(lower base_lr"
    )
    with pytest.raises(caffe.CaffeError, match=words):
        solver.step(100)
    # The solver goes on once its weights are sound again.
    for name in "ab":
        solver.net.params[name][0].data[...] = np.eye(4)
    solver.net.forward()
    assert np.isfinite(solver.net.blobs["loss"].data)


GOOD = Case("InnerProduct", f"{IP} {BIAS}", (3, 11)).net(quantised=True)
GOOD_CONV = Case("Convolution", f"{CONV} {BIAS}", (2, 3, 6, 6)).net(quantised=True)
BITS_2 = "quantization_param { weight { bits: 2 fit: EXACT }  }"
IN_Q = "Layer 'q' (QuantizedInnerProduct): "


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        *(
            (GOOD, BITS_2, new, [IN_Q, "quantization_param.weight.bits is missing", "1 to 16"])
            for new in (
                "",
                "quantization_param { }",
                "quantization_param { weight { } }",
                "quantization_param { weight { fit: PAPER } }",
                "quantization_param { bias { bits: 2 } }",
            )
        ),
        *(
            (
                GOOD,
                "bits: 2",
                f"bits: {bits}",
                [f"{IN_Q}quantization_param.weight.bits is {bits}; must be 1 to 16"],
            )
            for bits in (0, 17, -1, 2147483647)
        ),
        (
            GOOD_CONV,
            "bits: 2",
            "bits: 32",
            ["Layer 'q' (QuantizedConvolution): quantization_param.weight.bits is 32"],
        ),
        (
            GOOD,
            "fit: EXACT }",
            "} bias { }",
            [f"{IN_Q}quantization_param.bias.bits is missing", "bias { bits: N }", "1 to 16"],
        ),
        (
            GOOD,
            "fit: EXACT }",
            "} bias { bits: 0 }",
            [f"{IN_Q}quantization_param.bias.bits is 0; must be 1 to 16"],
        ),
        (
            GOOD.replace(BIAS, "bias_term: false"),
            "fit: EXACT }",
            "} bias { bits: 8 }",
            [f"{IN_Q}quantization_param.bias is set", "bias_term: false", "remove one"],
        ),
        (GOOD, "fit: EXACT", "method: TWN", ['"TWN"', '"method"', "UL2Q", "layer 'q'"]),
        (GOOD, "fit: EXACT", "fit: BEST", ['"BEST"', '"fit"', "EXACT PAPER", "layer 'q'"]),
        (GOOD, "bits: 2", "bits: 2.5", ["integer", "2.5", "layer 'q'"]),
        (GOOD, "bits: 2", "bit: 2", ['no field named "bit"', "bits", "layer 'q'"]),
        (
            GOOD,
            '"QuantizedInnerProduct"',
            '"InnerProduct"',
            ["Layer 'q'", "does not read quantization_param", 'type: "QuantizedInnerProduct"'],
        ),
        (
            GOOD_CONV,
            '"QuantizedConvolution"',
            '"Convolution"',
            ["Layer 'q'", 'use type: "QuantizedConvolution"'],
        ),
        (
            GOOD,
            '"QuantizedInnerProduct"',
            '"ReLU"',
            ["Layer 'q'", '"ReLU" does not read quantization_param', "remove it"],
        ),
        (GOOD, '"QuantizedInnerProduct"', '"QuantisedInnerProduct"', ["Unknown layer type"]),
        (
            GOOD_CONV,
            "kernel_size: 3",
            "kernel_size: 3 engine: CUDNN",
            ["Layer 'q' (QuantizedConvolution): convolution_param.engine is CUDNN", "use CAFFE"],
        ),
        (GOOD_CONV, "num_output: 6", "", ["num_output"]),
        (GOOD_CONV, "num_output: 6", "num_output: 6 group: 4", ["group"]),
        (GOOD, 'bottom: "x" top: "y"', 'top: "y"', ["bottom"]),
    ],
)
def test_a_bad_prototxt_is_refused_with_words(
    text: str, old: str, new: str, words: list[str], make_net: NetMaker
) -> None:
    assert old in text
    with pytest.raises(caffe.CaffeError) as error:
        make_net(text.replace(old, new))
    for word in words:
        assert word in str(error.value)
    assert make_net(text).forward()["y"].size  # the process goes on


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("index", "blob"), [(0, "weight"), (1, "bias")])
@pytest.mark.parametrize("name", ["convolution, bias bits", "inner product, bias bits"])
def test_weights_that_are_not_finite_are_named(
    name: str, index: int, blob: str, bad: float, make_net: NetMaker
) -> None:
    case = CASES[name]
    net = make_net(case.net(quantised=True))
    net.forward(x=np.ones(case.shape))
    top = net.blobs["y"].data.copy()
    weights = net.params["q"][index].data.reshape(-1)
    sound = weights[3]
    weights[3] = bad
    words = (
        f"Layer 'q' (Quantized{case.kind}): the {blob} blob holds "
        f"{'NaN' if np.isnan(bad) else 'an infinite value'} at element 3 of {weights.size}"
    )
    for _ in range(2):
        with pytest.raises(caffe.CaffeError, match=re.escape(words) + ".*training has diverged"):
            net.forward(x=np.ones(case.shape))
        # The master is back in its place.
        np.testing.assert_array_equal(net.params["q"][index].data.reshape(-1)[3], np.float32(bad))
    weights[3] = sound
    np.testing.assert_array_equal(net.forward(x=np.ones(case.shape))["y"], top)


def test_float_biases_are_not_checked(make_net: NetMaker) -> None:
    # They are the stock layer's own, NaN or not.
    net = make_net(GOOD)
    net.params["q"][1].data[0] = np.nan
    top = net.forward(x=np.ones((3, 11)))["y"]
    assert np.isnan(top[:, 0]).all()
    assert np.isfinite(top[:, 1:]).all()


def test_weights_of_another_shape_are_refused(make_net: NetMaker, tmp_path: Path) -> None:
    make_net(GOOD).save(tmp_path / "w.caffemodel")
    net = make_net(GOOD.replace("num_output: 7", "num_output: 8"))
    before = net.params["q"][0].data.copy()
    with pytest.raises(caffe.CaffeError, match=r"'q'.*shape mismatch"):
        net.copy_from(tmp_path / "w.caffemodel")
    np.testing.assert_array_equal(net.params["q"][0].data, before)


def test_a_backward_pass_before_any_forward_pass(make_net: NetMaker) -> None:
    case = CASES["inner product"]
    net = make_net(case.net(quantised=True))
    diff = np.random.default_rng(8).normal(size=net.blobs["y"].data.shape)
    net.backward(y=diff)
    wq = quantize(net.params["q"][0].data, case.bits).values
    np.testing.assert_allclose(net.blobs["x"].diff.reshape(3, -1), diff @ wq, rtol=1e-5, atol=1e-5)


def test_the_layers_are_registered() -> None:
    assert {"QuantizedConvolution", "QuantizedInnerProduct"} <= set(caffe.layer_type_list())


def test_net_spec_emits_the_layers(make_net: NetMaker) -> None:
    n = caffe.NetSpec()
    n.data = caffe.layers.Input(shape={"dim": [2, 3, 8, 8]})
    n.conv = caffe.layers.QuantizedConvolution(
        n.data,
        convolution_param={"num_output": 4, "kernel_size": 3},
        quantization_param={"weight": {"bits": 2}, "bias": {"bits": 8}},
    )
    n.ip = caffe.layers.QuantizedInnerProduct(
        n.conv,
        inner_product_param={"num_output": 5},
        quantization_param={"weight": {"bits": 3, "fit": QuantizerParameter.PAPER}},
    )
    message = n.to_proto()
    assert message.layer[1].quantization_param.weight.bits == 2
    assert message.layer[1].quantization_param.bias.bits == 8
    assert message.layer[2].quantization_param.weight.fit == QuantizerParameter.PAPER
    net = make_net(text_format.MessageToString(message))
    assert [layer.type for layer in net.layers][1:] == [
        "QuantizedConvolution",
        "QuantizedInnerProduct",
    ]
    assert net.forward(data=np.ones((2, 3, 8, 8)))["ip"].shape == (2, 5)
