"""Changes fields of a solver as `base_lr=0.02` or `stepvalue=100,200` say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from ul2q.nets import data_layers
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_errors import explain_text
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caffe.proto import caffe_pb2


def apply_settings(param: caffe_pb2.SolverParameter, settings: Sequence[str]) -> None:
    """Set fields of a solver.

    Args:
        param: is changed.
        settings: each a KEY=VALUE, later ones over earlier ones. KEY is a field's name, with dots
            into a field of a field (`train_state.level`). VALUE is as in a prototxt, but strings
            need no quotes; the values of a repeated field stand between commas and replace those
            that it has. An empty VALUE leaves the field out.

    Raises:
        PrototxtError: a setting is faulty; the message names it and near names.
    """
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise PrototxtError(f"--set {setting}: not KEY=VALUE, as base_lr=0.02")
        try:
            _set(param, key.strip().split("."), value.strip())
        except PrototxtError as error:
            raise PrototxtError(f"--set {setting}: {error}") from error


def set_epochs(
    param: caffe_pb2.SolverParameter,
    net: caffe_pb2.NetParameter,
    state: caffe_pb2.NetState,
    epochs: int,
    *,
    ranks: int = 1,
) -> None:
    """Set max_iter such that training sees each record of its LMDB `epochs` times.

    Args:
        param: is changed.
        net: the train net.
        state: the state in which the train net runs.
        epochs: at least 1. max_iter = ⌈epochs · records / (batch size · iter_size ·
            ranks)⌉.
        ranks: how many processes train together.

    Raises:
        FileNotFoundError: the LMDB is missing.
        PrototxtError: the net's data have no size that could be known.
    """
    if epochs < 1:
        raise PrototxtError(f"--epochs must be at least 1, it is {epochs}")
    data_layers.sources(net, state)  # refuses what is missing
    iterations = set()
    for layer in data_layers.data_layers(net, state):
        data = layer.data_param
        if data.backend != data.LMDB:
            continue
        if data.batch_size < 1:
            raise PrototxtError(f"layer {layer.name!r}: data_param.batch_size must be positive")
        entries = data_layers.lmdb_entries(Path(data.source))
        iterations.add(math.ceil(epochs * entries / (data.batch_size * param.iter_size * ranks)))
    if len(iterations) != 1:
        what = "has several lengths of an epoch" if iterations else "has no LMDB to tell an epoch"
        raise PrototxtError(f"--epochs: net {net.name!r} {what}: set max_iter")
    param.max_iter = iterations.pop()


def _set(message: Any, path: list[str], value: str) -> None:
    field = message.DESCRIPTOR.fields_by_name.get(path[0])
    if field is None:
        known = message.DESCRIPTOR.fields_by_name
        raise PrototxtError(
            f"{message.DESCRIPTOR.name} has no field {path[0]!r}{near_names(path[0], known)}"
        )
    is_message = field.message_type is not None
    is_repeated = hasattr(getattr(message, field.name), "extend")
    if len(path) > 1:
        if not is_message or is_repeated:
            raise PrototxtError(f"{field.name} {'is repeated' if is_repeated else 'has no fields'}")
        _set(getattr(message, field.name), path[1:], value)
        return
    values = value.split(",") if is_repeated and not is_message else [value]
    parsed = [_parse(type(message)(), field, text.strip()) for text in values if value]
    message.ClearField(field.name)
    for one in parsed:
        message.MergeFrom(one)


def _parse(holder: Any, field: Any, text: str) -> Any:
    """Put one value into a field of `holder`, an empty message, and return that."""
    if field.type == field.TYPE_STRING and text[:1] not in {'"', "'"}:
        text = json.dumps(text, ensure_ascii=False)
    if field.message_type is not None and not text.startswith("{"):
        raise PrototxtError(f"{field.name} takes {{ fields }}, or give one of them: {field.name}.…")
    line = f"{field.name}: {text}"
    try:
        text_format.Parse(line, holder)
    except text_format.ParseError as error:
        _, what = explain_text(line, str(error), holder.DESCRIPTOR)
        raise PrototxtError(what) from error
    if [given.name for given, _ in holder.ListFields()] != [field.name]:
        raise PrototxtError(f"{text!r} is not one value")
    return holder
