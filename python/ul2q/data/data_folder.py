"""What a folder that `ul2q data` has written says of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.data.dataset import MANIFEST
from ul2q.data.errors import DataError
from ul2q.data.image_set import CLASSES
from ul2q.data.images import Resize
from ul2q.data.mnist import CLASSES as CLASSES_OF_MNIST
from ul2q.util.json_text import parse_json

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class DataFolder:
    """An import, as its import.json and classes.txt describe it.

    The channels of images of three channels are in the order B, G, R.

    Attributes:
        path: the folder.
        name: the data set's.
        shape: channels x height x width of every image.
        resize: how image files were brought to that shape; None if nothing was done to them.
        classes: the name of each label, 0 first; () if they are not known.
    """

    path: Path
    name: str
    shape: tuple[int, int, int]
    resize: Resize | None
    classes: tuple[str, ...]


def read_data_folder(folder: Path) -> DataFolder | None:
    """What stands in a folder's import.json and classes.txt; None if no import.json does.

    Raises:
        DataError: import.json is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
        name = str(manifest["dataset"])
        channels, height, width = map(int, manifest["shape"])
        rule = manifest["options"].get("resize")
        resize = Resize(**rule) if rule else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: damaged, or not written by ul2q data; import again with --force (force=True)"
        ) from error
    classes = CLASSES_OF_MNIST.get(name, ())
    if (folder / CLASSES).is_file():
        classes = read_classes(folder / CLASSES)
    return DataFolder(folder, name, (channels, height, width), resize, classes)


def read_classes(path: Path) -> tuple[str, ...]:
    """The names in a file such as classes.txt, one a line, that of label 0 first.

    Raises:
        DataError: there are none.
        OSError: the file cannot be read.
    """
    names = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    if not names:
        raise DataError(f"{path}: no names in it; there should be one a line, label 0 first")
    return tuple(names)
