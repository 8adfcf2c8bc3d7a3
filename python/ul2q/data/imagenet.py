"""Import ImageNet (ILSVRC2012) in its usual layout, as LMDBs for Caffe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.data.errors import DataError
from ul2q.data.images import Resize
from ul2q.data.listing import Listed, choose, import_listed, list_classes, scan
from ul2q.data.selection import alternating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ul2q.data.dataset import Dataset
    from ul2q.data.lmdb_writer import Progress
    from ul2q.util.paths import StrPath

IMAGENET_SIZE = Resize(256, 256)
"""The size that BVLC's examples/imagenet/create_imagenet.sh resizes to."""


def import_imagenet(
    train: StrPath,
    val: StrPath,
    val_labels: StrPath,
    output: StrPath,
    *,
    resize: Resize = IMAGENET_SIZE,
    gray: bool | None = None,
    limit: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Import `train`/SYNSET/IMAGE and `val`/IMAGE as uint8 images in the order B, G, R.

    The synsets, sorted, get the labels 0, 1, ..., as in BVLC's train.txt and val.txt. The training
    set is shuffled; the validation set keeps the order of its files' names. `output` becomes
    complete in one step, as by `import_folder`.

    A line of `val_labels` is a label or a synset, for the images in the order of their names, or
    an image's name and its label or synset, in any order.

    Args:
        train: the training set's folder.
        val: the folder with the validation set's images.
        val_labels: the text file with their labels.
        output: the folder to be written; missing parents are made.
        resize: the size of all images.
        gray: as for `import_folder`.
        limit: as for `import_folder`.
        seed: as for `import_folder`.
        skip_bad: as for `import_folder`.
        jobs: as for `import_folder`.
        force: as for `import_folder`.
        progress: as for `import_folder`.

    Raises:
        FileNotFoundError: `train`, `val` or `val_labels` is missing.
        DataError: as for `import_folder`; or the labels do not go with the images.
        OSError: something cannot be read or written.
    """
    train = Path(train)
    val = Path(val)
    val_labels = Path(val_labels)
    output = Path(output)
    classes, training = list_classes(train)
    images = _list_images(val)
    validation = [
        Listed(path, label)
        for path, label in zip(
            images.values(), _read_labels(val_labels, list(images), classes, val), strict=True
        )
    ]
    return import_listed(
        "imagenet",
        classes,
        choose(training, limit),
        [validation[i] for i in sorted(alternating([label for _, label in validation], limit))],
        output,
        roots=(train, val),
        resize=resize,
        gray=gray,
        seed=seed,
        skip_bad=skip_bad,
        jobs=jobs,
        force=force,
        progress=progress,
    )


def _list_images(folder: Path) -> dict[str, str]:
    """The paths of the files in a folder by their names, in the order of these."""
    entries = scan(folder)
    for entry in entries:
        if not entry.is_file():
            raise DataError(
                f"{entry.path}: not a file; {folder} must hold the images alone. Images that are "
                "sorted by class can be imported by `ul2q data folder`"
            )
    if not entries:
        raise DataError(f"{folder}: holds no images")
    return {entry.name: entry.path for entry in entries}


def _read_labels(
    path: Path, images: Sequence[str], classes: tuple[str, ...], folder: Path
) -> list[int]:
    """The label of each image."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error})") from error
    rows = [line.split() for line in text.splitlines()]
    while rows and not rows[-1]:
        rows.pop()
    columns = len(rows[0]) if rows else 0
    if columns not in (1, 2):
        raise DataError(
            f"{path}: {columns} words in the first line; a line is a label or a synset, or an "
            "image's name and one of them"
        )
    numbers = {name: label for label, name in enumerate(classes)}
    named: dict[str, int] = {}
    labels = []
    for number, row in enumerate(rows, 1):
        where = f"{path}:{number}"
        if len(row) != columns:
            raise DataError(f"{where}: {len(row)} words where the first line has {columns}")
        labels.append(_label(where, row[-1], numbers))
        if columns == 2:
            if row[0] in named:
                raise DataError(f"{where}: {row[0]} stands there a second time")
            named[row[0]] = labels[-1]
    if columns == 2:
        return _labels_by_name(path, named, images, folder)
    if len(labels) != len(images):
        raise DataError(
            f"{path}: {len(labels)} labels for the {len(images)} images in {folder}; "
            "both must be as many"
        )
    return labels


def _label(where: str, word: str, numbers: Mapping[str, int]) -> int:
    if word in numbers:
        return numbers[word]
    if not word.isdecimal():
        raise DataError(f"{where}: {word!r} is neither a number nor a class of the training set")
    if int(word) >= len(numbers):
        raise DataError(
            f"{where}: label {word}; labels are 0 to {len(numbers) - 1}, the classes' names "
            "sorted. (The development kit's ILSVRC2012_validation_ground_truth.txt counts the "
            "classes in another order, from 1: use synsets, or the val.txt for Caffe)"
        )
    return int(word)


def _labels_by_name(
    path: Path, named: Mapping[str, int], images: Sequence[str], folder: Path
) -> list[int]:
    without = [name for name in images if name not in named]
    if without:
        raise DataError(f"{path}: no label for {len(without)} images in {folder}, as {without[0]}")
    if len(named) > len(images):
        absent = min(named.keys() - set(images))
        raise DataError(
            f"{folder}: {len(named) - len(images)} images that {path} names are not there, "
            f"as {absent}"
        )
    return [named[name] for name in images]
