"""Nets whose weights and activations are all quantised: by chance, and those of the package."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from hypothesis import strategies as st

from tests.deploy.trained import fill, inputs_of
from tests.small_nets import inputs
from ul2q import gather_activation_averages
from ul2q.deploy import Graph, Node, lower
from ul2q.deploy.fixed_point import InputFormats, fixed_point
from ul2q.deploy.fixed_point.lower import grid_of
from ul2q.deploy.ops import BinarizeActivation, QuantizeActivation, TernarizeActivation

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = (QuantizeActivation, BinarizeActivation, TernarizeActivation)

_WEIGHTS = st.sampled_from(
    [
        "bits: 1",
        "bits: 2",
        "bits: 2 shift: ZERO granularity: CHANNEL",
        "bits: 3 granularity: CHANNEL",
        "bits: 5",
        "bits: 7 shift: ZERO",
        "bits: 8",
        "method: TERNARY",
        "method: BINARY granularity: CHANNEL",
        "method: CLIP bits: 4",
        "method: FIXED_POINT bits: 3",
    ]
)
_ACTIVATIONS = st.sampled_from(
    [
        "bits: 8 signed: false",
        "bits: 8",
        "bits: 8 shift: ZERO",
        "bits: 4 signed: false",
        "bits: 3",
        "bits: 10",
        "method: CLIP bits: 8",
        "method: CLIP bits: 4 signed: false",
        "method: FIXED_POINT bits: 5",
        "method: BINARY",
        "method: TERNARY",
    ]
)
_BEFORE_ROUNDING = st.lists(
    st.sampled_from(
        [
            ("ReLU", ""),
            ("ReLU", "relu_param { negative_slope: 0.1 }"),
            ("PReLU", ""),
            ("BatchNorm", ""),
            ("Scale", "scale_param { bias_term: true }"),
            ("Power", "power_param { scale: -0.5 shift: 0.1 }"),
            ("Dropout", ""),
            ("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"),
            ("LRN", "lrn_param { local_size: 3 alpha: 2 norm_region: WITHIN_CHANNEL }"),
            ("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"),
            ("Pooling", "pooling_param { pool: MAX kernel_size: 2 pad: 1 }"),
            ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"),
            ("Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 1 }"),
        ]
    ),
    max_size=3,
)


class _Text:
    """A net that grows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.text = inputs(x=shape)
        self.count = 0

    def add(self, kind: str, bottoms: list[str], fields: str) -> str:
        """A layer; the blob that it makes."""
        self.count += 1
        name = f"{kind.lower()}-{self.count}"
        read = " ".join(f'bottom: "{blob}"' for blob in bottoms)
        self.text += f'layer {{ name: "{name}" type: "{kind}" {read} top: "{name}" {fields} }}\n'
        return name


def _weighted(draw: st.DrawFn, net: _Text, blob: str, outputs: int) -> str:
    small = st.integers(1, 3)
    group = draw(st.sampled_from([1, 1, 2]))
    return net.add(
        "QuantizedConvolution",
        [blob],
        f"convolution_param {{ num_output: {outputs} group: {group} "
        f"kernel_h: {draw(small)} kernel_w: {draw(small)} stride: {draw(st.integers(1, 2))} "
        f"pad: {draw(st.integers(0, 2))} dilation: {draw(st.integers(1, 2))} "
        f"bias_term: {str(draw(st.booleans())).lower()} }} "
        f"quantization_param {{ weight {{ {draw(_WEIGHTS)} }} }}",
    )


def _rounded(draw: st.DrawFn, net: _Text, blob: str) -> str:
    for kind, fields in draw(_BEFORE_ROUNDING):
        blob = net.add(kind, [blob], fields)
    return _rounded_alone(draw, net, blob)


@st.composite
def nets(draw: st.DrawFn) -> str:
    """Convolutions, perhaps two branches that meet, and an inner product."""
    net = _Text((draw(st.integers(1, 2)), 2, draw(st.integers(7, 9)), draw(st.integers(6, 9))))
    blob = "x"
    if draw(st.booleans()):
        blob = _rounded(draw, net, blob)
    for _ in range(draw(st.integers(1, 2))):
        blob = _weighted(draw, net, blob, 2 * draw(st.integers(1, 3)))
        blob = _rounded(draw, net, blob)
    meeting = draw(st.sampled_from(["", "Eltwise", "Concat"]))
    if meeting:
        fields = draw(
            st.sampled_from(
                [
                    "",
                    "eltwise_param { operation: MAX }",
                    "eltwise_param { coeff: 0.5 coeff: -2 }",
                ]
            )
            if meeting == "Eltwise"
            else st.sampled_from(["", "concat_param { axis: 2 }", "concat_param { axis: 3 }"])
        )
        one = net.add("QuantizedConvolution", [blob],
                      "convolution_param { num_output: 4 kernel_size: 1 } "
                      "quantization_param { weight { bits: 2 } }")  # fmt: skip
        other = net.add("QuantizedConvolution", [blob],
                        "convolution_param { num_output: 4 kernel_size: 3 pad: 1 } "
                        "quantization_param { weight { bits: 4 shift: ZERO } }")  # fmt: skip
        if draw(st.booleans()):
            other = _rounded_alone(draw, net, other)
        blob = _rounded(draw, net, net.add(meeting, [one, other], fields))
    if draw(st.booleans()):
        blob = net.add("Flatten", [blob], "")
    blob = net.add("QuantizedInnerProduct", [blob], "inner_product_param { num_output: 3 } "
                   f"quantization_param {{ weight {{ {draw(_WEIGHTS)} }} }}")  # fmt: skip
    if draw(st.booleans()):
        net.add("Softmax", [blob], "")
    return net.text


def _rounded_alone(draw: st.DrawFn, net: _Text, blob: str) -> str:
    return net.add(
        "QuantizedActivation",
        [blob],
        f"quantization_param {{ activation {{ {draw(_ACTIVATIONS)} }} }}",
    )


def on_grid(net: Any) -> dict[str, NDArray[Any]]:
    """Inputs that 16 bits hold exactly, in steps of 1/128 or finer ones."""
    return {name: np.rint(array * 128) / 128 for name, array in inputs_of(net).items()}


def calibrated(text: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """A net with averages, and inputs that 16 bits hold exactly."""
    net = fill(caffe.Net.from_proto(text, caffe.TEST))
    values = on_grid(net)
    gather_activation_averages(net, [values])
    return net, values


def fed(graph: Graph) -> tuple[Graph, dict[str, Any]]:
    """The graph with each rounded tensor given, so that no layer reads another one's codes.

    Returns:
        The graph, whose outputs are all rounded tensors, and the operations that make these.
    """
    steps = {node.outputs[0]: node.op for node in graph.nodes if isinstance(node.op, ROUNDING)}
    nodes, shapes, given = [], dict(graph.shapes), []
    for node in graph.nodes:
        inputs = tuple(f"{name}/q" if name in steps else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        for name in set(node.outputs) & set(steps):
            given.append(f"{name}/given")
            shapes[f"{name}/given"] = shapes[f"{name}/q"] = shapes[name]
            nodes.append(Node(f"{name}/q", steps[name], (given[-1],), (f"{name}/q",), "given"))
    outputs = tuple(dict.fromkeys((*steps, *graph.outputs)))
    changed = replace(
        graph, inputs=(*graph.inputs, *given), outputs=outputs, nodes=tuple(nodes), shapes=shapes
    )
    return changed, steps


def differing(net: Any, values: dict[str, NDArray[Any]]) -> tuple[int, float, int]:
    """How many codes of integer arithmetic are others than Caffe's.

    Each layer reads Caffe's own codes: one that differs would move many behind it.

    Returns:
        Those that differ; how far, in levels, the value of one of these lies from the border
        between two levels at most; and how many codes there are.
    """
    net.forward(**values)
    graph, rounded = fed(lower(net))
    largest = {name: float(np.abs(array).max()) for name, array in values.items()}
    whole = fixed_point(graph, InputFormats(largest=largest))
    given = {f"{name}/given": net.blobs[name].data.copy() for name in rounded}
    found = whole.run(whole.integers(values | given))
    count = different = 0
    farthest = 0.0
    for name, op in rounded.items():
        tensor = whole.tensors[whole.outputs[name].tensor]
        image = (-1, *tensor.image)
        grid = grid_of(op)
        assert grid is not None
        wanted = grid.integers(net.blobs[name].data.reshape(image))
        wrong = found[name] != wanted
        (bottom,) = _bottoms(net, name)
        position = net.blobs[bottom].data.reshape(image) * grid.factor + grid.offset
        # Borders lie half way between two integers.
        distances = np.abs(position % 1 - 0.5)
        levels = np.abs(found[name] - wanted) // grid.gain
        distances[levels > 1] = 1
        farthest = max(farthest, float(distances[wrong].max(initial=0)))
        different += int(np.count_nonzero(wrong))
        count += wrong.size
    for name in graph.outputs:
        if name not in rounded:
            made, wanted = whole.values(found)[name], net.blobs[name].data
            np.testing.assert_allclose(made, wanted, atol=2e-5 * max(1.0, np.abs(wanted).max()))
    return different, farthest, count


def _bottoms(net: Any, blob: str) -> list[str]:
    """Those of the layer that makes a blob."""
    return next(net.bottom_names[name] for name, tops in net.top_names.items() if blob in tops)
