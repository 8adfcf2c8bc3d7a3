"""Read the images and labels of an LMDB of `Datum` records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import lmdb
import numpy as np
from google.protobuf.message import DecodeError

from ul2q.data.errors import DataError
from ul2q.data.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class StoredImage(NamedTuple):
    """A record.

    Attributes:
        key: as it stands in the database; `ul2q data` writes the record's number.
        label: the class; 0 where the record could not be read.
        image: channels x height x width, uint8 or float32; or why there is none.
    """

    key: str
    label: int
    image: NDArray[Any] | ImageError


def read_images(path: Path) -> Iterator[StoredImage]:
    """The records of an LMDB folder, in its order, which is that of Caffe's Data layer.

    Raises:
        DataError: the folder holds no LMDB.
    """
    from caffe.proto import caffe_pb2  # noqa: PLC0415 - it loads all of Caffe

    try:
        with (
            lmdb.open(str(path), readonly=True, lock=False, create=False) as environment,
            environment.begin() as transaction,
        ):
            for key, value in transaction.cursor():
                name = bytes(key).decode("utf-8", "backslashreplace")
                datum = caffe_pb2.Datum()
                try:
                    datum.ParseFromString(bytes(value))
                except DecodeError:
                    yield StoredImage(name, 0, ImageError(f"{path}: record {name}: damaged"))
                    continue
                yield StoredImage(name, datum.label, _image(datum, f"{path}: record {name}"))
    except lmdb.Error as error:
        raise DataError(f"{path}: cannot be read as an LMDB folder ({error})") from error


def _image(datum: Any, name: str) -> NDArray[Any] | ImageError:
    """The pixels of a Datum, as DataTransformer::Transform in BVLC's data_transformer.cpp."""
    if datum.encoded:
        return ImageError(f"{name}: an encoded image; the records must hold raw pixels")
    shape = (datum.channels, datum.height, datum.width)
    pixels: NDArray[Any] = (
        np.frombuffer(datum.data, np.uint8)
        if datum.data
        else np.array(datum.float_data, np.float32)
    )
    if min(shape) < 1 or pixels.size != np.prod(shape):
        return ImageError(f"{name}: {pixels.size} values for {' x '.join(map(str, shape))}")
    return pixels.reshape(shape)
