"""What the comments of a .proto file say of its messages, fields and values."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

_BLOCK = re.compile(r"(?:message|enum) (\w+) \{")
_ENTRY = re.compile(r"(?:(?:optional|repeated|required) [\w.]+ )?(\w+) = \d+.*;")


@cache
def quantization_comments() -> dict[str, str]:
    """The comments of quantization.proto, which is installed beside its Python module.

    The keys are names like "QuantizerParameter.bits" and "QuantizerParameter.Method.UL2Q".
    """
    from caffe.proto import quantization_pb2  # noqa: PLC0415

    path = Path(quantization_pb2.__file__).with_name("quantization.proto")
    return proto_comments(path.read_text(encoding="utf-8")) if path.is_file() else {}


def proto_comments(text: str) -> dict[str, str]:
    """The comment that stands above each message, enum, field and value, as one line."""
    comments: dict[str, str] = {}
    inside: list[str] = []
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            lines.append(line.lstrip("/ "))
            continue
        block, entry = _BLOCK.match(line), _ENTRY.match(line)
        if match := block or entry:
            comments[".".join([*inside, match[1]])] = " ".join(lines)
        if block:
            inside.append(block[1])
        elif line == "}":
            inside.pop()
        lines = []
    return comments


def field_lines(field: FieldDescriptor, what: str) -> list[str]:
    """What there is to say of a field: its name, what it takes, and the comments.

    Args:
        field: of a message in quantization.proto.
        what: what it takes, e.g. "int, default 1".
    """
    comments = quantization_comments()
    message: Any = field.containing_type
    said = [what, comments.get(f"{message.name}.{field.name}")]
    values = []
    if field.enum_type is not None:
        enum = f"{message.name}.{field.enum_type.name}"
        said.append(comments.get(enum))
        values = [
            f"    {value.name}: {comments.get(f'{enum}.{value.name}', '')}"
            for value in field.enum_type.values
        ]
    return [f"{field.name}: {'. '.join(filter(None, said))}", *values]
