"""Packed caffemodels: what their codes are and take, and the same weights as floats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import (
    WeightsError,
    check_weights_file,
    layers_with_blobs,
    read_caffemodel,
    stored_count,
)
from ul2q.nets.quantization import code_bits, method_name
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class PackedBlob:
    """A blob that is stored as codes.

    Attributes:
        layer: the layer's name.
        index: of the blob in the layer.
        method: as `ul2q.quantize` takes it.
        bits: a code.
        count: how many codes there are.
        scales: how many channels have a scale and a shift.
        is_compressed: whether the codes are a zlib stream.
        bytes: what all of it takes: codes, scales, shifts.
    """

    layer: str
    index: int
    method: str
    bits: int
    count: int
    scales: int
    is_compressed: bool
    bytes: int


def packed_blobs(model: caffe_pb2.NetParameter) -> list[PackedBlob]:
    """The packed blobs of a caffemodel, in its order."""
    return [
        PackedBlob(
            layer.name,
            index,
            method_name(blob.packed.quantizer),
            code_bits(blob.packed.quantizer),
            stored_count(blob),
            len(blob.packed.scale),
            blob.packed.coding != caffe_pb2.PackedBlob.PLAIN,
            blob.packed.ByteSize(),
        )
        for layer in layers_with_blobs(model)
        for index, blob in enumerate(layer.blobs)
        if blob.HasField("packed")
    ]


def packed_table(blobs: Sequence[PackedBlob]) -> tuple[list[str], list[list[str | None]]]:
    """Headings and rows for people: a row for each packed blob, and the sum."""
    headings = ["packed", "method", "bits", "codes", "scales", "bytes", "bytes float", "zlib"]
    rows: list[list[str | None]] = [
        [
            *(f"{blob.layer}[{blob.index}]", blob.method, str(blob.bits)),
            *(f"{number:,}" for number in (blob.count, blob.scales, blob.bytes, 4 * blob.count)),
            "yes" if blob.is_compressed else None,
        ]
        for blob in blobs
    ]
    count, taken = sum(blob.count for blob in blobs), sum(blob.bytes for blob in blobs)
    rows.append(["all", None, None, f"{count:,}", None, f"{taken:,}", f"{4 * count:,}", None])
    return headings, rows


def unpack(packed: StrPath, output: StrPath, *, force: bool = False) -> list[PackedBlob]:
    """Write a packed caffemodel with float values, which any Caffe reads.

    The values stand beside the codes, which other Caffes skip: here the quantised layers compute as
    with the packed file.

    Args:
        packed: the packed .caffemodel.
        output: where to.
        force: replace a file.

    Returns:
        What was packed.

    Raises:
        FileNotFoundError: the file, or the output's folder, is missing.
        OutputExistsError: there is a file and `force` is not set.
        WeightsError: the file is damaged, or nothing in it is packed.
    """
    packed, output = Path(packed), Path(output)
    check_weights_file(packed)
    refuse_existing(output, force=force)
    model = read_caffemodel(packed)
    blobs = packed_blobs(model)
    if not blobs:
        raise WeightsError(f"{packed} holds no packed blobs: its weights are floats already")
    try:
        content = caffe._caffe._unpacked_net(model)
    except caffe.CaffeError as error:
        raise WeightsError(f"{packed} is damaged: {error}") from error
    write_file(output, content, force=force)
    return blobs
