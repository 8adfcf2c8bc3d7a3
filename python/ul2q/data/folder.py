"""Import images that are sorted into a folder for each class, as LMDBs for Caffe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.data.errors import DataError, first_names
from ul2q.data.images import Resize
from ul2q.data.listing import Listed, choose, import_listed, list_classes
from ul2q.data.selection import drawn

if TYPE_CHECKING:
    from ul2q.data.dataset import Dataset
    from ul2q.data.lmdb_writer import Progress
    from ul2q.util.paths import StrPath


def import_folder(
    train: StrPath,
    test: StrPath | None,
    output: StrPath,
    *,
    split: float | None = None,
    size: tuple[int, int] | None = None,
    gray: bool | None = None,
    limit: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Import `train`/CLASS/IMAGE and `test`/CLASS/IMAGE as uint8 images, channels B, G, R or one.

    The classes' names, sorted, get the labels 0, 1, ...; names that begin with a dot are passed
    over. The training set is shuffled; in the test set the classes take turns. `output` becomes
    complete in one step: train_lmdb, test_lmdb, mean.binaryproto, mean_values.txt, classes.txt and
    import.json. If an import of the same files stands there already, nothing is written.

    Args:
        train: the training set's folder.
        test: the test set's folder, with the same classes; None: it is drawn by `split`.
        output: the folder to be written; missing parents are made.
        split: the share of each class's images in `train` that become the test set, more than 0
            and less than 1, drawn by `seed`; at least one image of each class is in either set.
        size: height and width that every image is stretched to; None: all have the same already.
        gray: True: one channel, the luma. False: three. None: one if all images are grey, by what
            their files say, and else three.
        limit: import that many images of each set at most, the first of each class in turn.
        seed: of the training set's order, and of the split; 0 or more.
        skip_bad: leave damaged images out, rather than refuse them.
        jobs: how many processes decode; None: as many as there are processors.
        force: replace an earlier import, which stays intact until the new one is complete.
        progress: called after every thousand images or so.

    Raises:
        FileNotFoundError: `train` or `test` is missing.
        DataError: `test` and `split` are both given, or neither; the folders are not as said;
            images are damaged, or differ in size; an option is out of range; or `output` holds
            something else and `force` is not set, or holds files that no import has written.
        OSError: something cannot be read or written.
    """
    train = Path(train)
    output = Path(output)
    if (test is None) == (split is None):
        raise DataError(
            "give the test set by its folder, --test DIR (test), or draw it from the training set, "
            "--split 0.1 (split): one of them"
        )
    classes, training = list_classes(train)
    root = train
    options = {}
    if test is not None:
        root = Path(test)
        test_classes, testing = list_classes(root)
        if classes != test_classes:
            raise DataError(f"{root}: {_difference(test_classes, classes)} {train}")
    elif split is not None:
        options = {"split": split, "seed": seed}
        training, testing = _split(training, classes, split, seed, train)
    return import_listed(
        "folder",
        classes,
        choose(training, limit),
        choose(testing, limit),
        output,
        roots=(train, root),
        resize=Resize(*size) if size else None,
        gray=gray,
        seed=seed,
        skip_bad=skip_bad,
        jobs=jobs,
        force=force,
        progress=progress,
        options=options,
    )


def _split(
    images: list[Listed], classes: tuple[str, ...], share: float, seed: int, root: Path
) -> tuple[list[Listed], list[Listed]]:
    """The images that stay in the training set, and those that are drawn for the test set."""
    if not 0 < share < 1:
        raise DataError(f"split {share}; it must be more than 0 and less than 1, as 0.1")
    labels = [label for _, label in images]
    single = [name for label, name in enumerate(classes) if labels.count(label) < 2]
    if single:
        raise DataError(
            f"{root}: one image alone in class {first_names(single)}; a class needs two or more, "
            "for the training set and the test set"
        )
    chosen = drawn(labels, share, seed)
    return (
        [image for i, image in enumerate(images) if i not in chosen],
        [image for i, image in enumerate(images) if i in chosen],
    )


def _difference(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """How one list of class names differs from another."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"no class {first_names(missing)}, as there is in"
    return f"class {first_names([name for name in found if name not in expected])} is not in"
