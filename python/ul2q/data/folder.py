"""Import images that are sorted into a folder for each class, as LMDBs for Caffe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.data.errors import DataError, first_names
from ul2q.data.images import Resize
from ul2q.data.listing import choose, import_listed, list_classes

if TYPE_CHECKING:
    from pathlib import Path

    from ul2q.data.dataset import Dataset
    from ul2q.data.lmdb_writer import Progress


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
    """Import `train`/CLASS/IMAGE and `test`/CLASS/IMAGE as uint8 images in the order B, G, R.

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
        choose(training, limit),
        choose(testing, limit),
        output,
        roots=(train, test),
        resize=Resize(*size) if size else None,
        seed=seed,
        skip_bad=skip_bad,
        jobs=jobs,
        force=force,
        progress=progress,
    )


def _difference(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """How one list of class names differs from another."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"no class {first_names(missing)}, as there is in"
    return f"class {first_names([name for name in found if name not in expected])} is not in"
