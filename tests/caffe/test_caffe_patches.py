"""BVLC's source: fetched, known file by file, and changed by the series of patches."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from cpp.caffe import fetch_source, patch_source
from cpp.caffe.patch_source import PATCHES, PatchError
from dev import caffe_source

ROOT = Path(__file__).resolve().parents[2]
PATCH_SOURCE = ROOT / "cpp/caffe/patch_source.py"
# git's id and the path of each file in include/, python/, src/caffe/ and tools/ at that commit.
BLOBS = Path(__file__).with_name("bvlc-9b89154.blobs")
# What the package has in these folders beyond the commit: its own description, and what is
# generated.
ONLY_IN_THE_PACKAGE = {
    *(
        f"python/brocolli_caffe.egg-info/{name}"
        for name in (
            *("PKG-INFO", "SOURCES.txt", "dependency_links.txt", "not-zip-safe", "top_level.txt"),
        )
    ),
    *(
        f"python/caffe/__pycache__/{name}.cpython-37.pyc"
        for name in ("__init__", "classifier", "detector", "io", "net_spec", "pycaffe")
    ),
    *("python/caffe/proto/__init__.py", "python/caffe/proto/caffe_pb2.py"),
}
SERIES = patch_source.read_series()


def blob_id(content: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stamps_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def archive() -> Path:
    """The archive, by the rule of the build's cache."""
    path = fetch_source.archive_path()
    if not path.is_file():
        pytest.skip("built from CAFFE_SOURCE_DIR: the archive is not in the cache")
    return fetch_source.fetch()


@pytest.fixture(scope="module")
def package(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source as it is fetched."""
    folder = tmp_path_factory.mktemp("package") / "caffe"
    fetch_source.unpack(archive, folder)
    return folder


@pytest.fixture(scope="module")
def true_tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source as it is in BVLC/caffe; not to be changed."""
    assert package.is_dir()  # or there is no archive to make it from
    folder = tmp_path_factory.mktemp("true") / "caffe"
    caffe_source.pristine(folder)
    return folder


@pytest.fixture
def checkout(true_tree: Path, tmp_path: Path) -> Path:
    """A user's checkout, to be changed."""
    return Path(shutil.copytree(true_tree, tmp_path / "checkout"))


def run_script(source: Path, target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PATCH_SOURCE, *options, source, target],
        capture_output=True,
        text=True,
        check=False,
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


# The source


def test_the_package_and_its_first_patch_are_bvlcs_tree_file_by_file(
    archive: Path, tmp_path: Path
) -> None:
    expected = {path: blob for blob, path in map(str.split, BLOBS.read_text().splitlines())}
    assert len(expected) == 395
    tree = tmp_path / "caffe"
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if path.startswith(("include/", "python/", "src/caffe/", "tools/")) and member.isfile():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                (tree / path).write_bytes(content.read())
    patch_source.apply(SERIES[0], tree, tree, exact=True)
    found = {path: blob_id(content) for path, content in files_of(tree).items()}
    assert found.keys() - expected.keys() == ONLY_IN_THE_PACKAGE
    assert {path: blob for path, blob in found.items() if path in expected} == expected


def test_what_is_unpacked_is_what_the_archive_holds_of_the_four_folders(
    archive: Path, package: Path
) -> None:
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar if member.isfile()}
    folders = tuple(f"{folder}/" for folder in fetch_source.FOLDERS)
    assert files_of(package).keys() == {name for name in names if name.startswith(folders)}


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"UL2Q_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/ul2q"),
        ({"HOME": "/c"}, "/c/.cache/ul2q"),
    ],
)
def test_the_archive_is_kept_in_a_cache(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UL2Q_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert fetch_source.archive_path() == Path(folder) / "brocolli-caffe-3.0.0.tar.gz"


def test_a_damaged_archive_is_dropped_and_without_a_network_the_way_out_is_told(
    tmp_path: Path,
) -> None:
    damaged = tmp_path / "brocolli-caffe-3.0.0.tar.gz"
    damaged.write_bytes(b"no archive")
    run = subprocess.run(
        [sys.executable, ROOT / "cpp/caffe/fetch_source.py", tmp_path / "source"],
        env=os.environ | {"UL2Q_CACHE_DIR": str(tmp_path), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert f"{damaged} is damaged: fetching it again" in run.stderr
    assert f"put {damaged.name} into {tmp_path}, or set CAFFE_SOURCE_DIR" in run.stderr
    assert not damaged.exists()
    assert not (tmp_path / "source").exists()


# The series


@pytest.mark.parametrize("patch", SERIES, ids=lambda patch: patch.name)
def test_a_patch_has_a_reason_and_no_noise(patch: patch_source.Patch) -> None:
    title, blank, *body = patch.reason.splitlines()
    assert title
    assert not title.endswith(".")
    assert blank == ""
    assert "".join(body).strip().endswith(".")
    assert max(map(len, patch.reason.splitlines())) <= 88
    assert patch.text.endswith("\n")
    assert not patch.text.endswith("\n\n")
    # No hashes, modes, times or numbers of a version: they would change with each writing.
    for line in patch.diff.splitlines():
        assert re.match(r"[ +\\-]|@@ ", line), line
        if line.startswith(("--- ", "+++ ")) and re.match(r"(---|\+\+\+) [ab]/", line):
            assert re.fullmatch(r"(--- a|\+\+\+ b)/[\w/.]+", line), line
    for file in patch.hunks():
        assert file.startswith(("include/", "python/", "src/caffe/", "tools/"))


def test_the_series_names_all_patches_by_number() -> None:
    names = [patch.name for patch in SERIES]
    assert sorted(names) == names
    assert [int(name.partition("-")[0]) for name in names] == list(range(len(names)))
    assert {path.name for path in PATCHES.iterdir()} == {*names, "series"}
    assert len({name.partition("-")[2] for name in names}) == len(names)


def test_only_patches_of_python_files_are_optional() -> None:
    optional = [patch for patch in SERIES if patch.optional]
    assert optional
    assert all(file.startswith("python/") for patch in optional for file in patch.hunks())


def test_no_other_text_of_the_build_changes_bvlcs_source() -> None:
    paths = [*ROOT.glob("cmake/*"), *ROOT.rglob("CMakeLists.txt")]
    cmake = [path for path in paths if "build" not in path.relative_to(ROOT).parts[:1]]
    assert len(cmake) > 5
    for path in cmake:
        if path.suffix in (".cmake", ".txt"):
            assert "src/caffe/layers/" not in path.read_text(), path
            assert "file(WRITE" not in path.read_text(), path


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ("0000-absent.patch\n", "names 0000-absent.patch, which is not there"),
        ("0000-a.patch  # opt\n", "0000-a.patch: unknown note 'opt'; it can be 'optional'"),
    ],
)
def test_a_series_with_a_mistake_is_refused(series: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "series").write_text(series)
    with pytest.raises(PatchError, match=re.escape(words)):
        patch_source.read_series(tmp_path)


# Applied


def test_package_and_true_tree_take_the_series_line_for_line_and_become_the_same(
    package: Path, true_tree: Path, tmp_path: Path
) -> None:
    trees = []
    for source, words in (
        (package, ""),
        (true_tree, f"note: {true_tree} has {SERIES[0].name} already\n"),
    ):
        before = files_of(source)
        run = run_script(source, tmp_path / source.parent.name, "--exact")
        assert (run.returncode, run.stdout, run.stderr) == (0, "", words)
        assert files_of(source) == before
        trees.append(files_of(tmp_path / source.parent.name))
    assert trees[0] == trees[1]
    assert b" quantization_param = 1149;" in trees[0]["src/caffe/proto/caffe.proto"]


def test_git_makes_the_same_of_the_series(package: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    patch_source.patch_source(package, ours, SERIES, exact=True)
    gits = tmp_path / "gits"
    shutil.copytree(package, gits)
    paths = [patch.path for patch in SERIES]
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    subprocess.run(["git", "apply", *paths], cwd=gits, env=environment, check=True)
    theirs = files_of(gits)
    assert all(theirs[path] == content for path, content in files_of(ours).items())


def test_a_file_that_does_not_change_keeps_its_time_stamp(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "caffe"
    patch_source.patch_source(package, target, SERIES, exact=True)
    before = stamps_of(target)
    patch_source.patch_source(package, target, SERIES, exact=True)
    assert stamps_of(target) == before
    *others, last = SERIES
    patch_source.patch_source(package, target, others, exact=True)
    after = stamps_of(target)
    assert after.keys() == before.keys()
    changed = {str(path.relative_to(target)) for path in after if after[path] != before[path]}
    assert changed == set(last.hunks())


def test_a_file_that_goes_from_the_checkout_goes_from_the_copy(
    checkout: Path, tmp_path: Path
) -> None:
    extra = checkout / "src/caffe/layers/extra_layer.cpp"
    extra.touch()
    target = tmp_path / "caffe"
    for there in (True, False):
        patch_source.patch_source(checkout, target, SERIES, exact=True)
        assert (target / "src/caffe/layers/extra_layer.cpp").exists() == there
        extra.unlink(missing_ok=True)


def test_what_a_build_of_bvlcs_own_left_in_a_checkout_is_not_copied(
    checkout: Path, tmp_path: Path
) -> None:
    left = (
        "include/caffe/proto/caffe.pb.h",
        "python/caffe/proto/caffe_pb2.py",
        "python/caffe/_caffe.so",
    )
    for name in left:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("generated")
    patch_source.patch_source(checkout, tmp_path / "caffe", SERIES, exact=True)
    assert not [name for name in left if (tmp_path / "caffe" / name).exists()]


def test_a_required_patch_that_fails_stops_with_file_hunk_and_difference(
    checkout: Path, tmp_path: Path
) -> None:
    target = tmp_path / "caffe"
    patch_source.patch_source(checkout, target, SERIES, exact=True)
    before = files_of(target)
    edit(
        checkout / "src/caffe/syncedmem.cpp",
        "  to_gpu();\n  head_ = HEAD_AT_GPU;",
        "  to_gpu(0);\n  head_ = HEAD_AT_GPU;",
    )
    run = run_script(checkout, target)
    assert run.returncode != 0
    (patch,) = [patch for patch in SERIES if patch.name.endswith("-memory-versions.patch")]
    assert (
        f"{patch.path} does not apply to {checkout}:\nsrc/caffe/syncedmem.cpp, hunk 2 (line 1"
        in run.stderr
    )
    assert "  -  to_gpu();\n  +  to_gpu(0);\n" in run.stderr
    assert f"It is made for BVLC/caffe at commit {patch_source.COMMIT}." in run.stderr
    assert "hunk 1 " not in run.stderr
    assert files_of(target) == before
    assert list(tmp_path.glob("patched-*")) == []


def test_a_required_patch_of_a_file_that_is_not_there_says_so(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "src/caffe/layers/mvn_layer.cpp").unlink()
    run = run_script(checkout, tmp_path / "caffe")
    assert run.returncode != 0
    assert "empty-batches.patch does not apply" in run.stderr
    assert "src/caffe/layers/mvn_layer.cpp is not there" in run.stderr


def test_an_optional_patch_that_fails_is_named_and_left_out(checkout: Path, tmp_path: Path) -> None:
    whole, target = tmp_path / "whole", tmp_path / "caffe"
    patch_source.patch_source(checkout, whole, SERIES, exact=True)
    edit(checkout / "python/train.py", "solver.step(solver.param.max_iter)", "solver.step(1)")
    run = run_script(checkout, target)
    assert run.returncode == 0, run.stderr
    assert "warning: left out, since it is optional: " in run.stderr
    assert "train-script-solver.patch does not apply" in run.stderr
    assert "  -    solver.step(solver.param.max_iter)\n  +    solver.step(1)\n" in run.stderr
    expected = files_of(whole)
    edit(
        whole / "python/train.py",
        "solver.step(solver.param.max_iter - solver.iter)",
        "solver.step(1)",
    )
    edit(whole / "python/train.py", "caffe.get_solver(proto)", "caffe.SGDSolver(proto)")
    assert files_of(target) == expected | {
        "python/train.py": (whole / "python/train.py").read_bytes()
    }
    assert run_script(checkout, target, "--exact").returncode != 0


def test_a_patch_that_fits_inexactly_is_noted_and_is_not_exact(
    checkout: Path, tmp_path: Path
) -> None:
    path = checkout / "src/caffe/layers/mvn_layer.cpp"
    edit(path, "#include <vector>\n", "#include <string>\n#include <vector>\n")
    run = run_script(checkout, tmp_path / "offset")
    assert run.returncode == 0, run.stderr
    assert re.search(
        r"note: \d+-empty-batches.patch fits inexactly:\n(.*\n)*.*offset 1 line", run.stderr
    )
    strict = run_script(checkout, tmp_path / "offset", "--exact")
    assert strict.returncode != 0
    assert "line for line" in strict.stderr
    edit(
        path,
        "Reshape(const vector<Blob<Dtype>*>& bottom,\n",
        "Reshape(const vector<Blob<Dtype>*> & bottom,\n",
    )
    run = run_script(checkout, tmp_path / "fuzz")
    assert run.returncode == 0, run.stderr
    assert "with fuzz" in run.stderr
    assert b'CHECK_GT(bottom[0]->count(), 0) << "the input is empty";' in (
        (tmp_path / "fuzz/src/caffe/layers/mvn_layer.cpp").read_bytes()
    )
    assert run_script(checkout, tmp_path / "fuzz", "--exact").returncode != 0


def test_a_patch_that_a_checkout_has_already_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    series = {patch.name.partition("-")[2]: patch for patch in SERIES}
    patch_source.apply(series["numpy-2.patch"], checkout, checkout, exact=False)
    run = run_script(checkout, tmp_path / "caffe")
    assert run.returncode == 0, run.stderr
    assert f"has {series['numpy-2.patch'].name} already" in run.stderr
    assert b"arr.tobytes()" in (tmp_path / "caffe/python/caffe/io.py").read_bytes()


def test_without_gnu_patch_it_is_named(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PatchError, match=r"install GNU patch \(Debian: patch\)"):
        patch_source.patch_source(package, tmp_path / "caffe", SERIES, exact=True)


def test_a_patch_may_add_and_delete_files(package: Path, tmp_path: Path) -> None:
    path = tmp_path / "0.patch"
    deleted = (package / "python/classify.py").read_text().splitlines()
    path.write_text(
        "Change files\n\nWhy.\n\n--- /dev/null\n+++ b/tools/new.cpp\n@@ -0,0 +1 @@\n+int i;\n"
        f"--- a/python/classify.py\n+++ /dev/null\n@@ -1,{len(deleted)} +0,0 @@\n"
        + "".join(f"-{line}\n" for line in deleted)
    )
    patch = replace(SERIES[0], name=path.name, path=path, text=path.read_text())
    assert [*patch.hunks()] == ["tools/new.cpp", "python/classify.py"]
    patch_source.patch_source(package, tmp_path / "caffe", [patch], exact=True)
    assert (tmp_path / "caffe/tools/new.cpp").read_text() == "int i;\n"
    assert not (tmp_path / "caffe/python/classify.py").exists()


# By CMake


def configure(binary: Path, checkout: Path) -> subprocess.CompletedProcess[str]:
    options = (
        "-DUL2Q_PYTHON=OFF",
        f"-DCAFFE_SOURCE_DIR={checkout}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
    )
    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", binary, f"-DPython_EXECUTABLE={sys.executable}", *options],
        capture_output=True,
        text=True,
        check=False,
    )


def compiled(binary: Path) -> set[str]:
    commands = json.loads((binary / "compile_commands.json").read_text())
    return {Path(command["file"]).name for command in commands}


def test_cmake_builds_a_checkout_with_an_extra_layer_and_notices_changes(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "src/caffe/layers/extra_layer.cpp").write_text("int extra;\n")
    before = files_of(checkout)
    binary = tmp_path / "build"
    run = configure(binary, checkout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {"extra_layer.cpp", "mvn_layer.cpp", "layer_states.cpp"} <= compiled(binary)
    assert files_of(checkout) == before
    # A changed file, a new one and, last, one that a patch no longer fits.
    edit(
        checkout / "src/caffe/layers/mvn_layer.cpp",
        "#include <vector>\n",
        "#include <vector>\n// new\n",
    )
    (checkout / "src/caffe/layers/second_layer.cpp").touch()
    build = ["cmake", "--build", str(binary), "--target", "caffe_proto"]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "second_layer.cpp" in compiled(binary)
    copy = binary / "caffe/src/caffe/layers/mvn_layer.cpp"
    assert "// new\n" in copy.read_text()
    edit(
        checkout / "src/caffe/layers/mvn_layer.cpp",
        "top[0]->Reshape(bottom[0]->num(),",
        "top[0]->Reshape(0,",
    )
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    output = run.stdout + run.stderr
    assert "src/caffe/layers/mvn_layer.cpp, hunk 1 (line " in output
    assert "could not be patched, see above" in output


def test_cmake_refuses_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    run = configure(tmp_path / "build", tmp_path)
    assert run.returncode != 0
    assert "holds no src/caffe/proto/caffe.proto" in run.stderr
