"""A test set that is drawn from the training set's folder."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.data.image_files import planes, ppm, random_pixels, write_classes
from ul2q.cli import main
from ul2q.data import DataError, import_folder
from ul2q.data.selection import drawn

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = {"a": 20, "b": 7, "c": 2}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    number = 0
    for name, count in COUNTS.items():
        files = {f"{number + i}.ppm": ppm(random_pixels(number + i)) for i in range(count)}
        write_classes(tmp_path / "images", {name: files})
        number += count
    return tmp_path / "images"


def sets(output: Path, read_lmdb: Any) -> list[list[tuple[bytes, int]]]:
    return [
        [(image.tobytes(), label) for _, image, label in read_lmdb(output / name)]
        for name in ("train_lmdb", "test_lmdb")
    ]


@pytest.mark.parametrize(
    ("share", "counts"),
    [(0.1, (2, 1, 1)), (0.5, (10, 4, 1)), (0.01, (1, 1, 1)), (0.99, (19, 6, 1))],
)
def test_each_class_gives_its_share(
    images: Path, tmp_path: Path, read_lmdb: Any, share: float, counts: tuple[int, ...]
) -> None:
    dataset = import_folder(images, None, tmp_path / "out", split=share, jobs=1)
    train, test = sets(tmp_path / "out", read_lmdb)
    assert (len(train), len(test)) == (dataset.train_count, dataset.test_count)
    assert Counter(label for _, label in test) == dict(enumerate(counts))
    number = sum(COUNTS.values())
    assert {image for image, _ in train} | {image for image, _ in test} == {
        planes(random_pixels(i)) for i in range(number)
    }
    assert len(train) + len(test) == number  # so that none is in both
    options = json.loads((tmp_path / "out" / "import.json").read_text())["options"]
    assert (options["split"], options["seed"]) == (share, 0)


def test_the_draw_follows_the_seed(images: Path, tmp_path: Path, read_lmdb: Any) -> None:
    tests = []
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        import_folder(images, None, tmp_path / name, split=0.3, seed=seed, jobs=1)
        tests.append(set(sets(tmp_path / name, read_lmdb)[1]))
    assert tests[0] == tests[1] != tests[2]
    again = import_folder(images, None, tmp_path / "one", split=0.3, seed=3, jobs=1)
    assert again.test_count == len(tests[0])
    with pytest.raises(DataError, match="--force"):
        import_folder(images, None, tmp_path / "one", split=0.4, seed=3)


def test_every_image_may_be_drawn() -> None:
    found = {i for seed in range(60) for i in drawn([0] * 5 + [1] * 5, 0.2, seed)}
    assert found == set(range(10))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_what_is_no_share_is_refused(images: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(DataError, match="it must be more than 0 and less than 1"):
        import_folder(images, None, tmp_path / "out", split=share)


def test_a_class_of_one_image_is_refused(images: Path, tmp_path: Path) -> None:
    write_classes(images, {"single": {"x.ppm": ppm(random_pixels(1))}})
    with pytest.raises(DataError, match="one image alone in class single"):
        import_folder(images, None, tmp_path / "out", split=0.5)


def test_the_command(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["data", "folder", "--train", str(images), "-o", str(tmp_path / "out"), "--jobs", "1"]
    for more in ([], ["--test", str(images), "--split", "0.1"]):
        assert main([*line, *more]) == 1
        assert "--test DIR (test), or draw it" in capsys.readouterr().err
    assert main([*line, "--split", "0.1", "--gray"]) == 0
    assert "test_lmdb (4 images of 1×4×5)" in capsys.readouterr().out
