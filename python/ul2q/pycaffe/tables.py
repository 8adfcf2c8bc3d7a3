"""Nets and their parts as people read them: a table of the layers, as text and for notebooks."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caffe._caffe import Blob, Layer, Net, Solver
    from caffe.proto.caffe_pb2 import LayerParameter


@dataclass(frozen=True)
class LayerRow:
    """A layer as the tables show it."""

    name: str
    type: str
    tops: Sequence[str]
    shapes: Sequence[Sequence[int]]  # of the tops
    parameters: int  # how many numbers its blobs hold
    bits: str  # of the weights and, after a +, the biases; or of activations; "" if float


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
    """What `net_text` says as an HTML table, for notebooks."""
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


def solver_text(solver: Solver) -> str:
    """`repr(solver)`, e.g. <caffe.SGDSolver of net 'lenet', iteration 20 of 1,800>."""
    last = solver.param.max_iter
    end = f" of {last:,}" if last else ""
    kind = type(solver).__name__
    return f"<caffe.{kind} of net {solver.net.name!r}, iteration {solver.iter:,}{end}>"


def layer_text(layer: Layer) -> str:
    """`repr(layer)`, e.g. <caffe.Layer 'conv1', QuantizedConvolution, 2 bits, 32 × 1 × 5 × 5>.

    The shapes are those of its blobs.
    """
    try:
        if layer.type == "Python":  # whose author may have put something else under param
            return f"<caffe.Layer {type(layer).__name__}, Python>"
        param = layer.param
        bits = bits_text(param)
        shapes = [_shape(blob.shape) for blob in layer.blobs]
        parts = [repr(param.name), layer.type, *([f"{bits} bits"] if bits else []), *shapes]
        return f"<caffe.Layer {', '.join(parts)}>"
    except ReferenceError:
        return "<caffe.Layer of a net that no longer exists>"


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
