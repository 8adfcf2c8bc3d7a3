"""Read protobuf messages from binary files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

if TYPE_CHECKING:
    from pathlib import Path

    from ul2q.errors import UserError

_Message = TypeVar("_Message", bound=Message)


def read_message(
    path: Path, message_type: type[_Message], suffix: str, error_type: type[UserError]
) -> _Message:
    """The message in a binary file.

    Args:
        path: the file.
        message_type: e.g. `caffe_pb2.NetParameter`.
        suffix: of such files, for the error's text, e.g. ".caffemodel".
        error_type: what is raised if the file does not parse.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: of `error_type`: the file is damaged, or holds something else.
    """
    message = message_type()
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise error_type(f"{path} is damaged or no {suffix}") from error
    return message
