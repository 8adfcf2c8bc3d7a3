"""Nets and caffemodels of the fork, by protobuf's own parser with the fork's fields added to it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import import_net

if TYPE_CHECKING:
    import caffe

NETS = Path(__file__).parent / "prototxt"
FIELDS = [
    (149, "weights_compress", None),
    (150, "activations_compress", None),
    (151, "weights_compress_param", ".caffe.CompressParameter"),
    (152, "activations_compress_param", ".caffe.CompressParameter"),
]
# The beginnings of layers.
ULQ = 'layer { name: "l" type: "Convolution" bottom: "x" top: "y" weights_compress: "ULQ"'
CONVOLUTION = 'name: "l" type: "Convolution" bottom: "x" top: "y"'
RELU = 'name: "l" type: "ReLU" bottom: "x" top: "y"'
BARE = "convolution_param { bias_term: false }"


@cache
def fork_message(name: str) -> Any:
    """A message of caffe.proto with the fork's fields.

    BlobProto's fields 10 to 17 are those of the fork's caffe.proto.
    """
    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    messages = {message.name: message for message in file.message_type}
    proto = descriptor_pb2.FieldDescriptorProto
    compress = file.message_type.add(name="CompressParameter")
    for number, field, kind in (
        (1, "delta", proto.TYPE_FLOAT),
        (2, "alpha", proto.TYPE_FLOAT),
        (3, "fixedpos", proto.TYPE_INT32),
        (4, "maxbits", proto.TYPE_INT32),
    ):
        compress.field.add(name=field, number=number, type=kind, label=proto.LABEL_OPTIONAL)
    compress.field[-1].default_value = "8"
    for number, field, type_name in FIELDS:
        kind = proto.TYPE_MESSAGE if type_name else proto.TYPE_STRING
        messages["LayerParameter"].field.add(
            name=field, number=number, type=kind, type_name=type_name, label=proto.LABEL_REPEATED
        )
    for number, field, kind in (
        (10, "ternary", proto.TYPE_FLOAT),
        (11, "double_ternary", proto.TYPE_DOUBLE),
        (12, "delta", proto.TYPE_FLOAT),
        (13, "alpha", proto.TYPE_FLOAT),
        (14, "quantize", proto.TYPE_FLOAT),
        (15, "double_quantize", proto.TYPE_DOUBLE),
        (16, "fixedpos", proto.TYPE_FLOAT),
        (17, "maxbits", proto.TYPE_FLOAT),
    ):
        many = "ternary" in field or "quantize" in field
        added = messages["BlobProto"].field.add(
            name=field,
            number=number,
            type=kind,
            label=proto.LABEL_REPEATED if many else proto.LABEL_OPTIONAL,
        )
        added.options.packed = many
    pool = descriptor_pool.DescriptorPool()
    for dependency in caffe_pb2.DESCRIPTOR.dependencies:
        pool.AddSerializedFile(dependency.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


def net_of(text: str) -> caffe_pb2.NetParameter:
    return text_format.Parse(text, caffe_pb2.NetParameter())


def original(text: str) -> Any:
    return text_format.Parse(text, fork_message("NetParameter")())


def import_text(*layers: str) -> Any:
    """Import a net that gives `x` of 1 × 2 × 8 × 8 to the layers."""
    head = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
    return import_net(Document("\n".join([head, *layers])))


def fork_caffemodel(
    net: caffe.Net, path: Path, *, double: bool = False, layers: list[str] | None = None
) -> dict[str, list[bytes]]:
    """Write the weights of a net, or of some layers, as the fork does; the masters' bytes."""
    model = fork_message("NetParameter")(name=net.name)
    masters: dict[str, list[bytes]] = {}
    for name in layers or net.params:
        layer = model.layer.add(name=name, type="Convolution")
        masters[name] = []
        for blob in net.params[name]:
            layer.weights_compress.append("ULQ")
            layer.weights_compress_param.add(delta=0.5, alpha=0.25, fixedpos=-3, maxbits=2)
            values = blob.data.ravel()
            masters[name].append(values.tobytes())
            proto = layer.blobs.add(delta=0.5, alpha=0.25, fixedpos=-3, maxbits=2)
            proto.shape.dim.extend(blob.shape)
            (proto.double_data if double else proto.data).extend(values.tolist())
            (proto.double_quantize if double else proto.quantize).extend(np.sign(values).tolist())
            (proto.double_ternary if double else proto.ternary).extend(np.sign(values).tolist())
    path.write_bytes(model.SerializeToString())
    return masters
