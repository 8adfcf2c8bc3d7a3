"""What caffe.layers says of the layers: names, fields, and which of them are quantised."""

from __future__ import annotations

from functools import cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ul2q.nets.layer_types import ACTIVATION, QUANTIZED, WEIGHT_LAYERS
from ul2q.pycaffe.proto_comments import field_lines
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

_WIDTH = 96  # of a line of help
_PARAM = "_param"
# Layers whose fields stand in a message that is not called after their type: BVLC's net_spec finds
# those of no other.
_PARAM_OF_OTHERS = {
    **{name: field.removesuffix(_PARAM) for name, field in WEIGHT_LAYERS.items()},
    "Im2col": "convolution",
    "SigmoidCrossEntropyLoss": "loss",
    "SoftmaxWithLoss": "loss",
}
_OF_SPEC = {"ntop", "in_place"}  # what a layer takes beside its fields
_FORK_FIELDS = ("weights_compress", "activations_compress")  # and the same with _param


def extend_net_spec(net_spec: Any, layer_types: list[str]) -> None:
    """Let caffe.layers list the layers, say what each takes, and know the quantised ones.

    A quantised layer takes the fields of its float layer: `L.QuantizedConvolution(bottom,
    num_output=20)` sets convolution_param.num_output. A field that a layer does not have is
    refused where it is given.
    """
    param_names: dict[str, str] = net_spec._param_names
    for name, param in _PARAM_OF_OTHERS.items():
        param_names.setdefault(name, param)
    for name in layer_types:
        base = name.removeprefix(QUANTIZED)
        if name.startswith(QUANTIZED) and base in param_names:
            param_names[name] = param_names[base]

    layers = net_spec.Layers
    make_function = layers.__getattr__

    layer_fields = net_spec.caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name

    def own_param(layer_type: str) -> FieldDescriptor | None:
        field: FieldDescriptor | None = layer_fields.get(f"{param_names.get(layer_type)}{_PARAM}")
        return field

    @cache
    def documentation(layer_type: str) -> str:
        return _layer_documentation(
            layer_type, own_param(layer_type), layer_fields["quantization_param"].message_type
        )

    def layer_function(self: Any, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # what Python looks for, in copy() or help()
            raise AttributeError(name)
        make: Callable[..., Any] = make_function(self, name)

        def function(*bottoms: Any, **fields: Any) -> Any:
            _check_fields(name, own_param(name), layer_fields, fields)
            return make(*bottoms, **fields)

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


def _check_fields(
    layer_type: str,
    own: FieldDescriptor | None,
    of_all: Mapping[str, Any],
    given: Iterable[str],
) -> None:
    """Refuse fields that a layer does not have.

    Raises:
        AttributeError: as BVLC's net_spec raises when the net is made; the message names the layer
            and near fields.
    """
    known = set(own.message_type.fields_by_name) if own is not None and own.message_type else set()
    known |= {*of_all, *_OF_SPEC}
    for name in given:
        if name.startswith(_FORK_FIELDS):
            raise AttributeError(
                f"{layer_type}: {name} is a field of the fork Quantization-caffe; here it is "
                "L.QuantizedConvolution(..., quantization_param=dict(weight=dict(bits=8), "
                "bias=dict(bits=8))) and its like, and L.QuantizedActivation for activations: "
                "docs/fork.md has each method's name"
            )
        if name not in known:
            takes = f" and of {own.name}" if own is not None else ""
            near = near_names(name, known) or f"; it takes the fields of a layer{takes}"
            raise AttributeError(f"{layer_type} has no field {name!r}{near}")


def _layer_documentation(
    layer_type: str, field: FieldDescriptor | None, quantization: Descriptor
) -> str:
    lines = [
        f"A {layer_type} layer: {layer_type}(*bottoms, ntop=1, in_place=False, **fields) -> Top.",
        "",
        "Bottoms are Tops of other layers; ntop=0 gives the layer itself, 2 or more a tuple.",
    ]
    if layer_type.startswith(QUANTIZED):
        lines += _quantization_documentation(layer_type, quantization)
    if field is not None and field.message_type is not None:
        fields = field.message_type.fields
        lines += ["", f"Fields of {field.name}:"]
        lines += [f"    {field.name}: {_field_type(field)}" for field in fields]
    lines += ["", "Fields of the layer, e.g. param, loss_weight, include, are given by name, too."]
    return "\n".join(lines)


def _quantization_documentation(layer_type: str, quantization: Descriptor) -> list[str]:
    """The fields of quantization_param that a layer takes, and those of a quantizer."""
    names, bits = (["activation"], 8) if layer_type == ACTIVATION else (["weight", "bias"], 2)
    taken = [quantization.fields_by_name[name] for name in names]
    lines = [
        f"quantization_param, e.g. dict({names[0]}=dict(bits={bits})), is required.",
        "",
        "Fields of quantization_param:",
    ]
    quantizer: Any = taken[0].message_type
    for title, fields in ("", taken), (f"Fields of {' and '.join(names)}:", quantizer.fields):
        lines += ["", title] if title else []
        for field in fields:
            said = field_lines(field, _field_type(field))
            lines += [
                part
                for line in said
                for part in wrap(
                    line.lstrip(),
                    width=_WIDTH,
                    initial_indent=" " * (4 + len(line) - len(line.lstrip())),
                    subsequent_indent=" " * (8 + len(line) - len(line.lstrip())),
                )
            ]
    return lines


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
    """What a field takes, e.g. "int >= 0, default 1" or "one of MAX, AVE, default MAX"."""
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
        elif isinstance(default, float):
            default = f"{default:g}"  # which a prototxt would say: 0.95, not the nearest float32
        text += f", default {default}"
    return text
