"""`ul2q data`: what the importers' commands print, and what they pass on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.processes import on_a_terminal
from tests.data.image_files import ppm, random_pixels, write_classes
from ul2q.cli import main
from ul2q.data import cifar


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part, count in (("train", 3), ("test", 2)):
        images = {f"{i}.ppm": ppm(random_pixels(i)) for i in range(count)}
        write_classes(tmp_path / part, {"cat": images, "dog": images})
    write_classes(tmp_path, {"val": {"a.ppm": ppm(random_pixels(1, 8, 8))}})
    (tmp_path / "labels").write_text("a.ppm dog\n")
    monkeypatch.setattr(cifar, "_BATCH", 40)
    rows = b"".join(bytes([i % 10]) + bytes(3072) for i in range(40))
    batches = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    names = b"airplane automobile bird cat deer dog frog horse ship truck"
    files = {**dict.fromkeys(batches, rows), "batches.meta.txt": names}
    write_classes(tmp_path, {"cifar": files})


FOLDER = "data folder --train train --test test --jobs 1"
IMAGENET = "data imagenet --train train --val val --val-labels labels --jobs 1"

CALLS = {
    "data cifar10 --from cifar --limit 30": ("cifar10", 30, 30, "3×32×32", 10),
    "data cifar10 --from cifar --limit 30 --gray": ("cifar10", 30, 30, "1×32×32", 10),
    f"{FOLDER}": ("folder", 6, 4, "3×4×5", 2),
    f"{FOLDER} --limit 3 --size 6x7": ("folder", 3, 3, "3×6×7", 2),
    f"{FOLDER} --gray": ("folder", 6, 4, "1×4×5", 2),
    f"{IMAGENET}": ("imagenet", 6, 1, "3×256×256", 2),
    f"{IMAGENET} --size 3x2 --resize crop --seed 5": ("imagenet", 6, 1, "3×3×2", 2),
}


@pytest.mark.parametrize(("line", "expected"), CALLS.items())
def test_prints_what_was_made(
    line: str, expected: tuple[str, int, int, str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    name, train, test, shape, classes = expected
    assert main(shlex.split(line)) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.splitlines() == [
        f"train_lmdb: {train}",
        f"test_lmdb: {test}",
        f"train: data/{name}/train_lmdb ({train} images of {shape})",
        f"test: data/{name}/test_lmdb ({test} images of {shape})",
        f"mean: data/{name}/mean.binaryproto, data/{name}/mean_values.txt",
        f"classes: data/{name}/classes.txt ({classes})",
    ]
    assert main([*shlex.split(line), "--seed", "7"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*shlex.split(line), "--seed", "7", "--force", "-o", f"data/{name}"]) == 0


def test_images_that_are_left_out_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("train/dog/1.ppm").write_bytes(b"?")
    assert main(FOLDER.split()) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("ul2q: error: 1 of 10 images cannot be used: train/dog/1.ppm: ")
    for _ in range(2):  # the second time by what stands there
        assert main([*FOLDER.split(), "--skip-bad"]) == 0
        first, last = capsys.readouterr().err.splitlines()
        assert first.startswith("ul2q: warning: train/dog/1.ppm: damaged")
        assert last == "ul2q: warning: images left out: 1"


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("data cifar10", 2, "--from"),
        ("data cifar10 --from gone", 1, "gone: no such file or folder"),
        ("data folder --train train", 1, "--test DIR (test), or draw it from the training set"),
        (f"{FOLDER} --size 32", 2, "'32' is not HEIGHTxWIDTH in pixels"),
        (f"{FOLDER} --size 0x3", 2, "'0x3' is not HEIGHTxWIDTH"),
        (f"{FOLDER} --size 3x-3", 2, "'3x-3' is not HEIGHTxWIDTH"),
        (f"{FOLDER} --limit 0", 1, "limit 0; it must be 1"),
        (f"{FOLDER} --jobs 0", 1, "0 jobs; there must be 1 or more"),
        (f"{FOLDER} --seed -1", 1, "seed -1; it must be 0 or more"),
        (f"{IMAGENET} --resize pad", 2, "'pad'"),
        ("data imagenet --train train --val val", 2, "--val-labels"),
    ],
)
def test_wrong_calls(
    line: str, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == status
    assert words in capsys.readouterr().err
    assert not Path("data").exists()


def idx_files(folder: Path) -> None:
    """MNIST's four files with 3 and 2 images of 28×28."""
    folder.mkdir()
    for name, count in (("train", 3), ("t10k", 2)):
        header = (0x803).to_bytes(4, "big") + b"".join(
            n.to_bytes(4, "big") for n in (count, 28, 28)
        )
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + bytes(count * 28 * 28))
        header = (0x801).to_bytes(4, "big") + count.to_bytes(4, "big")
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(range(count)))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("output", [None, "here"])
def test_data_makes_lmdbs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    output: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    idx_files(tmp_path / "idx")
    arguments = ["data", name, "--from", "idx"] + (["-o", output] if output else [])
    assert main(arguments) == 0
    folder = output or f"data/{name}"
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(": 3") for line in lines[:-2])
    assert lines[-2:] == [
        f"train: {folder}/train_lmdb (3 images of 1×28×28)",
        f"test: {folder}/test_lmdb (2 images of 1×28×28)",
    ]
    assert Path(folder, "train_lmdb", "data.mdb").is_file()
    (tmp_path / "idx" / "t10k-labels-idx1-ubyte").write_bytes(
        (0x801).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\7\7"
    )
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_an_import_on_a_terminal_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idx_files(tmp_path / "idx")
    text = on_a_terminal("data", "mnist", "--from", "idx", columns=80)
    assert "100%" in text
    assert "3/3" in text
    assert text.strip().splitlines()[-1].startswith("test: data/mnist/test_lmdb (2 images")
