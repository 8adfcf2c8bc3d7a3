"""Every method in every layer: against the stock layer with the NumPy reference's parameters.

test_layers.py holds what does not depend on the method.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests import reference
from tests.method_options import ALL_OPTIONS, METHODS, run
from tests.reference import Options
from tests.small_nets import inputs, one_layer_net, solver_message

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PHASES = {"TRAIN": caffe.TRAIN, "TEST": caffe.TEST}
# One width of each method, of few levels: CLIPPED then has something to clip.
METHOD_OPTIONS = [Options(m.name, None if m.bits_are_fixed else 3) for m in METHODS.values()]


@dataclass(frozen=True)
class Kind:
    """A layer with weights, its parameters as in a prototxt, and the shape of its bottom."""

    type: str
    param: str
    shape: tuple[int, ...]
    axis: int = 0  # of the output channels
    group: int = 1  # of which the axis counts one

    @property
    def is_embed(self) -> bool:
        return self.type == "Embed"

    def channels(self, w: Array) -> list[Array]:
        """The weights of each output channel, as views."""
        groups = np.split(w, self.group) if self.axis else [w]
        return [channel for part in groups for channel in np.moveaxis(part, self.axis, 0)]

    def bottom(self, rng: np.random.Generator) -> Array:
        values = rng.integers(0, 12, self.shape) if self.is_embed else rng.normal(size=self.shape)
        return values.astype(np.float32)

    def net(self, quantization: str = "") -> str:
        """A net of this layer, named q; float without `quantization`.

        loss_weight: a backward pass goes as far as there is a loss. Embed's bottom has no gradient.
        """
        fields = f"loss_weight: 1 {self.param}"
        if quantization:
            fields += f" quantization_param {{ {quantization} }}"
        kind = f"Quantized{self.type}" if quantization else self.type
        return one_layer_net(kind, fields, self.shape, force_backward=not self.is_embed)


KINDS = {
    "convolution": Kind(
        "Convolution", "convolution_param { num_output: 6 kernel_size: 3 stride: 2 }", (2, 3, 7, 8)
    ),
    "grouped convolution": Kind(
        "Convolution", "convolution_param { num_output: 6 kernel_size: 3 group: 3 }", (2, 6, 5, 4)
    ),
    "dilated convolution": Kind(
        "Convolution",
        "convolution_param { num_output: 4 kernel_size: 3 dilation: 2 }",
        (1, 3, 6, 7),
    ),
    "deconvolution": Kind(
        "Deconvolution",
        "convolution_param { num_output: 6 kernel_size: 3 stride: 2 }",
        (2, 4, 3, 4),
        axis=1,
    ),
    "grouped deconvolution": Kind(
        "Deconvolution",
        "convolution_param { num_output: 6 kernel_size: 3 group: 2 }",
        (2, 4, 3, 3),
        axis=1,
        group=2,
    ),
    "inner product": Kind("InnerProduct", "inner_product_param { num_output: 7 }", (3, 2, 5)),
    "transposed inner product": Kind(
        "InnerProduct", "inner_product_param { num_output: 7 transpose: true }", (3, 11), axis=1
    ),
    "embed": Kind("Embed", "embed_param { num_output: 6 input_dim: 12 }", (20,), axis=1),
}


def quantizer(field: str, o: Options, **others: str) -> str:
    """`weight { method: UL2Q … }`."""
    fields = {"method": o.method.upper(), "bits": o.bits, "fit": o.fit.upper()}
    fields["shift"] = o.shift and o.shift.upper()
    text = " ".join(f"{name}: {value}" for name, value in (fields | others).items() if value)
    return f"{field} {{ {text} }}"


def quantized(w: Array, o: Options) -> Array:
    """The values that a whole array gets."""
    # Of EMPIRICAL the reference knows properties; test_quantizers.py holds ul2q.quantize to them.
    return run(w, o).values if o.fit == "empirical" else reference.quantize(w, o)


def is_within_levels(w: Array, o: Options) -> Array:
    """Where the clipped gradient passes."""
    numbers = np.array(reference.codes_of(o).numbers)
    if o.fit == "empirical":
        got = run(w, o)
        fitted = reference.Fitted(got.scale, got.shift)
    else:
        fitted = reference.fit(w, o)
    lowest, highest = reference.decode(numbers[[0, -1]], fitted, o, w.dtype)
    return np.asarray((lowest <= w) & (w <= highest))


def by_channel(kind: Kind, granularity: str, w: Array, function: Any) -> Array:
    """Function(array) of each part of `w` with a scale of its own, put together."""
    if granularity == "TENSOR":
        return np.asarray(function(w))
    result = np.empty_like(w)
    for part, out in zip(kind.channels(w), kind.channels(result), strict=True):
        out[...] = function(part)
    return result


def fill(blobs: Iterable[Any], rng: np.random.Generator) -> list[Array]:
    """Weights off zero, with heavy tails: with channels, quantised far otherwise than without."""
    for blob in blobs:
        blob.data[...] = 0.2 + 0.3 * rng.standard_t(4, blob.data.shape)
    return [blob.data.copy() for blob in blobs]


def check(
    kind: Kind,
    options: tuple[Options, Options | None],
    phase: int,
    granularity: str = "TENSOR",
    gradient: str = "IDENTITY",
) -> None:
    """Hold top, bottom diff and parameter diffs against the stock layer's."""
    weight, bias = options
    text = quantizer("weight", weight, granularity=granularity, gradient=gradient)
    if bias:
        text += quantizer("bias", bias, gradient=gradient)
    net = caffe.Net.from_proto(kind.net(text), phase)
    stock = caffe.Net.from_proto(kind.net(), phase)
    rng = np.random.default_rng(1)
    for blob in net.params["q"]:
        blob.diff[...] = rng.normal(size=blob.diff.shape)
    for _ in range(2):  # the second time with other weights: nothing is kept from the first
        masters = fill(net.params["q"], rng)
        before = [blob.diff.copy() for blob in net.params["q"]]
        values = [by_channel(kind, granularity, masters[0], lambda w: quantized(w, weight))]
        values.append(quantized(masters[1], bias) if bias else masters[1])
        for blob, value in zip(stock.params["q"], values, strict=True):
            blob.data[...] = value
        stock.clear_param_diffs()
        x, top_diff = kind.bottom(rng), rng.normal(size=net.blobs["y"].data.shape)
        for each in (net, stock):
            each.forward(x=x)
            each.backward(y=top_diff)

        for name, part in (("y", "data"), ("x", "diff")):
            got, want = (getattr(each.blobs[name], part) for each in (net, stock))
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=f"{part} of {name}")
        if values[0].any():  # one bit of CLIP has no level for positive weights
            assert np.abs(net.blobs["y"].data).max() > 0.1
            assert kind.is_embed or np.abs(net.blobs["x"].diff).max() > 0.1

        gradients = [blob.diff.copy() for blob in stock.params["q"]]
        assert all(gradient.any() for gradient in gradients)
        if gradient == "CLIPPED":
            mask = by_channel(kind, granularity, masters[0], lambda w: is_within_levels(w, weight))
            assert mask.any()
            assert reference.DEFINITIONS[weight.method].covers_range or not mask.all()
            gradients[0] *= mask
            if bias:
                gradients[1] *= is_within_levels(masters[1], bias)
        for blob, start, step in zip(net.params["q"], before, gradients, strict=True):
            np.testing.assert_allclose(blob.diff, start + step, rtol=1e-5, atol=1e-5)
        for blob, master in zip(net.params["q"], masters, strict=True):
            np.testing.assert_array_equal(blob.data, master)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("gradient", ["IDENTITY", "CLIPPED"])
@pytest.mark.parametrize("granularity", ["TENSOR", "CHANNEL"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", METHOD_OPTIONS, ids=lambda o: o.method)
def test_a_method_in_a_layer(
    options: Options, kind: str, granularity: str, gradient: str, phase: str
) -> None:
    for bias in (None, options):
        check(KINDS[kind], (options, bias), PHASES[phase], granularity, gradient)


@pytest.mark.parametrize("granularity", ["TENSOR", "CHANNEL"])
@pytest.mark.parametrize("kind", ["grouped deconvolution", "transposed inner product"])
@pytest.mark.parametrize(
    "options", [o for o in ALL_OPTIONS if o.signed and o.bits in (None, 1, 2, 4, 8, 16)], ids=str
)
def test_fits_shifts_and_widths_in_a_layer(options: Options, kind: str, granularity: str) -> None:
    check(KINDS[kind], (options, options), caffe.TRAIN, granularity)


def test_a_bias_may_have_a_method_of_its_own() -> None:
    for weight, bias in itertools.permutations(METHOD_OPTIONS, 2):
        check(KINDS["convolution"], (weight, bias), caffe.TRAIN)


@pytest.mark.parametrize("name", KINDS)
def test_the_channels_of_the_tests_are_those_of_the_top(name: str) -> None:
    # What "CHANNEL" has to mean, told by the stock layer: a weight reaches one channel of the top.
    kind = KINDS[name]
    net = caffe.Net.from_proto(kind.net(), caffe.TEST)
    rng = np.random.default_rng(2)
    weights = net.params["q"][0].data
    net.params["q"][1].data[...] = 0
    x = kind.bottom(rng)
    count = net.blobs["y"].data.shape[1]
    assert len(kind.channels(weights)) == count
    for number, channel in enumerate(kind.channels(weights)):
        weights[...] = 0
        channel[...] = rng.normal(size=channel.shape)
        top = np.moveaxis(net.forward(x=x)["y"], 1, 0)
        assert top[number].any()
        assert not np.delete(top, number, axis=0).any()


@pytest.mark.parametrize("options", METHOD_OPTIONS, ids=lambda o: o.method)
def test_layers_that_share_a_weight_each_add_their_gradient(options: Options) -> None:
    """Two inner products on one 4 × 4 master: b clips its gradient, a does not."""
    a, b = Options("ul2q", 4), options
    layers = "".join(
        f'layer {{ name: "{name}" type: "QuantizedInnerProduct" bottom: "{bottom}" top: "{name}"'
        '  param { name: "w" } inner_product_param { num_output: 4 bias_term: false }'
        f"  quantization_param {{ {quantizer('weight', o, gradient=gradient)} }} }}"
        for name, bottom, o, gradient in (("a", "x", a, "IDENTITY"), ("b", "a", b, "CLIPPED"))
    )
    net = caffe.Net.from_proto(
        "force_backward: true " + inputs(x=(5, 4)) + layers,
        caffe.TRAIN,
    )
    rng = np.random.default_rng(3)
    (master,) = fill(net.params["a"], rng)
    for _ in range(2):  # the gradients add up
        x, top_diff = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
        before = net.params["a"][0].diff.copy()
        net.forward(x=x)
        net.backward(b=top_diff)
        wa, wb = (quantized(master, o).astype(np.float64) for o in (a, b))
        want = (top_diff @ wb).T @ x + (top_diff.T @ (x @ wa.T)) * is_within_levels(master, b)
        for name in "ab":
            np.testing.assert_allclose(
                net.params[name][0].diff, before + want, rtol=1e-4, atol=1e-5
            )
    np.testing.assert_array_equal(net.params["b"][0].data, master)


def stochastic_net(phase: int) -> tuple[Any, Array]:
    """A net that shows its quantised weights for x = 1, and its masters."""
    text = quantizer("weight", Options("fixed_point", 3), rounding="STOCHASTIC")
    kind = Kind("InnerProduct", "inner_product_param { num_output: 60 bias_term: false }", (50, 50))
    net = caffe.Net.from_proto(kind.net(text), phase)
    return net, fill(net.params["q"], np.random.default_rng(4))[0]


def shown_weights(net: Any) -> Array:
    return np.array(net.forward(x=np.eye(50))["y"].T)


def test_stochastic_rounding_while_training() -> None:
    net, master = stochastic_net(caffe.TRAIN)
    o = Options("fixed_point", 3)
    fitted = reference.fit(master, o)
    positions = reference.position(master, fitted, o)
    draws = []
    for seed in (1, 2, 1):
        caffe.set_random_seed(seed)
        draws.append([shown_weights(net) for _ in range(100)])
        # The gradient to the bottom uses the very weights of the forward pass.
        net.backward(y=np.eye(50, 60))
        np.testing.assert_array_equal(net.blobs["x"].diff, draws[-1][-1][:50])
    one, other, again = draws
    np.testing.assert_array_equal(one, again)
    for a, b in ((one[0], one[1]), (one[0], other[0])):
        assert (a != b).mean() > 0.1
    codes = np.array([*one, *other]) / fitted.scale
    assert (np.abs(codes - positions) < 1).all()
    share = positions - np.floor(positions)
    errors = codes.mean(axis=0) - positions
    assert abs(errors.sum()) < 5 * np.sqrt(np.sum(share * (1 - share)) / len(codes))


def test_stochastic_rounding_is_to_the_nearest_when_testing() -> None:
    net, master = stochastic_net(caffe.TEST)
    want = reference.quantize(master, Options("fixed_point", 3))
    for _ in range(2):
        np.testing.assert_array_equal(shown_weights(net), want)


# Training: 24 patterns of 4 classes, the layer under test, and a float classifier.
TRAINED = {
    "Convolution": ("dim: 1 dim: 6 dim: 6", "convolution_param { num_output: 8 kernel_size: 3 F }"),
    "Deconvolution": (
        "dim: 2 dim: 3 dim: 3",
        "convolution_param { num_output: 6 kernel_size: 2 F }",
    ),
    "InnerProduct": ("dim: 20", "inner_product_param { num_output: 12 F }"),
    "Embed": ("dim: 5", "embed_param { num_output: 8 input_dim: 10 F }"),
}
FILLER = 'weight_filler { type: "gaussian" std: 0.3 }'


def make_solver(folder: Path, kind: str, quantization: str, seed: int = 1) -> Any:
    """A solver whose train net holds a problem that can be learnt by heart."""
    dims, param = TRAINED[kind]
    net = f"""
        layer {{ name: "x" type: "Input" top: "x" top: "label"
          input_param {{ shape {{ dim: 24 {dims} }} shape {{ dim: 24 }} }} }}
        layer {{ name: "q" type: "Quantized{kind}" bottom: "x" top: "q"
          {param.replace("F", FILLER)} quantization_param {{ {quantization} }} }}
        layer {{ name: "relu" type: "ReLU" bottom: "q" top: "q" }}
        layer {{ name: "out" type: "InnerProduct" bottom: "q" top: "out"
          inner_product_param {{ num_output: 4 {FILLER} }} }}
        layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }}
        """
    message = solver_message(folder, net, base_lr=0.05, momentum=0.9, random_seed=seed)
    solver = caffe.get_solver(message)
    rng = np.random.default_rng(6)
    blobs = solver.net.blobs
    labels = np.arange(24) % 4
    shape = blobs["x"].data.shape[1:]
    if kind == "Embed":
        blobs["x"].data[...] = rng.integers(0, 10, (4, *shape))[labels]
    else:
        noise = 0.3 * rng.normal(size=(24, *shape))
        blobs["x"].data[...] = rng.normal(size=(4, *shape))[labels] + noise
    blobs["label"].data[...] = labels
    return solver


def losses_of(solver: Any, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    return losses


@pytest.mark.parametrize("gradient", ["IDENTITY", "CLIPPED"])
@pytest.mark.parametrize("granularity", ["TENSOR", "CHANNEL"])
@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("options", METHOD_OPTIONS, ids=lambda o: o.method)
def test_the_loss_falls(
    options: Options, kind: str, granularity: str, gradient: str, tmp_path: Path
) -> None:
    text = quantizer("weight", options, granularity=granularity, gradient=gradient)
    solver = make_solver(tmp_path, kind, text + quantizer("bias", Options("ul2q", 8)))
    start = solver.net.params["q"][0].data.copy()
    losses = losses_of(solver, 60)
    assert np.mean(losses[-10:]) < 0.35 * losses[0]
    assert np.abs(solver.net.params["q"][0].data - start).max() > 0.01


@pytest.mark.parametrize("kind", TRAINED)
def test_a_random_seed_gives_one_training_by_stochastic_rounding(kind: str, tmp_path: Path) -> None:
    text = quantizer("weight", Options("fixed_point", 4), rounding="STOCHASTIC")
    runs = []
    for seed in (1, 1, 2):
        solver = make_solver(tmp_path, kind, text, seed)
        rng = np.random.default_rng(7)  # the seed is that of the fillers, too
        for blobs in solver.net.params.values():
            for blob in blobs:
                blob.data[...] = rng.normal(0, 0.3, blob.data.shape)
        losses = losses_of(solver, 40)
        assert np.mean(losses[-5:]) < 0.5 * losses[0]
        runs.append(solver.net.params["q"][0].data.copy())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


W, B = "quantization_param.weight.", "quantization_param.bias."
REFUSALS = [
    (
        "weight { bits: 2 } bias { bits: 2 granularity: CHANNEL }",
        f"{B}granularity is CHANNEL",
        "TENSOR",
    ),
    ("weight { bits: 2 signed: true }", f"{W}signed is for", "leave it out"),
    ("weight { bits: 2 signed: false }", f"{W}signed is for", "leave it out"),
    ("weight { bits: 2 } bias { bits: 2 signed: true }", f"{B}signed is for", "leave it out"),
    (
        "weight { bits: 2 moving_average_fraction: 0.9 }",
        f"{W}moving_average_fraction is for",
        "leave",
    ),
    (
        "weight { bits: 2 } activation { bits: 8 }",
        "quantization_param.activation is for a layer of type",
        "QuantizedActivation",
    ),
    *(
        (
            f"weight {{ method: {m.name.upper()} bits: {m.max_bits} {option} }}",
            f"{W}{words}",
            "takes",
        )
        for m in METHODS.values()
        for option, words, is_taken in (
            ("fit: PAPER", "fit is PAPER; method", m.has_paper_fit),
            ("shift: MEAN", "shift is MEAN; method", m.has_mean_shift),
            ("rounding: STOCHASTIC", "rounding is STOCHASTIC; method", m.has_stochastic_rounding),
        )
        if not is_taken
    ),
    *(
        (
            f"weight {{ method: {m.name.upper()} bits: {bits} }}",
            f"{W}bits is {bits}; must be",
            f"for method {m.name.upper()}",
        )
        for m in METHODS.values()
        for bits in (m.min_bits - 1, m.max_bits + 1)
    ),
    *(
        (
            f"weight {{ method: {m.name.upper()} }}",
            f"{W}bits is missing; method {m.name.upper()} takes {m.min_bits} to {m.max_bits}",
            "write quantization_param { weight { bits: N } }",
        )
        for m in METHODS.values()
        if m.min_bits != m.max_bits
    ),
    (
        "weight { method: TERNARY } bias { method: CLIP bits: 0 }",
        f"{B}bits is 0; must be 1 to 16",
        "CLIP",
    ),
]


@pytest.mark.parametrize("kind", ["convolution", "deconvolution", "inner product", "embed"])
@pytest.mark.parametrize(("quantization", "words", "remedy"), REFUSALS)
def test_what_a_layer_does_not_take_is_refused(
    quantization: str, words: str, remedy: str, kind: str
) -> None:
    with pytest.raises(caffe.CaffeError) as error:
        caffe.Net.from_proto(KINDS[kind].net(quantization), caffe.TRAIN)
    message = str(error.value)
    assert f"Layer 'q' (Quantized{KINDS[kind].type}): {words}" in message
    assert remedy in message


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("granularity", ["TENSOR", "CHANNEL"])
@pytest.mark.parametrize("options", METHOD_OPTIONS, ids=lambda o: o.method)
def test_weights_that_are_not_finite_are_named(
    options: Options, granularity: str, phase: str
) -> None:
    text = quantizer("weight", options, granularity=granularity)
    net = caffe.Net.from_proto(KINDS["grouped deconvolution"].net(text), PHASES[phase])
    (master, _) = fill(net.params["q"], np.random.default_rng(8))
    net.params["q"][0].data.reshape(-1)[17] = np.nan
    with pytest.raises(
        caffe.CaffeError, match=rf"weight blob holds NaN at element 17 of {master.size}"
    ):
        net.forward()
    net.params["q"][0].data[...] = master
    assert np.isfinite(net.forward()["y"]).all()
