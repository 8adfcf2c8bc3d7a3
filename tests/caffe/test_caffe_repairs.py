"""The repairs of BVLC's source, on the spellings that are known."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPAIRS = ROOT / "cmake" / "CaffeRepairs.cmake"

# From the fetched source to a pristine BVLC/caffe: the two edits that its packager made.
PRISTINE = {
    "src/caffe/util/io.cpp": (
        "SetTotalBytesLimit(536870912)",
        "SetTotalBytesLimit(kProtoReadBytesLimit, 536870912)",
    ),
    "src/caffe/net.cpp": (
        """  CopyTrainedLayersFromBinaryProto(trained_filename);
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromBinaryProto(""",
        """#ifdef USE_HDF5
  if (H5Fis_hdf5(trained_filename.c_str())) {
    CopyTrainedLayersFromHDF5(trained_filename);
  } else {
    CopyTrainedLayersFromBinaryProto(trained_filename);
  }
#else
  CopyTrainedLayersFromBinaryProto(trained_filename);
#endif  // USE_HDF5
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromBinaryProto(""",
    ),
}


@pytest.fixture(scope="module")
def fetched() -> Path:
    """The source that the build fetched."""
    found = list((ROOT / "build/cmake/caffe-source").glob("*/src/caffe/net.cpp"))
    if not found:
        pytest.skip("built from CAFFE_SOURCE_DIR: the fetched source is not here")
    return found[0].parents[2]


@pytest.fixture
def pristine(fetched: Path, tmp_path: Path) -> Path:
    """The fetched source with its packager's edits taken back."""
    copy = tmp_path / "caffe"
    shutil.copytree(fetched, copy)
    for name, (edited, original) in PRISTINE.items():
        text = (copy / name).read_text()
        assert text.count(edited) == 1
        (copy / name).write_text(text.replace(edited, original))
    return copy


def _repair(source: Path, binary: Path) -> subprocess.CompletedProcess[str]:
    """Run the repairs; a script's CMAKE_BINARY_DIR is the folder it runs in."""
    binary.mkdir(exist_ok=True)
    return subprocess.run(
        ["cmake", f"-DCAFFE_ROOT={source}", "-P", str(REPAIRS)],
        cwd=binary,
        capture_output=True,
        text=True,
        check=False,
    )


def _tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_pristine_checkout_becomes_what_the_fetched_source_becomes(
    fetched: Path, pristine: Path, tmp_path: Path
) -> None:
    trees = []
    for name, source in (("a", fetched), ("b", pristine)):
        run = _repair(source, tmp_path / name)
        assert run.returncode == 0, run.stderr
        trees.append(_tree(tmp_path / name / "caffe-repaired"))
    assert trees[0] == trees[1]
    assert (
        "optional QuantizationParameter quantization_param = 1149;"
        in (trees[0]["src/caffe/proto/caffe.proto"])
    )


def test_files_that_do_not_change_are_not_written_again(fetched: Path, tmp_path: Path) -> None:
    stamps = []
    for _ in range(2):
        assert _repair(fetched, tmp_path).returncode == 0
        files = sorted((tmp_path / "caffe-repaired").rglob("*.*"))
        stamps.append([(path, path.stat().st_mtime_ns) for path in files])
    assert stamps[0] == stamps[1] != []


def test_a_source_that_reads_otherwise_is_named(pristine: Path, tmp_path: Path) -> None:
    broken = pristine / "src/caffe/util/io.cpp"
    broken.write_text(broken.read_text().replace("SetTotalBytesLimit", "SetLimit"))
    run = _repair(pristine, tmp_path)
    assert run.returncode != 0
    assert str(broken) in run.stderr
    assert "CAFFE_SOURCE_DIR" in run.stderr
