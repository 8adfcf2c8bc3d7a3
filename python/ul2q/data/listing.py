"""Lists of image files with their labels, and their import."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from ul2q.data.dataset import OF_LISTING
from ul2q.data.errors import DataError
from ul2q.data.image_reader import Reader, all_cores, image_reader
from ul2q.data.image_set import Identity, Item, Split, standing_image_set, write_image_set
from ul2q.data.images import is_gray
from ul2q.data.selection import alternating, shuffled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ul2q.data.dataset import Dataset
    from ul2q.data.images import Resize
    from ul2q.data.lmdb_writer import Progress


class Listed(NamedTuple):
    """An image file and its label."""

    path: str
    label: int


def list_classes(root: Path) -> tuple[tuple[str, ...], list[Listed]]:
    """The names of the class folders, sorted, and the image files in them, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: there are no class folders, or one holds no images, or a folder.
    """
    classes = tuple(entry.name for entry in scan(root) if entry.is_dir())
    if not classes:
        raise DataError(f"{root}: no folders in it; there should be one for each class of images")
    images = []
    for label, name in enumerate(classes):
        if "\n" in name or "\r" in name:
            raise DataError(f"{root}: a class is named {name!r}; names must be one line")
        entries = scan(root / name)
        if not entries:
            raise DataError(f"{root / name}: holds no images")
        for entry in entries:
            if not entry.is_file():
                raise DataError(f"{entry.path}: not a file; class folders hold images alone")
            images.append(Listed(entry.path, label))
    return classes, images


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, but for names that begin with a dot.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def choose(images: Sequence[Listed], limit: int | None) -> list[Listed]:
    """The images with the classes taking turns, `limit` at most (see `alternating`)."""
    return [images[i] for i in alternating([label for _, label in images], limit)]


def import_listed(
    name: str,
    classes: tuple[str, ...],
    train: Sequence[Listed],
    test: Sequence[Listed],
    output: Path,
    *,
    roots: tuple[Path, Path],
    resize: Resize | None,
    gray: bool | None,
    seed: int,
    skip_bad: bool,
    jobs: int | None,
    force: bool,
    progress: Progress | None,
    options: Mapping[str, object] | None = None,
) -> Dataset:
    """Import image files as the data set `name`: the training set shuffled, the test set as it is.

    Args:
        name: for import.json.
        classes: the name of each label.
        train: the training set's files.
        test: the test set's files.
        output: as for `import_folder`.
        roots: the folders that train's and test's files are in.
        resize: the size of all images; None: all have the same already.
        gray: as for `import_folder`.
        seed: as for `import_folder`.
        skip_bad: as for `import_folder`.
        jobs: as for `import_folder`.
        force: as for `import_folder`.
        progress: as for `import_folder`.
        options: those that change the result beyond the arguments above, for import.json.

    Raises:
        DataError, OSError: as for `import_folder`.
    """
    if gray is None:
        gray = _all_are_gray(image.path for image in (*train, *test))
    order = [train[i] for i in shuffled(range(len(train)), seed)]
    identity = Identity(
        name,
        {"train": _listing_hash(order, roots[0]), "test": _listing_hash(test, roots[1])},
        {
            "resize": asdict(resize) if resize else None,
            "skip_bad": skip_bad,
            **({"gray": True} if gray else {}),
            **(options or {}),
        },
        classes,
        OF_LISTING,
    )
    if not force and (standing := standing_image_set(output, identity)):
        return standing
    with image_reader(all_cores() if jobs is None else jobs, resize, gray=gray) as read:
        return write_image_set(
            output,
            identity,
            Split(_items(order, read), len(order)),
            Split(_items(test, read), len(test)),
            skip_bad=skip_bad,
            force=force,
            progress=progress,
        )


def _all_are_gray(paths: Iterable[str]) -> bool:
    """Whether all images are grey that can be read; it is known at the first one with colour."""
    any_gray = False
    for path in paths:
        found = is_gray(path)
        if found is False:
            return False
        any_gray |= found is True
    return any_gray


def _items(images: Sequence[Listed], read: Reader) -> Iterator[Item]:
    decoded = read(path for path, _ in images)
    for (path, label), image in zip(images, decoded, strict=True):
        yield Item(path, label, image)


def _listing_hash(images: Sequence[Listed], root: Path) -> str:
    """The SHA-256 of names, labels, sizes and times, as the contents would take an hour to read."""
    digest = hashlib.sha256()
    for path, label in images:
        status = os.stat(path)  # noqa: PTH116 - a million of them
        digest.update(os.fsencode(path.removeprefix(str(root))))
        digest.update(f"\0{label} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
