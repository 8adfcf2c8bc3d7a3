"""Loads damaged copies of a packed caffemodel: each must be refused by name, or run.

    python -m dev.load_mutations [--count 10000] [--first 0] [--net DEPLOY] [MODEL]

MODEL is a packed .caffemodel; without one a small net's is made. `ul2q.load` reads each copy alone,
and with --net, or for the small net, beside the whole prototxt, too. A copy is known by its number,
so that one that ended the process is made again by --first N --count 1. What is taken must run; an
error must be one of ul2q's or Caffe's and name the file or a layer, or tell what is short.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.descriptor import FieldDescriptor

import ul2q
from ul2q.deploy.packing import packed_net
from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = 6 << 30  # bytes that a copy may make the process take; one that wants more must be refused
ITEM = 1 << 22  # elements of an item that is still run

NET = """name: "small"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 2 dim: 8 dim: 8 } } }
layer { name: "conv1" type: "QuantizedConvolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
  quantization_param { weight { bits: 2 } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv1" top: "conv1" }
layer { name: "relu" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool" type: "Pooling" bottom: "conv1" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "q1" type: "QuantizedActivation" bottom: "pool" top: "q1"
  quantization_param { activation { bits: 4 signed: false } } }
layer { name: "conv2" type: "QuantizedConvolution" bottom: "q1" top: "conv2"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 }
  quantization_param { weight { bits: 2 granularity: CHANNEL } } }
layer { name: "sum" type: "Eltwise" bottom: "conv2" bottom: "conv2" top: "sum" }
layer { name: "relu2" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "q2" type: "QuantizedActivation" bottom: "sum" top: "q2"
  quantization_param { activation { bits: 8 signed: false } } }
layer { name: "ip" type: "QuantizedInnerProduct" bottom: "q2" top: "ip"
  inner_product_param { num_output: 5 } quantization_param { weight { bits: 3 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


class NamelessError(Exception):
    """An error that does not tell what it is about."""


def small_model() -> bytes:
    """The packed caffemodel of NET with random weights."""
    net = caffe.Net.from_proto(NET, caffe.TEST)
    rng = np.random.default_rng(0)
    for layer, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            kind = net.layer_dict[layer].type
            if kind == "BatchNorm":
                blob.data[...] = (0.1, 0.5, 1)[i]
            elif kind != "QuantizedActivation":
                blob.data[...] = rng.normal(size=blob.data.shape) / 4
    ul2q.gather_activation_averages(net, [{"data": rng.normal(size=(2, 2, 8, 8))}])
    return packed_net(net).content


def mutated(content: bytes, number: int) -> bytes:
    """The damaged copy of this number: by its bytes, or by a field of its message."""
    rng = np.random.default_rng(number)
    return _other_field(content, rng) if number % 2 else _other_bytes(content, rng)


def _other_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, left out, put in, repeated; or the end cut off."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, size = int(rng.integers(len(changed))), int(rng.integers(1, 9))
        kind = rng.integers(6)
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[at] = int(rng.integers(256))
        elif kind == 2:
            del changed[at : at + size]
        elif kind == 3:
            changed[at:at] = rng.bytes(size)
        elif kind == 4:
            changed[at:at] = changed[at : at + 16 * size]
        elif at:
            del changed[at:]
    return bytes(changed)


_NUMBERS = (0, 1, -1, 2, 3, 7, 127, 255, 256, 65535, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_FLOATS = (0.0, -1.0, 1e-45, 1e38, 3.4e38, float("nan"), float("inf"), -float("inf"))


def _other_field(content: bytes, rng: np.random.Generator) -> bytes:
    """One field of some message in the net set to another value, cleared, or repeated."""
    net = caffe_pb2.NetParameter.FromString(content)
    messages = list(_messages(net))
    for _ in range(rng.integers(1, 3)):
        message = messages[rng.integers(len(messages))]
        fields = [field for field, _ in message.ListFields()]
        if not fields:
            continue
        if rng.integers(4) == 0:  # one that is not there
            fields = list(message.DESCRIPTOR.fields)
        _change(message, fields[rng.integers(len(fields))], rng)
    return bytes(net.SerializePartialToString())


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                yield from _messages(one)


def _change(message: Any, field: FieldDescriptor, rng: np.random.Generator) -> None:
    if field.is_repeated:
        values = getattr(message, field.name)
        if values and rng.integers(2):
            del values[rng.integers(len(values))]
        elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            values.add()
        elif values and rng.integers(2):
            values[rng.integers(len(values))] = _value(field, rng)
        else:
            values.append(_value(field, rng))
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(field, rng))


def _value(field: FieldDescriptor, rng: np.random.Generator) -> Any:
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return _FLOATS[rng.integers(len(_FLOATS))]
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return bool(rng.integers(2))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        numbers = [value.number for value in getattr(field.enum_type, "values", ())]
        return numbers[rng.integers(len(numbers))]
    if kind == FieldDescriptor.CPPTYPE_STRING:
        words = ("", "data", "conv2", "Softmax", "QuantizedConvolution", "q1", "ip", "x" * 300)
        text = words[rng.integers(len(words))]
        return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    bits = 64 if "64" in str(kind) or kind in _WIDE else 32
    least = 0 if kind in _UNSIGNED else -(2 ** (bits - 1))
    most = 2 ** (bits if kind in _UNSIGNED else bits - 1) - 1
    return min(max(_NUMBERS[rng.integers(len(_NUMBERS))], least), most)


_WIDE = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
_UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}


def outcome(path: Path, net: Path | None = None) -> str:
    """What becomes of a file: "runs", "too large to run", or what refused it.

    Raises:
        NamelessError: the message names neither file nor layer.
        Exception: what is not an error of ul2q's or Caffe's.
    """
    try:
        model = ul2q.load(path, net)
        if any(np.prod(shape) > ITEM for shape in model.inputs.values()):
            return "too large to run"
        model({name: np.full((1, *shape), 0.5) for name, shape in model.inputs.items()}, threads=1)
    except (UserError, caffe.CaffeError, FileNotFoundError) as error:
        text = str(error)
        names = (str(path), "layer", "Layer", "blob", "small")
        if not any(name in text for name in names):
            raise NamelessError(text) from error
        return type(error).__name__
    return "runs"


def main() -> None:
    """Load copy after copy, and tell what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL", type=Path, nargs="?")
    parser.add_argument("--net", metavar="DEPLOY", type=Path)
    parser.add_argument("--first", metavar="N", type=int, default=0)
    parser.add_argument("--count", metavar="N", type=int, default=10_000)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    content = arguments.model.read_bytes() if arguments.model else small_model()
    counts: Counter[str] = Counter()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        path, net = Path(folder, "damaged.caffemodel"), arguments.net
        if not arguments.model:
            net = Path(folder, "small.prototxt")
            net.write_text(NET, encoding="utf-8")
        for number in range(arguments.first, arguments.first + arguments.count):
            if number % 1000 == 0 or arguments.count == 1:
                print(f"copy {number}: {dict(counts)}", flush=True)
            # Where the process ends, this file tells at which copy.
            Path(tempfile.gettempdir(), "load_mutations.last").write_text(f"{number}\n")
            path.write_bytes(mutated(content, number))
            for beside in (None, net) if net else (None,):
                try:
                    counts[outcome(path, beside)] += 1
                except Exception as error:
                    faults += 1
                    print(f"copy {number}: {type(error).__name__}: {error}", flush=True)
    print(f"{arguments.count} copies, {faults} faults: {dict(counts)}")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
