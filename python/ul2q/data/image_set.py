"""Write a data set of images: the LMDBs, the training set's mean, and the class names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ul2q.data.dataset import (
    MANIFEST,
    OF_FILES,
    TEST,
    TRAIN,
    Dataset,
    standing_import,
    write_manifest,
)
from ul2q.data.errors import DataError
from ul2q.data.images import ImageError
from ul2q.data.lmdb_writer import Progress, Record, fill_lmdb
from ul2q.data.means import MEAN_IMAGE, MEAN_VALUES, ImageMean
from ul2q.data.staging import remove_leftovers, staged_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CLASSES = "classes.txt"

_NAMED = 10  # how many damaged images an error names


@dataclass(frozen=True)
class Identity:
    """What an import is made from; if it is all the same, so is the import.

    Attributes:
        name: the data set's.
        hashes: SHA-256, in hexadecimal, of the sources.
        options: all that changes the result, as JSON has it.
        classes: the name of each label, 0 first.
        hashes_of: what the hashes are of, by their name in import.json.
    """

    name: str
    hashes: Mapping[str, str]
    options: Mapping[str, object]
    classes: tuple[str, ...]
    hashes_of: str = OF_FILES


class Item(NamedTuple):
    """An image on its way into an LMDB.

    Attributes:
        source: the file, for errors.
        label: its class.
        image: channels x height x width, or why there is none.
    """

    source: str
    label: int
    image: NDArray[np.uint8] | ImageError


@dataclass(frozen=True)
class Split:
    """The training set or the test set: its items, in the order of the LMDB, and their number."""

    items: Iterable[Item]
    total: int


def standing_image_set(output: Path, identity: Identity) -> Dataset | None:
    """The import with this identity, if it stands at `output`.

    What killed imports have left beside it is removed.

    Raises:
        DataError: it is the same by its import.json, but a file of it is damaged or missing.
    """
    dataset = standing_import(
        output,
        identity.name,
        identity.hashes,
        identity.classes,
        identity.options,
        hashes_of=identity.hashes_of,
    )
    if dataset is None:
        return None
    for name in (MEAN_IMAGE, MEAN_VALUES, CLASSES):
        if not (output / name).is_file():
            raise DataError(f"{output / name}: missing; import again with --force (force=True)")
    remove_leftovers(output)
    return dataset


def write_image_set(
    output: Path,
    identity: Identity,
    train: Split,
    test: Split,
    *,
    skip_bad: bool = False,
    force: bool,
    progress: Progress | None,
) -> Dataset:
    """Write the two LMDBs, mean.binaryproto, mean_values.txt, classes.txt and import.json.

    `output` becomes complete in one step. If an image is damaged, the others are still read, so
    that the error names and counts all.

    Args:
        output: the folder to be written; missing parents are made.
        identity: for import.json.
        train: the images of train_lmdb, of which the mean is taken.
        test: the images of test_lmdb, of the same shape.
        skip_bad: leave damaged images out.
        force: replace an earlier import, which stays intact until the new one is complete.
        progress: as for `write_lmdb`.

    Raises:
        DataError: images differ in shape; some are damaged, and `skip_bad` is not set, or none of
            a split is left; or `output` cannot be used (see `staged_folder`).
        OSError: something cannot be read or written.
    """
    written = (TRAIN, TEST, MEAN_IMAGE, MEAN_VALUES, CLASSES, MANIFEST)
    mean = ImageMean()
    sieve = _Sieve()
    with staged_folder(output, force=force, replaceable=written) as folder:
        counts = []
        for name, split in ((TRAIN, train), (TEST, test)):
            records = sieve.records(split.items, mean if name == TRAIN else None)
            counts.append(
                fill_lmdb(folder / name, records, total=split.total, what=name, progress=progress)
            )
        if sieve.damaged and not skip_bad:
            raise DataError(_damage(sieve.damaged, train.total + test.total))
        for name, split, count in zip((TRAIN, TEST), (train, test), counts, strict=True):
            if not count:
                raise DataError(
                    f"{name}: all of its {split.total} images are damaged: {sieve.damaged[0]}"
                )
        dataset = Dataset(
            train=output / TRAIN,
            test=output / TEST,
            train_count=counts[0],
            test_count=counts[1],
            shape=sieve.shape,
            classes=identity.classes,
            skipped=tuple(sieve.damaged),
        )
        mean.write(folder)
        # File names, which class names may come from, need not be valid Unicode.
        (folder / CLASSES).write_text(
            "".join(f"{name}\n" for name in identity.classes),
            encoding="utf-8",
            errors="surrogateescape",
        )
        write_manifest(
            folder,
            identity.name,
            identity.hashes,
            dataset,
            identity.options,
            hashes_of=identity.hashes_of,
        )
    return dataset


@dataclass
class _Sieve:
    """Turns items into records; keeps what is wrong with those that are none."""

    damaged: list[str] = field(default_factory=list)
    first: Item | None = None
    shape: tuple[int, int, int] = (0, 0, 0)

    def records(self, items: Iterable[Item], mean: ImageMean | None) -> Iterator[Record | None]:
        for item in items:
            if isinstance(item.image, ImageError):
                self.damaged.append(str(item.image))
                yield None
                continue
            self._check_shape(item, item.image)
            if mean:
                mean.add(item.image)
            yield item.image, item.label

    def _check_shape(self, item: Item, image: NDArray[np.uint8]) -> None:
        channels, height, width = image.shape
        if self.first is None:
            self.first, self.shape = item, (channels, height, width)
        if self.shape != (channels, height, width):
            raise DataError(
                f"{item.source}: {height} x {width} pixels (height x width), but "
                f"{self.first.source} has {self.shape[1]} x {self.shape[2]}; all must be the same: "
                "give a size to bring them to, as --size 32x32"
            )


def _damage(damaged: list[str], total: int) -> str:
    named = "; ".join(damaged[:_NAMED]) + ("; …" if len(damaged) > _NAMED else "")
    return (
        f"{len(damaged)} of {total} images cannot be used: {named}. "
        "Mend or remove them, or leave them out with --skip-bad (skip_bad=True)"
    )
