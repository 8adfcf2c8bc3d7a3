"""What `import caffe` adds to BVLC's pycaffe: layers in net_spec, tables of nets and blobs.

caffe/__init__.py calls `install` at its end. Importing this module does not load Caffe.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ul2q.nets.layer_types import ACTIVATION, QUANTIZED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caffe._caffe import Blob, Layer, Net
    from caffe.proto.caffe_pb2 import LayerParameter
    from google.protobuf.descriptor import FieldDescriptor

    from ul2q.statistics import BlobStatistics


def install() -> None:
    """Extend caffe.net_spec, caffe.Net and caffe.Blob."""
    from caffe import _caffe, net_spec  # noqa: PLC0415

    _extend_net_spec(net_spec, _caffe.layer_type_list())
    for cls, method, function in (
        (_caffe.Net, "__repr__", net_text),
        (_caffe.Net, "_repr_html_", net_html),
        (_caffe.Net, "quantization_statistics", _net_statistics),
        (_caffe.Blob, "__repr__", blob_text),
    ):
        setattr(cls, method, function)


def _net_statistics(net: Net) -> list[BlobStatistics]:
    from ul2q import statistics  # noqa: PLC0415

    return statistics.net_statistics(net)


# net_spec


def _extend_net_spec(net_spec: Any, layer_types: list[str]) -> None:
    """Let caffe.layers list the layers, say what each takes, and know the quantised ones.

    A quantised layer takes the fields of its float layer: `L.QuantizedConvolution(bottom,
    num_output=20)` sets convolution_param.num_output.
    """
    param_names: dict[str, str] = net_spec._param_names
    for name in layer_types:
        base = name.removeprefix(QUANTIZED)
        if name.startswith(QUANTIZED) and base in param_names:
            param_names[name] = param_names[base]

    layers = net_spec.Layers
    make_function = layers.__getattr__

    @cache
    def documentation(layer_type: str) -> str:
        field = f"{param_names.get(layer_type)}_param"
        descriptor = net_spec.caffe_pb2.LayerParameter.DESCRIPTOR
        return _layer_documentation(layer_type, descriptor.fields_by_name.get(field))

    def layer_function(self: Any, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # what Python looks for, in copy() or help()
            raise AttributeError(name)
        function: Callable[..., Any] = make_function(self, name)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = documentation(name)
        return function

    def message_names(_: Any) -> list[str]:
        suffix = "Parameter"
        names = [name for name in dir(net_spec.caffe_pb2) if name.endswith(suffix)]
        return [name.removesuffix(suffix) for name in names]

    layers.__getattr__ = layer_function
    layers.__dir__ = lambda _: sorted(layer_types)
    layers.__doc__ += f"\n\n    The layers of this Caffe: {', '.join(sorted(layer_types))}.\n"
    net_spec.Parameters.__dir__ = message_names


def _layer_documentation(layer_type: str, field: FieldDescriptor | None) -> str:
    lines = [
        f"A {layer_type} layer: {layer_type}(*bottoms, ntop=1, in_place=False, **fields) -> Top.",
        "",
        "Bottoms are Tops of other layers; ntop=0 gives the layer itself, 2 or more a tuple.",
    ]
    if layer_type.startswith(QUANTIZED):
        field_name, bits = ("activation", 8) if layer_type == ACTIVATION else ("weight", 2)
        example = f"dict({field_name}=dict(bits={bits}))"
        lines += [f"quantization_param, e.g. {example}, is required."]
    if field is not None and field.message_type is not None:
        fields = field.message_type.fields
        lines += ["", f"Fields of {field.name}:"]
        lines += [f"    {field.name}: {_field_type(field)}" for field in fields]
    lines += ["", "Fields of the layer, e.g. param, loss_weight, include, are given by name, too."]
    return "\n".join(lines)


_SCALARS = {
    "INT32": "int",
    "INT64": "int",
    "UINT32": "int >= 0",
    "UINT64": "int >= 0",
    "FLOAT": "float",
    "DOUBLE": "float",
    "BOOL": "bool",
    "STRING": "str",
    "BYTES": "bytes",
}


def _field_type(field: FieldDescriptor) -> str:
    """E.g. "int >= 0, default 1" or "one of MAX, AVE, default MAX"."""
    if field.message_type is not None:
        text = f"dict of {field.message_type.name}'s fields"
    elif field.enum_type is not None:
        text = f"one of {', '.join(value.name for value in field.enum_type.values)}"
    else:
        names = {getattr(field, f"TYPE_{name}"): python for name, python in _SCALARS.items()}
        text = names[field.type]
    if field.message_type is None and field.has_default_value:
        default = field.default_value
        if field.enum_type is not None:
            default = field.enum_type.values_by_number[default].name
        text += f", default {default}"
    return text


# Tables


@dataclass(frozen=True)
class LayerRow:
    """A layer as the tables show it."""

    name: str
    type: str
    tops: Sequence[str]
    shapes: Sequence[Sequence[int]]  # of the tops
    parameters: int  # elements of its blobs
    bits: str  # of the weights, + those of the biases; of activations; "" for a float layer


def layer_rows(net: Net) -> list[LayerRow]:
    """The layers in the order of the forward pass."""
    names, blob_names, blobs = net._layer_names, net._blob_names, net._blobs
    rows = []
    for index, layer in enumerate(net.layers):
        tops = net._top_ids(index)
        rows.append(
            LayerRow(
                name=names[index],
                type=layer.type,
                tops=[blob_names[top] for top in tops],
                shapes=[blobs[top].shape for top in tops],
                parameters=sum(blob.count for blob in layer.blobs),
                bits=_bits(layer),
            )
        )
    return rows


def _bits(layer: Layer) -> str:
    if layer.type == "Python":  # whose author may have put something else under param
        return ""
    return bits_text(layer.param)


def bits_text(param: LayerParameter) -> str:
    """Bits of a quantised layer's codes, "2", or "2+8" with those of the biases; else ""."""
    from ul2q.nets.quantization import code_bits  # noqa: PLC0415

    fields = param.quantization_param.ListFields()  # weight before bias
    return "+".join(str(code_bits(quantizer)) for _, quantizer in fields)


_HEADINGS = ("layer", "type", "top", "shape", "parameters", "bits")


def net_text(net: Net) -> str:
    """`repr(net)`: a line for the net, then a table of its layers."""
    rows = layer_rows(net)
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_summary(net, rows)]
    for row in cells:
        aligned = (
            cell.rjust(width) if heading == "parameters" else cell.ljust(width)
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
        )
        lines.append(("  " + "  ".join(aligned)).rstrip())
    return "\n".join(lines)


def net_html(net: Net) -> str:
    """The same as an HTML table, for notebooks."""
    rows = layer_rows(net)
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row)) + "</tr>"
        for row in rows
    )
    caption = html.escape(_summary(net, rows))
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


def blob_text(blob: Blob) -> str:
    """`repr(blob)`, e.g. <caffe.Blob 64 × 1 × 28 × 28>."""
    return f"<caffe.Blob {_shape(blob.shape)}>"


def _summary(net: Net, rows: Sequence[LayerRow]) -> str:
    parameters = _count(sum(row.parameters for row in rows), "parameter")
    phase = ("TRAIN", "TEST")[net.phase]
    layers = _count(len(rows), "layer")
    return f"<caffe.{type(net).__name__} {net.name!r}, {phase}: {layers}, {parameters}>"


def _cells(row: LayerRow) -> tuple[str, ...]:
    shapes = ", ".join(map(_shape, row.shapes))
    parameters = f"{row.parameters:,}" if row.parameters else ""
    return (row.name, row.type, ", ".join(row.tops), shapes, parameters, row.bits)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "scalar"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
