"""Imports images that are sorted into a folder for each class, as LMDBs for Caffe."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from ul2q.data.dataset import Dataset
from ul2q.data.errors import DataError
from ul2q.data.image_reader import Reader, all_cores, image_reader
from ul2q.data.image_set import Identity, Item, Part, standing_image_set, write_image_set
from ul2q.data.images import Resize
from ul2q.data.lmdb_writer import Progress
from ul2q.data.selection import alternating, shuffled


class Listed(NamedTuple):
    """An image file and its label."""

    path: str
    label: int


def import_folder(
    train: Path,
    test: Path,
    output: Path,
    *,
    size: tuple[int, int] | None = None,
    limit: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Imports `train`/CLASS/IMAGE and `test`/CLASS/IMAGE as uint8 images in the order B, G, R.

    The classes' names, sorted, get the labels 0, 1, ...; names that begin with a dot are passed
    over. The training set is shuffled; in the test set the classes take turns. `output` becomes
    complete in one step: train_lmdb, test_lmdb, mean.binaryproto, mean_values.txt, classes.txt and
    import.json. If an import of the same files stands there already, nothing is written.

    Args:
        train: the training set's folder.
        test: the test set's folder, with the same classes.
        output: the folder to be written; missing parents are made.
        size: height and width that every image is stretched to; None: all have the same already.
        limit: import that many images of each set at most, the first of each class in turn.
        seed: of the training set's order; 0 or more.
        skip_bad: leave damaged images out, rather than refuse them.
        jobs: how many processes decode; None: as many as there are processors.
        force: replace an earlier import, which stays intact until the new one is complete.
        progress: called after every thousand images or so.

    Raises:
        FileNotFoundError: `train` or `test` is missing.
        DataError: the folders are not as said; images are damaged, or differ in size; an option is
            out of range; or `output` holds something else and `force` is not set, or holds files
            that no import has written.
        OSError: something cannot be read or written.
    """
    classes, training = list_classes(train)
    test_classes, testing = list_classes(test)
    if classes != test_classes:
        raise DataError(f"{test}: {_difference(test_classes, classes)} {train}")
    return import_listed(
        "folder",
        classes,
        _chosen(training, limit),
        _chosen(testing, limit),
        output,
        roots=(train, test),
        resize=Resize(*size) if size else None,
        seed=seed,
        skip_bad=skip_bad,
        jobs=jobs,
        force=force,
        progress=progress,
    )


def list_classes(root: Path) -> tuple[tuple[str, ...], list[Listed]]:
    """Returns the names of the class folders, sorted, and the image files in them, sorted.

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


def scan(folder: Path) -> "list[os.DirEntry[str]]":
    """Returns what a folder holds, sorted by name, but for names that begin with a dot.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def import_listed(
    name: str,
    classes: tuple[str, ...],
    train: Sequence[Listed],
    test: Sequence[Listed],
    output: Path,
    *,
    roots: tuple[Path, Path],
    resize: Resize | None,
    seed: int,
    skip_bad: bool,
    jobs: int | None,
    force: bool,
    progress: Progress | None,
) -> Dataset:
    """Imports image files as the data set `name`: the training set shuffled, the test set as it is.

    Args:
        name: for import.json.
        classes: the name of each label.
        train: the training set's files.
        test: the test set's files.
        output: as for `import_folder`.
        roots: the folders that train's and test's files are in.
        resize: the size of all images; None: all have the same already.
        seed: as for `import_folder`.
        skip_bad: as for `import_folder`.
        jobs: as for `import_folder`.
        force: as for `import_folder`.
        progress: as for `import_folder`.

    Raises:
        DataError, OSError: as for `import_folder`.
    """
    order = [train[i] for i in shuffled(range(len(train)), seed)]
    identity = Identity(
        name,
        {"train": _listing_hash(order, roots[0]), "test": _listing_hash(test, roots[1])},
        {"resize": asdict(resize) if resize else None, "skip_bad": skip_bad},
        classes,
    )
    if not force and (standing := standing_image_set(output, identity)):
        return standing
    with image_reader(all_cores() if jobs is None else jobs, resize) as read:
        return write_image_set(
            output,
            identity,
            Part(_items(order, read), len(order)),
            Part(_items(test, read), len(test)),
            skip_bad=skip_bad,
            force=force,
            progress=progress,
        )


def _chosen(images: Sequence[Listed], limit: int | None) -> list[Listed]:
    return [images[i] for i in alternating([label for _, label in images], limit)]


def _items(images: Sequence[Listed], read: Reader) -> Iterator[Item]:
    decoded = read(path for path, _ in images)
    for (path, label), image in zip(images, decoded, strict=True):
        yield Item(path, label, image)


def _listing_hash(images: Sequence[Listed], root: Path) -> str:
    """The SHA-256 of names, labels, sizes and times: contents would take an hour to read."""
    digest = hashlib.sha256()
    for path, label in images:
        status = os.stat(path)  # noqa: PTH116 - a million of them
        digest.update(os.fsencode(path.removeprefix(str(root))))
        digest.update(f"\0{label} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _difference(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """How one list of class names differs from another."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"no class {_listed(missing)}, as there is in"
    return f"class {_listed([name for name in found if name not in expected])} is not in"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
