"""Small nets by chance, as text, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.small_nets import inputs

_BITS = st.sampled_from(
    [
        "bits: 1",
        "bits: 2",
        "bits: 2 shift: ZERO granularity: CHANNEL",
        "bits: 3 shift: ZERO",
        "bits: 4 granularity: CHANNEL",
        "bits: 5",
        "bits: 8",
        "method: TERNARY",
        "method: BINARY granularity: CHANNEL",
        "method: CLIP bits: 4",
        "method: FIXED_POINT bits: 3",
        "",
    ]
)
_PLAIN = st.sampled_from(
    [
        ("ReLU", ""),
        ("ReLU", "relu_param { negative_slope: 0.1 }"),
        ("PReLU", ""),
        ("TanH", ""),
        ("Sigmoid", ""),
        ("AbsVal", ""),
        ("ELU", ""),
        ("BNLL", ""),
        ("Power", "power_param { scale: 0.5 shift: 0.1 }"),
        ("Dropout", ""),
        ("Scale", "scale_param { bias_term: true }"),
        ("Bias", ""),
        ("BatchNorm", ""),
        ("LRN", "lrn_param { local_size: 3 alpha: 0.5 }"),
        (
            "MVN",
            "mvn_param { eps: 0.1 }",
        ),  # of any eps, a nearly constant input has no stable result
    ]
)


def _quantized(kind: str, bits: str) -> tuple[str, str]:
    """The type, and the field that quantises its weights."""
    if not bits:
        return kind, ""
    return f"Quantized{kind}", f"quantization_param {{ weight {{ {bits} }} }}"


@st.composite
def layer(draw: st.DrawFn) -> tuple[str, str]:
    """The type and the fields of a layer that reads images."""
    what = draw(st.sampled_from(["Convolution", "Deconvolution", "Pooling", "plain", "plain"]))
    if what == "plain":
        return draw(_PLAIN)
    small = st.integers(1, 3)
    if what == "Pooling":
        kernel = draw(st.integers(1, 3))
        stride, pad = draw(st.integers(1, kernel)), draw(st.integers(0, kernel - 1))
        pool = draw(st.sampled_from(["MAX", "AVE"]))
        return what, (
            f"pooling_param {{ pool: {pool} kernel_size: {kernel} stride: {stride} pad: {pad} }}"
        )
    group = draw(st.sampled_from([1, 1, 2]))
    kind, field = _quantized(what, draw(_BITS))
    return kind, (
        f"convolution_param {{ num_output: {2 * draw(small)} group: {group} "
        f"kernel_size: {draw(small)} stride: {draw(st.integers(1, 2))} "
        f"pad: {draw(st.integers(0, 1))} dilation: {draw(st.integers(1, 2))} "
        f"bias_term: {str(draw(st.booleans())).lower()} }} {field}"
    )


@st.composite
def nets(draw: st.DrawFn) -> str:
    """A chain of layers in place or not, perhaps a sum of two branches, and an inner product."""
    shape = (draw(st.integers(1, 2)), 2, draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    text, blob = inputs(x=shape), "x"
    for index, (kind, fields) in enumerate(draw(st.lists(layer(), min_size=1, max_size=6))):
        in_place = kind in {"ReLU", "TanH", "Dropout", "Scale", "BatchNorm"} and blob != "x"
        top = blob if in_place and draw(st.booleans()) else f"b{index}"
        text += _layer(f"l{index}", kind, [blob], top, fields)
        blob = top
    if draw(st.booleans()):
        text += _layer("two", "Eltwise", [blob, blob], "sum", "")
        blob = "sum"
    kind, field = _quantized("InnerProduct", draw(_BITS))
    options = f"inner_product_param {{ num_output: 3 }} {field}"
    return text + _layer("ip", kind, [blob], "ip", options)


def _layer(name: str, kind: str, bottoms: list[str], top: str, fields: str) -> str:
    read = " ".join(f'bottom: "{blob}"' for blob in bottoms)
    return f'layer {{ name: "{name}" type: "{kind}" {read} top: "{top}" {fields} }}\n'
