"""The ImageNet import: three synsets and five validation images written by hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.image_files import planes, ppm, random_pixels, write_classes
from ul2q.data import DataError, Resize, import_imagenet

SYNSETS = ["n01440764", "n01443537", "n02102040"]
SIZE = Resize(4, 5)  # that of the images, so that their pixels stay
VAL = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 6)]
VAL_LABELS = [2, 0, 1, 0, 2]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A folder with train/SYNSET/*.JPEG and val/*.JPEG, of which the content tells the format."""
    train = {
        name: {f"{name}_{i}.JPEG": ppm(random_pixels(10 * label + i)) for i in range(2)}
        for label, name in enumerate(SYNSETS)
    }
    write_classes(tmp_path / "train", train)
    val = {name: ppm(random_pixels(100 + i)) for i, name in enumerate(VAL)}
    write_classes(tmp_path, {"val": val})
    return tmp_path


def run(layout: Path, labels: str, **options: Any) -> Any:
    (layout / "val.txt").write_text(labels)
    folders = (layout / "train", layout / "val", layout / "val.txt")
    return import_imagenet(*folders, layout / "out", **{"resize": SIZE, "jobs": 1, **options})


PAIRS = list(zip(VAL, VAL_LABELS, strict=True))
SPELLINGS = {
    "labels": "".join(f"{label}\n" for label in VAL_LABELS),
    "no last newline, spaces": " \n".join(str(label) for label in VAL_LABELS),
    "empty lines at the end": "".join(f"{label}\r\n" for label in VAL_LABELS) + "\n\n",
    "synsets": "".join(f"{SYNSETS[label]}\n" for label in VAL_LABELS),
    "names and labels": "".join(f"{name} {label}\n" for name, label in PAIRS),
    "names and synsets": "".join(f"{name}\t{SYNSETS[label]}\n" for name, label in PAIRS),
    "names in another order": "".join(f"{name} {label}\n" for name, label in PAIRS[::-1]),
}


@pytest.mark.parametrize("labels", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_imports_each_spelling_of_the_labels(layout: Path, read_lmdb: Any, labels: str) -> None:
    dataset = run(layout, labels)
    assert (dataset.train_count, dataset.test_count, dataset.shape) == (6, 5, (3, 4, 5))
    assert list(dataset.classes) == SYNSETS
    assert (layout / "out" / "classes.txt").read_text().split() == SYNSETS
    val = [(image.tobytes(), label) for _, image, label in read_lmdb(dataset.test)]
    assert val == [(planes(random_pixels(100 + i)), label) for i, label in enumerate(VAL_LABELS)]
    train = [(image.tobytes(), label) for _, image, label in read_lmdb(dataset.train)]
    assert sorted(train) == sorted(
        (planes(random_pixels(10 * label + i)), label) for label in range(3) for i in range(2)
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_caffe_reads_what_is_resized(
    layout: Path, data_layer: Any, check_means: Any, read_lmdb: Any, jobs: int
) -> None:
    write_classes(layout, {"val": {VAL[1]: ppm(np.full((30, 7, 3), (1, 2, 3), np.uint8))}})
    dataset = run(layout, SPELLINGS["labels"], resize=Resize(256, 256), jobs=jobs)
    assert dataset.shape == (3, 256, 256)
    rows = data_layer(dataset.test, 5)
    assert [label for _, _, label in rows] == VAL_LABELS
    assert [np.unique(plane).tolist() for plane in rows[1][1]] == [[3], [2], [1]]
    check_means(layout / "out", np.stack([image for _, image, _ in read_lmdb(dataset.train)]))


def test_crop_keeps_the_aspect(layout: Path, read_lmdb: Any) -> None:
    pixels = random_pixels(7, 4, 25)
    write_classes(layout, {"val": {VAL[0]: ppm(pixels)}})
    dataset = run(layout, SPELLINGS["labels"], resize=Resize(4, 5, "crop"))
    assert read_lmdb(dataset.test)[0][1].tobytes() == planes(pixels[:, 10:15])


def test_a_limit_takes_the_first_of_each_class_in_the_files_order(
    layout: Path, read_lmdb: Any
) -> None:
    dataset = run(layout, SPELLINGS["labels"], limit=3)
    assert [label for _, _, label in read_lmdb(dataset.test)] == [2, 0, 1]
    assert sorted(label for _, _, label in read_lmdb(dataset.train)) == [0, 1, 2]
    dataset = run(layout, SPELLINGS["labels"], limit=4, force=True)
    assert [label for _, _, label in read_lmdb(dataset.test)] == [2, 0, 1, 0]


def test_other_labels_are_another_import(layout: Path) -> None:
    first = run(layout, SPELLINGS["labels"])
    assert run(layout, SPELLINGS["names and synsets"]) == first
    with pytest.raises(DataError, match="already holds something else"):
        run(layout, "0\n" * 5)


def test_damaged_images_are_skipped_with_their_labels(layout: Path, read_lmdb: Any) -> None:
    (layout / "val" / VAL[2]).write_bytes(b"?")
    with pytest.raises(DataError, match=rf"1 of 11 images cannot be used: .*{VAL[2]}: damaged"):
        run(layout, SPELLINGS["labels"])
    dataset = run(layout, SPELLINGS["labels"], skip_bad=True)
    assert [label for _, _, label in read_lmdb(dataset.test)] == [2, 0, 0, 2]


BAD_LABELS = {
    "empty": ("", "0 words in the first line; a line is a label or a synset"),
    "three words": ("a 1 2\n", "3 words in the first line"),
    "uneven": ("1\n2\n\n0\n1\n", r"val\.txt:3: 0 words where the first line has 1"),
    "from 1": ("1\n2\n3\n1\n1\n", r"val\.txt:3: label 3; labels are 0 to 2.*development kit"),
    "negative": ("-1\n", r"val\.txt:1: '-1' is neither a number nor a class"),
    "unknown synset": ("n99999999\n", "'n99999999' is neither a number nor a class"),
    "too few": ("0\n1\n", "2 labels for the 5 images in .*val; both must be as many"),
    "too many": ("0\n" * 6, "6 labels for the 5 images"),
    "twice": (f"{VAL[0]} 1\n{VAL[0]} 2\n", r"val\.txt:2: .*_00000001\.JPEG stands there a second"),
    "image without": (
        SPELLINGS["names and labels"].replace(f"{VAL[3]} 0\n", ""),
        r"no label for 1 images in .*val, as ILSVRC2012_val_00000004\.JPEG",
    ),
    "label without": (
        SPELLINGS["names and labels"] + "x.JPEG 1\ny.JPEG 1\n",
        r"val: 2 images that .*val\.txt names are not there, as x\.JPEG",
    ),
}


@pytest.mark.parametrize(("labels", "words"), BAD_LABELS.values(), ids=BAD_LABELS.keys())
def test_refuses_bad_labels(layout: Path, labels: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        run(layout, labels)
    assert not (layout / "out").exists()


def test_refuses_labels_that_are_no_text(layout: Path) -> None:
    (layout / "val.txt").write_bytes(b"\xff\xfe")
    folders = (layout / "train", layout / "val", layout / "val.txt")
    with pytest.raises(DataError, match=r"val\.txt: not a text file"):
        import_imagenet(*folders, layout / "out")


def test_validation_images_in_class_folders_are_for_the_other_command(layout: Path) -> None:
    write_classes(layout / "val", {SYNSETS[0]: {"a.JPEG": ppm(random_pixels(1))}})
    words = rf"{SYNSETS[0]}: not a file; .*images alone.*`ul2q data folder`"
    with pytest.raises(DataError, match=words):
        run(layout, SPELLINGS["labels"])


@pytest.mark.parametrize("name", ["train", "val", "val.txt"])
def test_missing_sources_are_named(layout: Path, name: str) -> None:
    (layout / "val.txt").write_text(SPELLINGS["labels"])
    (layout / name).rename(layout / "elsewhere")
    folders = (layout / "train", layout / "val", layout / "val.txt")
    with pytest.raises(FileNotFoundError, match=re.escape(str(layout / name))):
        import_imagenet(*folders, layout / "out")
