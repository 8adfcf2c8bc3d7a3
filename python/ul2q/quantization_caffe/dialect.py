"""Which of the authors' two forks wrote a net: they count the bits of a code in two ways.

Both quantise to integers times a power of two, 2^fixedpos, and take the width from `maxbits`. The
older one, Quantitative-and-ternary-caffe-for-network-compression (2018), lets `maxbits` bits hold
the magnitude, so that codes go to 2^maxbits - 1; Quantization-caffe (2019) takes one of them for
the sign. The fields of their prototxts and caffemodels are the same.

Source: caffe_cpu_quantizea in src/caffe/util/math_functions.cpp of each.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet

from ul2q.models.caffemodel import layers_with_blobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caffe.proto import caffe_pb2
    from google.protobuf.message import Message
    from numpy.typing import NDArray

# The numbers of the forks' fields in LayerParameter and BlobProto.
_WEIGHTS_COMPRESS = 149
_ALPHA, _QUANTIZE, _DOUBLE_QUANTIZE, _FIXEDPOS, _MAXBITS = 13, 14, 15, 16, 17


class Dialect(enum.Enum):
    """A fork, by the year of its code."""

    OLDER = "2018"
    NEWER = "2019"

    def __str__(self) -> str:
        """What tells it from the other one."""
        counts = "counts" if self is Dialect.NEWER else "does not count"
        return f"{self.value}, in which maxbits {counts} the sign"


@dataclass(frozen=True)
class Recognition:
    """What the codes in a caffemodel say of the fork that stored them.

    Attributes:
        dialect: that of most blobs; the newer one if they are as many.
        blobs: how many blobs speak for it.
        others: how many blobs speak for the other one.
    """

    dialect: Dialect
    blobs: int
    others: int


def recognise_dialect(weights: caffe_pb2.NetParameter) -> Recognition | None:
    """Find out which fork wrote a caffemodel.

    The step of the methods Quantize and Ternary_Quantize follows from the largest magnitude, so
    that the largest code has its highest bit set: bit maxbits - 1 of the older fork, maxbits - 2 of
    the newer one.

    Args:
        weights: a caffemodel with the forks' fields, which are unknown ones here.

    Returns:
        None if no blob has codes of these methods.
    """
    found = list(_dialects(weights))
    if not found:
        return None
    older = found.count(Dialect.OLDER)
    newer = len(found) - older
    if older > newer:
        return Recognition(Dialect.OLDER, older, newer)
    return Recognition(Dialect.NEWER, newer, older)


def unknown_fields(message: Message) -> Iterable[Any]:
    """The fields of the fork's that a message of ours does not know; typeshed has no iteration."""
    return cast("Iterable[Any]", UnknownFieldSet(message))


def _dialects(weights: caffe_pb2.NetParameter) -> Iterator[Dialect]:
    held = {layer.name: layer for layer in weights.layer}
    for layer in layers_with_blobs(weights):
        if layer.name not in held:
            continue  # of an old format, which no fork wrote
        methods = [
            field.data.decode("utf-8", "replace")
            for field in unknown_fields(held[layer.name])
            if field.field_number == _WEIGHTS_COMPRESS
        ]
        for method, blob in zip(methods, layer.blobs, strict=False):
            stored = {field.field_number: field.data for field in unknown_fields(blob)}
            if method not in ("Quantize", "Ternary_Quantize") or _MAXBITS not in stored:
                continue
            data = np.abs(np.asarray(blob.double_data or blob.data, np.float64))
            if method == "Quantize":
                largest = float(np.abs(_stored_values(stored)).max(initial=0))
                reference = float(data.max(initial=0))
            else:
                largest = abs(_float(stored, _ALPHA))
                reference = float(data[data > 0.7 * data.mean()].mean()) if data.any() else 0.0
            if largest > 0 and reference > 0:
                step = 2.0 ** _float(stored, _FIXEDPOS)
                code = _integer(largest, step, reference)
                is_older = code >= 2 ** (_float(stored, _MAXBITS) - 1) - 0.5
                yield Dialect.OLDER if is_older else Dialect.NEWER


def _integer(stored: float, step: float, reference: float) -> float:
    """A stored code as an integer: some versions stored it so, others times its step.

    Args:
        stored: the magnitude in the file, above 0.
        step: the power of two.
        reference: the float value that the code stands for, above 0.
    """
    as_code = abs(math.log2(stored * step / reference))
    as_value = abs(math.log2(stored / reference))
    return stored if as_code < as_value else stored / step


def _stored_values(stored: dict[int, Any]) -> NDArray[Any]:
    if _QUANTIZE in stored:
        return np.frombuffer(stored[_QUANTIZE], "<f4")
    return np.frombuffer(stored.get(_DOUBLE_QUANTIZE, b""), "<f8")


def _float(stored: dict[int, Any], number: int) -> float:
    """A field of type float, which an unknown field holds as the integer of its bits."""
    return float(np.array(stored.get(number, 0), np.uint32).view(np.float32))
