"""The CIFAR-10 import: archives of 6 x 4 images written by hand, and one of the real size."""

import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path
from pickle import loads
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ul2q.data import DataError, cifar, import_cifar10

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
COUNT = 4  # images a batch


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "_BATCH", COUNT)


Planes = NDArray[np.uint8]  # N x 3072: red, green, blue


def images(seed: int = 0) -> dict[str, tuple[Planes, list[int]]]:
    random = np.random.default_rng(seed)
    return {
        name: (
            random.integers(0, 256, (COUNT, 3072), np.uint8),
            [int(label) for label in random.integers(0, 10, COUNT)],
        )
        for name in BATCHES
    }


def opcodes(value: Any) -> bytes:
    """A value as Python 2 pickles it by protocol 2, `str` as STRING and arrays as NumPy does."""
    if isinstance(value, bytes):
        short = len(value) < 256
        size = bytes([len(value)]) if short else struct.pack("<i", len(value))
        return (b"U" if short else b"T") + size + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(opcodes(k) + opcodes(v) for k, v in value.items()) + b"u"
    kind = value.dtype.str[1:].encode()
    dtype = b"cnumpy\ndtype\n" + opcodes(kind) + b"K\0K\1\x87R(K\3U\1|NNN"
    dtype += opcodes(-1) + opcodes(-1) + b"K\0tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1"
    array += b"(" + b"".join(map(opcodes, value.shape)) + b"t"
    return array + dtype + b"\x89" + opcodes(value.tobytes()) + b"tb"


def py2(value: Any) -> bytes:
    return b"\x80\2" + opcodes(value) + b"."


def python_files(seed: int = 0) -> dict[str, bytes]:
    files = {
        name: py2({b"batch_label": b"training", b"labels": labels, b"data": planes})
        for name, (planes, labels) in images(seed).items()
    }
    names = [name.encode() for name in NAMES]
    return {**files, "batches.meta": py2({b"num_vis": 3072, b"label_names": names})}


def binary_files(seed: int = 0) -> dict[str, bytes]:
    files = {
        f"{name}.bin": b"".join(
            bytes([label]) + plane.tobytes() for plane, label in zip(planes, labels, strict=True)
        )
        for name, (planes, labels) in images(seed).items()
    }
    return {**files, "batches.meta.txt": "\n".join([*NAMES, ""]).encode()}


VERSIONS = {
    "python": ("cifar-10-batches-py", python_files),
    "binary": ("cifar-10-batches-bin", binary_files),
}


def tar(folder: str, files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def make_source(path: Path, version: str, form: str, seed: int = 0) -> Path:
    """An archive, what it unpacks to, or the folder around that; all at `path`."""
    folder, files = VERSIONS[version]
    if form in ("gz", "tar"):
        content = tar(folder, files(seed))
        path.write_bytes(gzip.compress(content, 1) if form == "gz" else content)
        return path
    inner = path if form == "folder" else path / folder
    inner.mkdir(parents=True)
    for name, content in files(seed).items():
        (inner / name).write_bytes(content)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "cifar-10-python.tar.gz", "python", "gz")


Imported = list[tuple[bytes, int]]


def bgr(plane: Planes) -> bytes:
    red, green, blue = plane[:1024], plane[1024:2048], plane[2048:]
    return blue.tobytes() + green.tobytes() + red.tobytes()


def expected(part: str, seed: int = 0) -> Imported:
    batches = images(seed)
    names = BATCHES[:5] if part == "train_lmdb" else BATCHES[5:]
    return [
        (bgr(plane), label) for name in names for plane, label in zip(*batches[name], strict=True)
    ]


def whole(seed: int = 0) -> Imported:
    return sorted(expected("train_lmdb", seed)) + expected("test_lmdb", seed)


def test_the_handmade_pickles_are_numpys() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2 has moved its functions
        batch = loads(python_files()["data_batch_3"], encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], images()["data_batch_3"][0])
    assert batch[b"labels"] == images()["data_batch_3"][1]


@pytest.mark.parametrize("form", ["gz", "tar", "folder", "around"])
@pytest.mark.parametrize("version", VERSIONS)
def test_imports_each_form(
    tmp_path: Path, read_image_set: Any, check_means: Any, version: str, form: str
) -> None:
    source = make_source(tmp_path / "source", version, form)
    output = tmp_path / "deep" / "out"
    dataset = import_cifar10(source, output)
    assert (dataset.train_count, dataset.test_count) == (5 * COUNT, COUNT)
    assert (dataset.shape, dataset.classes) == ((3, 32, 32), tuple(NAMES))
    assert read_image_set(output) == whole()
    assert (output / "classes.txt").read_text().split() == NAMES
    train = [np.frombuffer(image, np.uint8) for image, _ in expected("train_lmdb")]
    check_means(output, np.stack(train).reshape(-1, 3, 32, 32))


def test_caffe_reads_it_pixel_by_pixel(tmp_path: Path, source: Path, data_layer: Any) -> None:
    dataset = import_cifar10(source, tmp_path / "out")
    rows = data_layer(dataset.test, COUNT)
    assert [(image.astype(np.uint8).tobytes(), label) for _, image, label in rows] == expected(
        "test_lmdb"
    )


def test_the_seed_orders_the_training_set_alone(
    tmp_path: Path, source: Path, read_lmdb: Any
) -> None:
    def order(part: str, output: str, seed: int) -> Imported:
        import_cifar10(source, tmp_path / output, seed=seed, force=True)
        return [(image.tobytes(), label) for _, image, label in read_lmdb(tmp_path / output / part)]

    first = order("train_lmdb", "a", 0)
    assert first == order("train_lmdb", "b", 0)
    assert first != order("train_lmdb", "b", 1)
    assert first != expected("train_lmdb")
    assert order("test_lmdb", "b", 2) == expected("test_lmdb")


def test_a_limit_takes_the_first_of_each_class(tmp_path: Path, read_image_set: Any) -> None:
    source = make_source(tmp_path / "source", "binary", "folder")
    labels = iter([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0])
    for name in BATCHES[:5]:
        content = bytearray((source / f"{name}.bin").read_bytes())
        for i in range(COUNT):
            content[i * 3073] = next(labels)
        (source / f"{name}.bin").write_bytes(content)
    dataset = import_cifar10(source, tmp_path / "out", limit=5)
    assert (dataset.train_count, dataset.test_count) == (5, COUNT)
    train = expected("train_lmdb")
    chosen = [(train[i][0], label) for i, label in ((0, 0), (1, 0), (7, 1), (12, 2), (13, 2))]
    assert read_image_set(tmp_path / "out")[:5] == sorted(chosen)


def test_a_second_import_writes_nothing(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out"
    first = import_cifar10(source, output)
    inode = output.stat().st_ino
    assert import_cifar10(source, output) == first
    assert output.stat().st_ino == inode
    for seed, limit in ((1, None), (0, 3)):
        with pytest.raises(DataError, match=r"already holds something else.*--force"):
            import_cifar10(source, output, seed=seed, limit=limit)
    (output / "mean.binaryproto").unlink()
    with pytest.raises(DataError, match=r"mean\.binaryproto: missing; import again with --force"):
        import_cifar10(source, output)
    assert import_cifar10(source, output, force=True) == first


def python_batch(**changes: Any) -> dict[str, bytes]:
    planes, labels = images()["data_batch_2"]
    batch = {b"data": planes, b"labels": labels}
    return {"data_batch_2": py2(batch | {key.encode(): value for key, value in changes.items()})}


PLANES = images()["data_batch_2"][0]
GOOD = python_files()["data_batch_2"]
GLOBAL = b"\x80\2cposix\nsystem\nU\7echo hi\x85R."

# The version, the files that are other than they should be, and the words of the refusal.
BAD_FILES: dict[str, tuple[str, dict[str, bytes], str]] = {
    "cut pickle": (
        "python",
        {"data_batch_2": GOOD[:-5000]},
        "data_batch_2: damaged, or not as",
    ),
    "empty pickle": ("python", {"test_batch": b""}, "test_batch: damaged, or not as"),
    "a command": ("python", {"test_batch": GLOBAL}, "posix.system, which is not allowed"),
    "a place far beyond": (
        "python",
        {"test_batch": b"\x80\2}r" + struct.pack("<I", 2**24) + b"."},
        "it keeps an object at place 16777216",
    ),
    "a list": ("python", {"test_batch": py2([1])}, "test_batch: a pickle of list; a dictionary"),
    "no data": ("python", {"test_batch": py2({b"labels": [1]})}, "test_batch: no array `data`"),
    "no labels": ("python", {"test_batch": py2({b"data": PLANES})}, "no list `labels`"),
    "labels no numbers": ("python", python_batch(labels=[b"cat"] * 4), "no list `labels` of int"),
    "3 labels": ("python", python_batch(labels=[1, 2, 3]), "3 labels; a batch has 4"),
    "label 10": ("python", python_batch(labels=[1, 2, 10, 3]), "label of image 2 is none of 0 to"),
    "label -1": ("python", python_batch(labels=[-1, 2, 1, 3]), "label of image 0 is none of 0 to"),
    "3 images": ("python", python_batch(data=PLANES[:3]), "not an array of 4 x 3072 bytes"),
    "wrong shape": ("python", python_batch(data=PLANES.T.copy()), "not an array of 4 x 3072"),
    "wrong type": ("python", python_batch(data=PLANES.view(np.int8)), "not an array of 4 x 3072"),
    "CIFAR-100's names": (
        "python",
        {"batches.meta": py2({b"label_names": [b"apple"]})},
        r"batches\.meta: not the classes of CIFAR-10: airplane",
    ),
    "other names": ("binary", {"batches.meta.txt": b"a\nb\n"}, r"meta\.txt: not the classes"),
    "cut binary": (
        "binary",
        {"data_batch_5.bin": bytes(4 * 3073 - 1)},
        r"data_batch_5\.bin: 12291 bytes where 4 images take 12292",
    ),
    "label 255": (
        "binary",
        {"test_batch.bin": bytes(3073) + b"\xff" + bytes(3 * 3073 - 1)},
        r"test_batch\.bin: the label of image 1 is none of 0 to 9",
    ),
}


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "archive"])
@pytest.mark.parametrize(("version", "files", "words"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_refuses_a_damaged_file(
    tmp_path: Path, version: str, files: dict[str, bytes], words: str, archive: bool
) -> None:
    folder, good = VERSIONS[version]
    source = tmp_path / "source"
    if archive:
        source.write_bytes(tar(folder, {**good(), **files}))
    else:
        make_source(source, version, "folder")
        for name, content in files.items():
            (source / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        import_cifar10(source, tmp_path / "out")
    assert str(source) in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


TAR = tar("cifar-10-batches-py", python_files())
GZIPPED = gzip.compress(TAR, 1)


def without(*names: str) -> bytes:
    return tar("c", {k: v for k, v in python_files().items() if k not in names})


def long_header(kind: bytes, size: int = 2**27) -> bytes:
    """A header that says that a member's name, or what else pax tells of it, has `size` bytes."""
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, size
    return header.tobuf(tarfile.GNU_FORMAT)


BAD_ARCHIVES = {
    "long name": (long_header(tarfile.GNUTYPE_LONGNAME) + TAR, "a name or header of 1342"),
    "pax header": (long_header(tarfile.XHDTYPE) + TAR, "a name or header of 1342"),
    "names of names": (
        (long_header(tarfile.GNUTYPE_LONGNAME, 1) + bytes(512)) * 2000 + TAR,
        "damaged, cut short",
    ),
    "empty": (b"", "damaged, cut short, or not an archive"),
    "a web page": (b"<!DOCTYPE html>" * 99, "damaged, cut short, or not an archive"),
    "gzipped page": (gzip.compress(b"<!DOCTYPE html>" * 99), "damaged, cut short, or not an arch"),
    "cut": (GZIPPED[: len(GZIPPED) // 2], "damaged, cut short"),
    "checksum cut": (GZIPPED[:-6], "damaged, cut short"),
    "checksum wrong": (GZIPPED[:-8] + bytes(8), "damaged, cut short"),
    "bit flipped": (GZIPPED[:9999] + bytes([GZIPPED[9999] ^ 1]) + GZIPPED[10000:], "damaged, cut"),
    "tar cut": (TAR[:30000], "damaged, cut short"),
    "no test set": (without("test_batch"), "no test_batch in it; it must be cifar-10-python"),
    "no names": (without("batches.meta"), r"no batches\.meta in it"),
    "CIFAR-100": (tar("cifar-100-python", {"train": b"", "meta": b""}), "no data_batch_1, "),
}


@pytest.mark.parametrize(("content", "words"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
def test_refuses_a_damaged_archive(tmp_path: Path, content: bytes, words: str) -> None:
    source = tmp_path / "cifar-10-python.tar.gz"
    source.write_bytes(content)
    with pytest.raises(DataError, match=rf"cifar-10-python\.tar\.gz: .*{words}"):
        import_cifar10(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


def test_a_huge_member_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "_LARGEST", 1000)
    source = make_source(tmp_path / "source", "binary", "gz")
    with pytest.raises(DataError, match=r"data_batch_1\.bin: 12292 bytes; CIFAR-10's have"):
        import_cifar10(source, tmp_path / "out")


def test_missing_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone: no such file or folder; cifar-10-python"):
        import_cifar10(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"no data_batch_1 and no data_batch_1\.bin, here"):
        import_cifar10(tmp_path, tmp_path / "out")
    source = make_source(tmp_path / "source", "python", "around")
    (source / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match=r"batches-py: no data_batch_4; unpack it again"):
        import_cifar10(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "limit 0; it must be 1 image or more"),
        ({"seed": -1}, "seed -1; it must be 0 or more"),
    ],
)
def test_options_out_of_range(
    tmp_path: Path, source: Path, options: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        import_cifar10(source, tmp_path / "out", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "ever after"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_fault_at_any_step_leaves_the_old_or_the_new_import(
    tmp_path: Path,
    source: Path,
    read_image_set: Any,
    fault_sweep: Any,
    replace: bool,
    ever_after: bool,
) -> None:
    output = tmp_path / "out"
    if replace:
        older = make_source(tmp_path / "older", "binary", "gz", seed=1)
        import_cifar10(older, tmp_path / "kept", limit=4)

    import_cifar10(source, tmp_path / "wanted", limit=6)
    failures = fault_sweep(
        lambda: import_cifar10(source, output, limit=6, force=replace),
        lambda: read_image_set(output),
        tmp_path,
        kept=tmp_path / "kept" if replace else None,
        old=read_image_set(tmp_path / "kept"),
        new=read_image_set(tmp_path / "wanted"),
        ever_after=ever_after,
    )
    # 4 mkdir (parents, staging, two databases), 10 puts, 5 commits, 4 files beside the databases,
    # fsync of 8 files and 4 folders, 1 rename or exchange
    assert failures == 4 + 10 + 5 + 4 + 12 + 1


KILLED = """
import os, signal, sys
from pathlib import Path
from ul2q.data import cifar, import_cifar10

cifar._BATCH = 4
moment, source, output = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), getattr(signal, moment))
import_cifar10(Path(source), Path(output), progress=die)
"""


@pytest.mark.parametrize("moment", ["SIGKILL", "SIGINT"])
def test_a_killed_import_leaves_nothing(
    tmp_path: Path, source: Path, read_image_set: Any, moment: str
) -> None:
    command = [sys.executable, "-c", KILLED, moment, str(source), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert run.returncode == -getattr(signal, moment)
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == (2 if moment == "SIGKILL" else 1)
    import_cifar10(source, tmp_path / "out")
    assert read_image_set(tmp_path / "out") == whole()
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name, "out"]


def test_the_real_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_lmdb: Any) -> None:
    monkeypatch.undo()
    rows = np.zeros((10_000, 3073), np.uint8)
    rows[:, 0] = np.arange(10_000) % 10
    (tmp_path / "batches.meta.txt").write_text("\n".join(NAMES))
    for number, name in enumerate(BATCHES):
        rows[:, 1:] = number
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    dataset = import_cifar10(tmp_path, tmp_path / "out", limit=20)
    for path, value in ((dataset.train, 0), (dataset.test, 5)):
        records = read_lmdb(path)
        assert sorted(label for _, _, label in records) == sorted([*range(10), *range(10)])
        assert {int(image.max()) for _, image, _ in records} == {value}
