"""Read protobuf messages from binary files, and compare the checksum of those that have one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

if TYPE_CHECKING:
    from pathlib import Path

    from ul2q.errors import UserError

_Message = TypeVar("_Message", bound=Message)

# A file begins with the CRC-32 of all bytes behind, as a field of number 1151 and type fixed32 that
# no message knows. cpp/caffe/support/checksum.hpp, which writes it, says more.
_TAG = bytes((0xFD, 0x47))
_FIELD_SIZE = len(_TAG) + 4


def read_message(
    path: Path, message_type: type[_Message], suffix: str, error_type: type[UserError]
) -> _Message:
    """The message in a binary file.

    Args:
        path: the file.
        message_type: e.g. `caffe_pb2.NetParameter`.
        suffix: of such files, for the error's text, e.g. ".caffemodel".
        error_type: what is raised if the file does not parse, or its checksum is another.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: of `error_type`: the file is damaged, or holds something else.
    """
    with path.open("rb") as file:
        head = file.read(_FIELD_SIZE)
        has_checksum = len(head) == _FIELD_SIZE and head.startswith(_TAG)
        content = file.read() if has_checksum else head + file.read()
    if has_checksum and zlib.crc32(content) != int.from_bytes(head[len(_TAG) :], "little"):
        raise error_type(
            f"{path} is damaged: its checksum is another than when it was written; "
            "take a copy of it, or an older snapshot"
        )
    message = message_type()
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise error_type(f"{path} is damaged or no {suffix}") from error
    return message
