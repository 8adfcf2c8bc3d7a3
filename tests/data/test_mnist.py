"""MNIST and Fashion-MNIST imports: tiny sets packed by hand, and the real one where it stands."""

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ul2q.data import (
    FASHION_MNIST_SOURCE,
    DataError,
    Dataset,
    import_fashion_mnist,
    import_mnist,
)

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
TRAIN_LABELS, TEST_LABELS = [5, 0, 4, 1, 9], [7, 2, 1]


def idx(shape: tuple[int, ...], elements: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + elements


def image_bytes(count: int, first: int) -> bytes:
    return bytes((first + 7 * index) % 256 for index in range(count * 4 * 3))


def contents(first: int = 0) -> dict[str, bytes]:
    """The four files of a set of 5 + 3 images of 4 x 3 pixels."""
    return {
        NAMES[0]: idx((5, 4, 3), image_bytes(5, first)),
        NAMES[1]: idx((5,), bytes(TRAIN_LABELS)),
        NAMES[2]: idx((3, 4, 3), image_bytes(3, first + 100)),
        NAMES[3]: idx((3,), bytes(TEST_LABELS)),
    }


def make_source(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source", contents())


Snapshot = dict[str, tuple[int, int, bytes]]


def snapshot(folder: Path) -> Snapshot:
    """Inode, modification time and content of every file under a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


Imported = list[tuple[bytes, int]]


@pytest.fixture
def read_import(read_lmdb: Any) -> Callable[[Path], Imported | None]:
    """Every image and label that a whole import holds; None if there is none."""

    def read(output: Path) -> Imported | None:
        if not output.exists():
            return None
        assert sorted(os.listdir(output)) == ["import.json", "test_lmdb", "train_lmdb"]
        return [
            (image.tobytes(), label)
            for part in ("train_lmdb", "test_lmdb")
            for _, image, label in read_lmdb(output / part)
        ]

    return read


def expected_import(first: int = 0) -> Imported:
    train, test = image_bytes(5, first), image_bytes(3, first + 100)
    return [
        (pixels[12 * index : 12 * (index + 1)], label)
        for pixels, labels in ((train, TRAIN_LABELS), (test, TEST_LABELS))
        for index, label in enumerate(labels)
    ]


def spelt(end: str, *, dot: bool) -> dict[str, bytes]:
    return {
        (name.replace("-idx", ".idx") if dot else name) + end: (
            gzip.compress(content) if end else content
        )
        for name, content in contents().items()
    }


@pytest.mark.parametrize("dot", [False, True], ids=["dash", "dot"])
@pytest.mark.parametrize("end", ["", ".gz"], ids=["plain", "gz"])
def test_imports_each_spelling(
    tmp_path: Path, read_import: Any, read_lmdb: Any, end: str, dot: bool
) -> None:
    source = make_source(tmp_path / "source", spelt(end, dot=dot))
    output = tmp_path / "deep" / "out"
    assert import_mnist(source, output) == Dataset(
        train=output / "train_lmdb",
        test=output / "test_lmdb",
        train_count=5,
        test_count=3,
        shape=(1, 4, 3),
        classes=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    )
    assert read_import(output) == expected_import()
    assert {image.shape for _, image, _ in read_lmdb(output / "train_lmdb")} == {(1, 4, 3)}


def test_fashion_mnist_has_its_own_class_names(tmp_path: Path, source: Path) -> None:
    classes = import_fashion_mnist(tmp_path / "out", source=source).classes
    assert len(classes) == 10
    assert (classes[0], classes[9]) == ("T-shirt/top", "Ankle boot")


def test_progress_names_both_parts(tmp_path: Path, source: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    import_mnist(source, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert calls == [(5, 5, "train_lmdb"), (3, 3, "test_lmdb")]


def test_a_second_import_writes_nothing(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out"
    first = import_mnist(source, output)
    (output / "mean.binaryproto").write_bytes(b"a user's own file")
    before = snapshot(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("the second import wrote records")

    assert import_mnist(source, output, progress=refuse) == first
    assert snapshot(tmp_path) == before


def test_force_imports_again(tmp_path: Path, source: Path, read_import: Any) -> None:
    import_mnist(source, tmp_path / "out")
    inode = (tmp_path / "out").stat().st_ino
    import_mnist(source, tmp_path / "out", force=True)
    assert (tmp_path / "out").stat().st_ino != inode
    assert read_import(tmp_path / "out") == expected_import()


def edit_manifest(**changes: object) -> Callable[[Path], None]:
    def edit(output: Path) -> None:
        path = output / "import.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def swap_databases(output: Path) -> None:
    (output / "train_lmdb").rename(output / "tmp")
    (output / "test_lmdb").rename(output / "train_lmdb")
    (output / "tmp").rename(output / "test_lmdb")


# What is done to an import, and the words of the second one's refusal.
OTHER_TARGETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no import.json": (lambda out: (out / "import.json").unlink(), "holds something else"),
    "broken import.json": (lambda out: (out / "import.json").write_text("{"), "something else"),
    "binary import.json": (lambda out: (out / "import.json").write_bytes(b"\xff"), "something"),
    "import.json a list": (lambda out: (out / "import.json").write_text("[]"), "something else"),
    "other set": (edit_manifest(dataset="fashion-mnist"), "something else"),
    "other sources": (edit_manifest(sha256={}), "something else"),
    "other count": (edit_manifest(train_count=6), "holds 5 records where import.json says 6"),
    "swapped": (swap_databases, "train_lmdb: holds 3 records where import.json says 5"),
    "no test set": (lambda out: shutil.rmtree(out / "test_lmdb"), "test_lmdb: cannot be read"),
    "cut short": (
        lambda out: os.truncate(out / "train_lmdb" / "data.mdb", 8192),
        "train_lmdb: the database is cut short",
    ),
}


@pytest.mark.parametrize(("change", "words"), OTHER_TARGETS.values(), ids=OTHER_TARGETS.keys())
def test_something_else_is_replaced_by_force_only(
    tmp_path: Path, source: Path, read_import: Any, change: Callable[[Path], object], words: str
) -> None:
    output = tmp_path / "out"
    import_mnist(source, output)
    change(output)
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match=f"{words}.*--force"):
        import_mnist(source, output)
    assert snapshot(tmp_path) == before
    import_mnist(source, output, force=True)
    assert read_import(output) == expected_import()


def test_changed_sources_are_something_else(tmp_path: Path, source: Path, read_import: Any) -> None:
    output = tmp_path / "out"
    import_mnist(source, output)
    make_source(source, contents(first=50))
    with pytest.raises(DataError, match="already holds something else"):
        import_mnist(source, output)
    assert read_import(output) == expected_import()
    import_mnist(source, output, force=True)
    assert read_import(output) == expected_import(first=50)


@pytest.mark.parametrize("force", [False, True])
def test_the_sources_are_never_overwritten(source: Path, force: bool) -> None:
    before = snapshot(source)
    with pytest.raises(DataError, match=r"holds other files \(t10k-images-idx3-ubyte, "):
        import_mnist(source, source, force=force)
    assert snapshot(source) == before


BAD_SOURCES: dict[str, tuple[dict[str, bytes], str]] = {
    "image missing": (
        {NAMES[0]: idx((4, 4, 3), image_bytes(4, 0))},
        "train-labels-idx1-ubyte: 5 labels for the 4 images of .*train-images",
    ),
    "label missing": ({NAMES[3]: idx((2,), b"\1\2")}, "2 labels for the 3 images of .*t10k-images"),
    "label 10": (
        {NAMES[1]: idx((5,), bytes([1, 2, 3, 10, 11]))},
        "label 10 at record 3; .* 0 to 9",
    ),
    "labels as images": ({NAMES[0]: contents()[NAMES[1]]}, "train-images.*: 1 axes; images have 3"),
    "images as labels": ({NAMES[3]: contents()[NAMES[2]]}, "t10k-labels.*: 3 axes; labels have 1"),
    "sizes differ": (
        {NAMES[2]: idx((3, 3, 4), image_bytes(3, 0))},
        "t10k-images.*: images of 3 x 4 pixels, but those in .*train-images.* have 4 x 3",
    ),
    "short": ({NAMES[2]: contents()[NAMES[2]][:-1]}, "t10k-images.*: short file"),
    "damaged gzip": ({NAMES[1]: gzip.compress(b"x")[:-3]}, "train-labels.*: .*cut short"),
}


@pytest.mark.parametrize(("files", "words"), BAD_SOURCES.values(), ids=BAD_SOURCES.keys())
def test_refuses_files_that_do_not_go_together(
    tmp_path: Path, source: Path, files: dict[str, bytes], words: str
) -> None:
    make_source(source, files)
    with pytest.raises(DataError, match=words):
        import_mnist(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(tmp_path: Path, source: Path, name: str) -> None:
    (source / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"source: no {name}; looked for .*{name}\.gz"):
        import_mnist(source, tmp_path / "out")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; it should hold train-"):
        import_mnist(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(
        FileNotFoundError, match=r"nowhere: .*apt-get install dataset-fashion-mnist"
    ):
        import_fashion_mnist(tmp_path / "out", source=tmp_path / "nowhere")


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "ever after"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_fault_at_any_step_leaves_the_old_or_the_new_import(
    tmp_path: Path,
    source: Path,
    read_import: Any,
    fault_sweep: Any,
    replace: bool,
    ever_after: bool,
) -> None:
    output = tmp_path / "out"
    if replace:
        import_mnist(make_source(tmp_path / "older", contents(first=50)), tmp_path / "kept")

    failures = fault_sweep(
        lambda: import_mnist(source, output, force=replace),
        lambda: read_import(output),
        tmp_path,
        kept=tmp_path / "kept" if replace else None,
        old=expected_import(first=50) if replace else None,
        new=expected_import(),
        ever_after=ever_after,
    )
    # 4 mkdir (parents, staging, two databases), 8 puts, 5 commits, import.json, fsync of 5 files
    # and 4 folders, 1 rename or exchange
    assert failures == 4 + 8 + 5 + 1 + 9 + 1


@pytest.mark.parametrize("part", ["train_lmdb", "test_lmdb"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_keyboard_interrupt_leaves_what_was_there(
    tmp_path: Path, source: Path, read_import: Any, part: str, replace: bool
) -> None:
    def interrupt(_done: int, _total: int, what: str) -> None:
        if what == part:
            raise KeyboardInterrupt

    output = tmp_path / "out"
    if replace:
        import_mnist(source, output)
        make_source(source, contents(first=50))
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        import_mnist(source, output, force=True, progress=interrupt)
    assert set(tmp_path.iterdir()) == before
    assert read_import(output) == (expected_import() if replace else None)


KILLED = """
import os, signal, sys
from pathlib import Path
from ul2q.data import import_mnist, staging

moment, source, output = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
holder, name = (staging, "_exchange") if Path(output).exists() else (os, "rename")
if moment == "fsync":
    os.fsync = die
elif moment == "before the move":
    setattr(holder, name, die)
elif moment == "after the move":
    real = getattr(holder, name)
    setattr(holder, name, lambda *paths: (real(*paths), die()))
progress = die if moment == "records" else None
import_mnist(Path(source), Path(output), force=True, progress=progress)
"""


@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
@pytest.mark.parametrize("moment", ["records", "fsync", "before the move", "after the move"])
def test_a_killed_import_leaves_the_old_or_the_new_one_and_is_cleaned_up(
    tmp_path: Path, source: Path, read_import: Any, moment: str, replace: bool
) -> None:
    output = tmp_path / "out"
    if replace:
        older = make_source(tmp_path / "older", contents(first=50))
        import_mnist(older, output)
    command = [sys.executable, "-c", KILLED, moment, str(source), str(output)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL

    moved = moment == "after the move"
    old = expected_import(first=50) if replace else None
    assert read_import(output) == (expected_import() if moved else old)
    leftovers = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(leftovers) == (0 if moved and not replace else 1)

    # The next import, whether it writes or not, removes what the killed one left.
    import_mnist(source, output, force=replace and not moved)
    assert read_import(output) == expected_import()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def independent(name: str, offset: int) -> NDArray[Any]:
    with gzip.open(FASHION_MNIST_SOURCE / f"{name}.gz") as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=offset)


@pytest.mark.skipif(
    not FASHION_MNIST_SOURCE.is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_the_real_fashion_mnist(tmp_path: Path, read_lmdb: Any) -> None:
    dataset = import_fashion_mnist(tmp_path / "out")
    assert (dataset.train_count, dataset.test_count) == (60000, 10000)
    assert dataset.shape == (1, 28, 28)
    for path, name, first in (
        (dataset.train, "train", [9, 0, 0, 3, 0, 2, 7, 2]),
        (dataset.test, "t10k", [9, 2, 1, 1, 6, 1, 4, 6]),
    ):
        labels = independent(f"{name}-labels-idx1-ubyte", 8)
        images = independent(f"{name}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
        rows = read_lmdb(path)
        assert [label for _, _, label in rows[:8]] == first
        assert [label for _, _, label in rows] == labels.tolist()
        np.testing.assert_array_equal(np.stack([image for _, image, _ in rows]), images)


LAZY = """
import sys
import ul2q
before = set(sys.modules)
import ul2q.data
loaded = set(sys.modules) - before
sys.exit(str(loaded) if loaded & {"numpy", "lmdb", "caffe", "ul2q.data.mnist"} else 0)
"""


def test_the_package_is_light_and_offers_its_names() -> None:
    import ul2q.data

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", LAZY], env=environment, check=True)
    assert all(getattr(ul2q.data, name) is not None for name in ul2q.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'import_cifar100'"):
        _ = ul2q.data.import_cifar100


def test_a_limit_takes_the_first_of_each_class(
    tmp_path: Path, source: Path, read_import: Any
) -> None:
    labels = bytes([5, 5, 4, 5, 4])
    make_source(source, {NAMES[1]: idx((5,), labels)})
    dataset = import_mnist(source, tmp_path / "out", limit=3)
    assert (dataset.train_count, dataset.test_count) == (3, 3)
    train = [(image_bytes(5, 0)[12 * i : 12 * (i + 1)], labels[i]) for i in (0, 2, 4)]
    assert read_import(tmp_path / "out") == train + expected_import()[5:]
    assert import_mnist(source, tmp_path / "out", limit=3) == dataset
    for limit in (None, 2):
        with pytest.raises(DataError, match="--force"):
            import_mnist(source, tmp_path / "out", limit=limit)
    with pytest.raises(DataError, match="limit 0; it must be 1 image or more"):
        import_mnist(source, tmp_path / "new", limit=0)
