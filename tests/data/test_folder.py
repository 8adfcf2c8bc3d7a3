"""The import of class folders: a dozen images written by hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.data.image_files import planes, png, ppm, random_pixels, write_classes
from ul2q.data import DataError, import_folder

# Class, file, seed of its pixels.
TRAIN = [
    *(("cat", f"{i}.ppm", i) for i in range(5)),
    ("dog", "a.ppm", 10),
    *(("emu", f"{i}.PNG", 20 + i) for i in range(2)),
]
TEST = [("cat", "0.ppm", 30), ("cat", "1.ppm", 31), ("dog", "0.ppm", 40), ("emu", "x.ppm", 50)]
LABELS = {"cat": 0, "dog": 1, "emu": 2}

Imported = list[tuple[bytes, int]]


class Source(NamedTuple):
    train: Path
    test: Path


def make(root: Path, images: list[tuple[str, str, int]], shift: int = 0) -> Path:
    for name, file, seed in images:
        pixels = random_pixels(seed + shift)
        write_classes(root, {name: {file: png(pixels, 2) if "PNG" in file else ppm(pixels)}})
    return root


def make_source(root: Path, shift: int = 0) -> Source:
    return Source(make(root / "train", TRAIN, shift), make(root / "test", TEST, shift))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return make_source(tmp_path / "source")


def expected(images: list[tuple[str, str, int]]) -> Imported:
    return [(planes(random_pixels(seed)), LABELS[name]) for name, _, seed in images]


# The classes in turn.
TEST_ORDER = [TEST[0], TEST[2], TEST[3], TEST[1]]


@pytest.mark.parametrize("jobs", [None, 1, 3])
def test_imports_the_images(
    tmp_path: Path, source: Source, read_image_set: Any, check_means: Any, jobs: int | None
) -> None:
    (source.train / ".DS_Store").write_bytes(b"?")
    (source.train / "cat" / ".hidden").write_bytes(b"?")
    (source.train / "README").write_text("beside the classes")
    output = tmp_path / "out"
    calls: list[tuple[int, int, str]] = []
    dataset = import_folder(*source, output, jobs=jobs, progress=lambda *call: calls.append(call))
    assert calls == [(8, 8, "train_lmdb"), (4, 4, "test_lmdb")]
    assert (dataset.train_count, dataset.test_count, dataset.shape) == (8, 4, (3, 4, 5))
    assert dataset.classes == ("cat", "dog", "emu")
    assert (output / "classes.txt").read_text() == "cat\ndog\nemu\n"
    assert read_image_set(output) == sorted(expected(TRAIN)) + expected(TEST_ORDER)
    pixels = [np.frombuffer(image, np.uint8) for image, _ in expected(TRAIN)]
    check_means(output, np.stack(pixels).reshape(-1, 3, 4, 5))


def test_caffe_reads_it_pixel_by_pixel(tmp_path: Path, source: Source, data_layer: Any) -> None:
    dataset = import_folder(*source, tmp_path / "out", jobs=1)
    rows = data_layer(dataset.test, 4)
    assert [(image.astype(np.uint8).tobytes(), label) for _, image, label in rows] == expected(
        TEST_ORDER
    )
    train = [np.frombuffer(image, np.uint8) for image, _ in expected(TRAIN)]
    mean = np.stack(train).mean(axis=0).reshape(3, 4, 5)
    less = data_layer(dataset.test, 4, f'mean_file: "{tmp_path / "out" / "mean.binaryproto"}"')
    values = (tmp_path / "out" / "mean_values.txt").read_text()
    channel = data_layer(dataset.test, 4, values)
    for (_, image, _), (_, without_mean, _), (_, without_values, _) in zip(
        rows, less, channel, strict=True
    ):
        np.testing.assert_allclose(without_mean, image - mean, rtol=1e-5, atol=1e-4)
        of_channel = mean.mean(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(without_values, image - of_channel, rtol=1e-5, atol=1e-4)


def test_the_order_depends_on_the_seed_alone(
    tmp_path: Path, source: Source, read_lmdb: Any
) -> None:
    def order(seed: int, jobs: int) -> Imported:
        output = tmp_path / f"{seed}-{jobs}"
        import_folder(*source, output, seed=seed, jobs=jobs)
        return [(image.tobytes(), label) for _, image, label in read_lmdb(output / "train_lmdb")]

    assert order(0, 1) == order(0, 2)
    # The order of a seed is the same on every machine: that of PCG64's raw draws.
    draws = np.random.PCG64(4).random_raw(8).tolist()
    by_turns = [TRAIN[i] for i in (0, 5, 6, 1, 7, 2, 3, 4)]
    assert order(4, 1) == expected([by_turns[draws.index(draw)] for draw in sorted(draws)])


@pytest.mark.parametrize(
    ("limit", "chosen"),
    [(1, [0]), (3, [0, 5, 6]), (4, [0, 1, 5, 6]), (6, [0, 1, 2, 5, 6, 7]), (99, range(8))],
)
def test_a_limit_takes_the_first_of_each_class_in_turn(
    tmp_path: Path, source: Source, read_image_set: Any, limit: int, chosen: list[int]
) -> None:
    dataset = import_folder(*source, tmp_path / "out", limit=limit, jobs=1)
    assert (dataset.train_count, dataset.test_count) == (min(limit, 8), min(limit, 4))
    train = sorted(expected([TRAIN[i] for i in chosen]))
    assert read_image_set(tmp_path / "out") == train + expected(TEST_ORDER[:limit])


def test_sizes_must_be_the_same_or_given(tmp_path: Path, source: Source, read_lmdb: Any) -> None:
    (source.test / "emu" / "x.ppm").write_bytes(ppm(random_pixels(1, 6, 9)))
    with pytest.raises(
        DataError, match=r"x\.ppm: 6 x 9 pixels .*\.(ppm|PNG) has 4 x 5; .* --size 32x32"
    ):
        import_folder(*source, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()
    dataset = import_folder(*source, tmp_path / "out", size=(3, 7), jobs=1)
    assert dataset.shape == (3, 3, 7)
    rows = read_lmdb(dataset.train) + read_lmdb(dataset.test)
    assert {image.shape for _, image, _ in rows} == {(3, 3, 7)}


def test_a_second_import_writes_nothing(tmp_path: Path, source: Source) -> None:
    output = tmp_path / "out"
    first = import_folder(*source, output, jobs=1)
    inode = output.stat().st_ino
    assert import_folder(*source, output, jobs=2) == first
    assert output.stat().st_ino == inode
    different: list[dict[str, Any]] = [{"seed": 1}, {"limit": 2}, {"size": (4, 5)}]
    for options in different:
        with pytest.raises(DataError, match=r"already holds something else.*--force"):
            import_folder(*source, output, jobs=1, **options)
    # A folder that stands elsewhere is the same; a changed image is another.
    source.train.parent.rename(tmp_path / "moved")
    moved = Source(tmp_path / "moved" / "train", tmp_path / "moved" / "test")
    assert import_folder(*moved, output) == first
    (moved.train / "dog" / "a.ppm").write_bytes(ppm(random_pixels(99)))
    with pytest.raises(DataError, match=r"already holds something else.*--force"):
        import_folder(*moved, output)


@pytest.mark.parametrize("jobs", [1, 2])
def test_damaged_images_are_named_counted_and_skipped(
    tmp_path: Path, source: Source, read_image_set: Any, check_means: Any, jobs: int
) -> None:
    (source.train / "cat" / "1.ppm").write_bytes(b"P6\n5 4\n255\n???")
    (source.train / "emu" / "0.PNG").write_bytes(b"")
    (source.test / "dog" / "0.ppm").write_text("no image")
    output = tmp_path / "out"
    with pytest.raises(DataError, match=r"^3 of 12 images cannot be used: .*--skip-bad") as caught:
        import_folder(*source, output, jobs=jobs)
    names = ("cat/1.ppm: damaged", "emu/0.PNG: damaged", "dog/0.ppm: damaged")
    assert all(name in str(caught.value) for name in names)
    assert not output.exists()

    dataset = import_folder(*source, output, jobs=jobs, skip_bad=True)
    assert (dataset.train_count, dataset.test_count) == (6, 3)
    assert len(dataset.skipped) == 3
    assert all(any(name in line for line in dataset.skipped) for name in names)
    assert import_folder(*source, output, skip_bad=True) == dataset
    good = [image for image in TRAIN if image[:2] not in {("cat", "1.ppm"), ("emu", "0.PNG")}]
    test = [image for image in TEST_ORDER if image[0] != "dog"]
    assert read_image_set(output) == sorted(expected(good)) + expected(test)
    pixels = [np.frombuffer(image, np.uint8) for image, _ in expected(good)]
    check_means(output, np.stack(pixels).reshape(-1, 3, 4, 5))


def test_a_set_without_a_good_image_is_refused(tmp_path: Path, source: Source) -> None:
    for path in source.test.rglob("*.ppm"):
        path.write_bytes(b"?")
    with pytest.raises(DataError, match=r"test_lmdb: all of its 4 images are damaged: .*0\.ppm"):
        import_folder(*source, tmp_path / "out", skip_bad=True, jobs=1)
    assert not (tmp_path / "out").exists()


def remove(*names: str) -> Callable[[Source], object]:
    def change(source: Source) -> None:
        for name in names:
            shutil.rmtree(source.train.parent / name)

    return change


# What is done to the folders, the options, and the words of the refusal.
BAD_SOURCES: dict[str, tuple[Callable[[Source], object], dict[str, Any], str]] = {
    "no training set": (remove("train"), {}, "train: no such folder"),
    "no test set": (remove("test"), {}, "test: no such folder"),
    "a file": (
        lambda source: (remove("test")(source), source.test.write_text("")),
        {},
        "test: no such folder",
    ),
    "no classes": (
        remove("train/cat", "train/dog", "train/emu"),
        {},
        "train: no folders in it; there should be one for each class",
    ),
    "class without images": (
        lambda source: (source.train / "fox").mkdir(),
        {},
        "train/fox: holds no images",
    ),
    "folder in a class": (
        lambda source: (source.train / "dog" / "puppies").mkdir(),
        {},
        "dog/puppies: not a file; class folders hold images alone",
    ),
    "class not in the test set": (
        remove("test/dog"),
        {},
        "test: no class dog, as there is in .*train",
    ),
    "class not in the training set": (
        remove("train/dog", "train/emu"),
        {},
        "test: class dog, emu is not in .*train",
    ),
    "name of two lines": (
        lambda source: (source.train / "dog").rename(source.train / "d\nog"),
        {},
        "a class is named 'd\\\\nog'; names must be one line",
    ),
    "limit": (lambda _: None, {"limit": -1}, "limit -1; it must be 1 image or more"),
    "seed": (lambda _: None, {"seed": -1}, "seed -1; it must be 0 or more"),
    "jobs": (lambda _: None, {"jobs": 0}, "0 jobs; there must be 1 or more"),
    "size": (lambda _: None, {"size": (0, 4)}, "size 0 x 4; each must be 1 pixel or more"),
}


@pytest.mark.parametrize(
    ("change", "options", "words"), BAD_SOURCES.values(), ids=BAD_SOURCES.keys()
)
def test_refuses_bad_input(
    tmp_path: Path,
    source: Source,
    change: Callable[[Source], object],
    options: dict[str, Any],
    words: str,
) -> None:
    change(source)
    with pytest.raises((DataError, FileNotFoundError), match=words):
        import_folder(*source, tmp_path / "out", **{"jobs": 1, **options})
    assert list(tmp_path.iterdir()) == [source.train.parent]


def test_class_names_need_not_be_unicode(tmp_path: Path, source: Source) -> None:
    for part in source:
        (part / "dog").rename(part / os.fsdecode(b"d\xf6g"))
    import_folder(*source, tmp_path / "out", jobs=1)
    assert (tmp_path / "out" / "classes.txt").read_bytes() == b"cat\nd\xf6g\nemu\n"
    import_folder(*source, tmp_path / "out", jobs=1)


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "ever after"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_fault_at_any_step_leaves_the_old_or_the_new_import(
    tmp_path: Path,
    source: Source,
    read_image_set: Any,
    fault_sweep: Any,
    replace: bool,
    ever_after: bool,
) -> None:
    output = tmp_path / "out"
    if replace:
        import_folder(*make_source(tmp_path / "older", 100), tmp_path / "kept", jobs=1)

    failures = fault_sweep(
        lambda: import_folder(*source, output, limit=3, jobs=1, force=replace),
        lambda: read_image_set(output),
        tmp_path,
        kept=tmp_path / "kept" if replace else None,
        old=read_image_set(tmp_path / "kept"),
        new=sorted(expected([TRAIN[0], TRAIN[5], TRAIN[6]])) + expected(TEST_ORDER[:3]),
        ever_after=ever_after,
    )
    # 4 mkdir (parents, staging, two databases), 6 puts, 4 commits, 4 files beside the databases,
    # fsync of 8 files and 4 folders, 1 rename or exchange
    assert failures == 4 + 6 + 4 + 4 + 12 + 1


STOPPED = """
import sys
from ul2q.cli import main
from ul2q.data import lmdb_writer
lmdb_writer._BATCH = 1
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_stopped_command_leaves_no_half_import(
    tmp_path: Path, source: Source, read_image_set: Any, name: str
) -> None:
    number = getattr(signal, name)
    for i in range(400):
        pixels = random_pixels(i, 80, 80)
        (source.train / "dog" / f"{i}.ppm").write_bytes(ppm(pixels))
    size = ["--size", "40x40", "--jobs", "2"]
    folders = ["--train", str(source.train), "--test", str(source.test)]
    command = [sys.executable, "-c", STOPPED, "data", "folder", *folders, *size]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + 20
        while not list(tmp_path.glob(".out.*/train_lmdb/data.mdb")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        if name == "SIGINT":  # as a terminal does: to all of the command's processes
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == (130 if name == "SIGINT" else -number)
    assert errors == ("ul2q: interrupted\n" if name == "SIGINT" else "")
    left = {path.name for path in tmp_path.iterdir()} - {"source"}
    assert len(left) == (0 if name == "SIGINT" else 1)
    import_folder(*source, tmp_path / "out", limit=2, size=(4, 5), jobs=1)
    assert len(read_image_set(tmp_path / "out")) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}


def test_the_hash_of_a_listing_is_called_so(source: Source, tmp_path: Path) -> None:
    output = tmp_path / "data"
    import_folder(*source, output)
    path = output / "import.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert "sha256" not in manifest
    listing = manifest.pop("sha256_of_listing")
    assert set(listing) == {"train", "test"}
    # One of before, which called it as that of a file's bytes, is known again.
    path.write_text(json.dumps({**manifest, "sha256": listing}), encoding="utf-8")
    before = path.stat().st_mtime_ns
    import_folder(*source, output)
    assert path.stat().st_mtime_ns == before
